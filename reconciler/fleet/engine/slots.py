"""Share the threads of a worker out among keys, so that many targets of one key delay no other."""

import asyncio
from collections import Counter, defaultdict, deque


class FairSlots:
    """Let `total` runs through at a time; the next one belongs to the key with the fewest.

    No key gets more than half of them: its runs may wait for its rate limit for an hour.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._most = max(1, total // 2)
        self._running: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    async def take(self, key: str) -> None:
        """Wait for a slot, and take it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[key].append(turn)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # granted and cancelled at the same time
                self.release(key)
            raise

    def release(self, key: str) -> None:
        """Give a slot back."""
        self._running[key] -= 1
        self._grant()

    def _grant(self) -> None:
        while self._running.total() < self._total:
            keys = [key for key in self._waiting if self._running[key] < self._most]
            if not keys:
                return
            key = min(keys, key=self._running.__getitem__)
            turn = self._waiting[key].popleft()
            if not self._waiting[key]:
                del self._waiting[key]
            if not turn.cancelled():
                self._running[key] += 1
                turn.set_result(None)
