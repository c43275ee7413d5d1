"""Threads of a worker, shared out among keys."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from reconciler.fleet.engine.slots import FairSlots


def run(coroutine):
    return asyncio.run(coroutine)


async def let_go(slots, order, key, until):
    await slots.take(key)
    order.append(key)
    await until.wait()
    slots.release(key)


def test_a_key_with_few_runs_does_not_wait_for_one_with_many():
    """Two hundred runs of `a` are queued when the two of `b` come."""

    async def main():
        slots, order, until = FairSlots(4), [], asyncio.Event()
        tasks = [asyncio.ensure_future(let_go(slots, order, "a", until)) for _ in range(200)]
        await asyncio.sleep(0)
        tasks += [asyncio.ensure_future(let_go(slots, order, "b", until)) for _ in range(2)]
        await asyncio.sleep(0)
        begun = list(order)
        until.set()
        await asyncio.gather(*tasks)
        return begun, order

    begun, order = run(main())

    assert ["a", "a", "b", "b"] == begun
    assert 202 == len(order)


@given(
    total=st.integers(1, 6),
    keys=st.lists(st.sampled_from("abc"), max_size=30),
    cancelled=st.sets(st.integers(0, 29)),
)
def test_every_run_gets_its_turn_and_no_more_than_so_many_at_a_time(total, keys, cancelled):
    """Also if some are cancelled while they wait."""

    async def main():
        slots, now, most, done = FairSlots(total), [], [0], []

        async def one(key):
            await slots.take(key)
            now.append(key)
            most[0] = max(most[0], len(now))
            assert now.count(key) <= max(1, total // 2)
            await asyncio.sleep(0)
            now.remove(key)
            done.append(key)
            slots.release(key)

        tasks = [asyncio.ensure_future(one(key)) for key in keys]
        await asyncio.sleep(0)
        waiting = [n for n in cancelled if n < len(tasks) and not tasks[n].done()]
        for n in waiting:
            tasks[n].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            assert result is None or isinstance(result, asyncio.CancelledError), result
        return most[0], len(done), sum(result is None for result in results)

    most, done, ended = run(main())

    assert most <= total
    assert done >= ended
