"""Answer calls on standard input, one JSON object a line, for a driver of a Python client.

`{"call": name, "arguments": {}}` is answered by `{"result": ...}` or `{"error": text}`. What the
client itself prints goes to standard error.
"""

import json
import sys


async def serve(call):
    """Await `call(name, arguments)` for each line, until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": await call(request["call"], request["arguments"])}
        except Exception as error:  # noqa: BLE001  whatever the client raises is its answer
            status = getattr(error, "status_code", "no status")
            answer = {"error": f"{type(error).__name__} ({status}): {error}"}
        print(json.dumps(answer, default=str), file=answers, flush=True)
