"""What hostile inputs cost: each is read in a process of its own, forked with all imported.

`python -m tests.unit.config.hostile TABLE SHARE` prints the cost of each text of one of the two
tables, which have a size and what makes the text; a SHARE of 4 makes it of a quarter of its size.
"""

# ruff: noqa: E501  tables of texts read better in one line each

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from reconciler.config import loader
from reconciler.config.yaml import reader
from reconciler.errors import ConfigError
from tests.unit.config.fuzzing import ROOT, Memory

ROLE = "kind: Role\nmetadata: {organization: acme, name: A}\n"
FLAG = "kind: FeatureFlag\nmetadata: {organization: acme, project: Web, key: a}\n"
TEXTS = {  # hostile to the reader of YAML
    "brackets": (1_000_000, lambda n: "[" * n),
    "braces": (1_000_000, lambda n: "{" * n),
    "dashes": (1_000_000, lambda n: "- " * n),
    "questions": (1_000_000, lambda n: "? " * n),
    "keys in brackets": (1_000_000, lambda n: "{a: " * n),
    "few brackets": (1, lambda _: "[" * 1_000),
    "laughs": (1, lambda _: "".join(f"a{i}: &a{i} [" + ",".join([f"*a{i - 1}" if i else "x"] * 9) + "]\n" for i in range(20))),
    "merges": (1, lambda _: "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 30))),
    "flat list": (4_000_000, lambda n: "[" + "a," * n + "]"),
    "flat mapping": (800_000, lambda n: "\n".join(f"{i:x}: b" for i in range(n))),
    "documents": (1_300_000, lambda n: "---\na\n" * n),
    "tag directives": (400_000, lambda n: "".join(f"%TAG !a{i}! b\n" for i in range(n))),
    "digits": (8_000_000, lambda n: "a: " + "9" * n),
    "one long key": (8_000_000, lambda n: "a" * n + ": b"),
    "tabs": (1_300_000, lambda n: "a: |\n" + "  \t x\n" * n),
    "open quote": (4_000_000, lambda n: '"' + "a\n" * n),
}  # fmt: skip
DOCUMENTS = {  # sound YAML that means too much
    "unknown fields": (90_000, lambda n: f"{ROLE}spec:\n" + "".join(f"  memberz{i}: 1\n" for i in range(n))),
    "wrong items": (400_000, lambda n: f"{ROLE}spec: {{members: [" + "1," * n + "]}"),
    "refused documents": (90_000, lambda n: "kind: Role\nmetadata: {organization: acme}\nspec: {members: [1,2,3,4,5,6,7,8,9,x: y]}\n---\n" * n),
    "unknown kinds": (90_000, lambda n: "kind: Rolee\n---\n" * n),
    "duplicates": (90_000, lambda n: f"{ROLE}---\n" * n),
    "groups for no variant": (60_000, lambda n: f"{FLAG}spec: {{filters: {{groups: [" + "{variant: b}," * n + "], multivariate: {variants: [" + "".join(f"{{key: a{i}, rollout_percentage: 1}}," for i in range(n // 2)) + "]}}}"),
    "selectors": (100_000, lambda n: "kind: FeatureFlag\nmetadata: {organization: acme, key: a, projects: [" + "'*a*b*c*d*'," * n + "]}"),
    "silences": (30_000, lambda n: "kind: Role\nmetadata: {organization: acme, name: A, silence: [" + "{check: R999, reason: a}," * n + "]}"),
    "payload of brackets": (3_000_000, lambda n: f"{FLAG}spec: {{filters: {{payloads: {{'true': '" + "[" * n + "'}}}"),
    "one template in many": (1, lambda _: "".join(f"kind: FeatureFlag\nmetadata: {{organization: acme, projects: ['p{i}*'], key: a}}\n---\n" for i in range(5_000)) + "".join(f"kind: Project\nmetadata: {{organization: acme, name: q{i}}}\n---\n" for i in range(1_000))),
}  # fmt: skip


def read_text(data):
    """Read values and places."""
    reader.read_documents(data, "x", [])


def load_documents(data):
    """Load a file, and accept that it is refused."""
    with suppress(ConfigError):
        loader.load_files([Path("a")], tree=Memory({"a": data}))


TABLES = {"texts": (TEXTS, read_text), "documents": (DOCUMENTS, load_documents)}


def measure(table, share):
    """Return {name: (exit status, MiB, seconds of CPU)} of each text of a table."""
    command = [sys.executable, "-m", "tests.unit.config.hostile", table, str(share)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def spend(make, size, read):
    """Read a text in this process; return MiB and seconds."""
    data = make(size).encode()
    started = time.process_time()
    read(data)
    spent = time.process_time() - started
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024, spent


def spend_in_child(make, size, read):
    """Do the same in a child: how it ended, MiB and seconds."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writing, json.dumps(spend(make, size, read)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        cost = pipe.read()
    return os.waitpid(pid, 0)[1], *json.loads(cost or b"[0, 0]")


if __name__ == "__main__":
    texts, read = TABLES[sys.argv[1]]
    share = int(sys.argv[2])
    costs = {
        name: spend_in_child(make, max(1, size // share), read)
        for name, (size, make) in texts.items()
    }
    json.dump(costs, sys.stdout)
