"""What hostile inputs cost: each is read in a process of its own, forked with all imported.

`python -m tests.unit.config.hostile TABLE` prints the cost of each text of one of the two tables.
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
    "brackets": lambda: "[" * 1_000_000,
    "braces": lambda: "{" * 1_000_000,
    "dashes": lambda: "- " * 1_000_000,
    "questions": lambda: "? " * 1_000_000,
    "keys in brackets": lambda: "{a: " * 1_000_000,
    "few brackets": lambda: "[" * 1_000,
    "laughs": lambda: "".join(f"a{i}: &a{i} [" + ",".join([f"*a{i - 1}" if i else "x"] * 9) + "]\n" for i in range(20)),
    "merges": lambda: "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 30)),
    "flat list": lambda: "[" + "a," * 4_000_000 + "]",
    "flat mapping": lambda: "\n".join(f"{i:x}: b" for i in range(800_000)),
    "documents": lambda: "---\na\n" * 1_300_000,
    "tag directives": lambda: "".join(f"%TAG !a{i}! b\n" for i in range(400_000)),
    "digits": lambda: "a: " + "9" * 8_000_000,
    "one long key": lambda: "a" * 8_000_000 + ": b",
    "tabs": lambda: "a: |\n" + "  \t x\n" * 1_300_000,
    "open quote": lambda: '"' + "a\n" * 4_000_000,
}  # fmt: skip
DOCUMENTS = {  # sound YAML that means too much
    "unknown fields": lambda: f"{ROLE}spec:\n" + "".join(f"  memberz{i}: 1\n" for i in range(90_000)),
    "wrong items": lambda: f"{ROLE}spec: {{members: [" + "1," * 400_000 + "]}",
    "refused documents": lambda: "kind: Role\nmetadata: {organization: acme}\nspec: {members: [1,2,3,4,5,6,7,8,9,x: y]}\n---\n" * 90_000,
    "unknown kinds": lambda: "kind: Rolee\n---\n" * 90_000,
    "duplicates": lambda: f"{ROLE}---\n" * 90_000,
    "groups for no variant": lambda: f"{FLAG}spec: {{filters: {{groups: [" + "{variant: b}," * 60_000 + "], multivariate: {variants: [" + "".join(f"{{key: a{i}, rollout_percentage: 1}}," for i in range(30_000)) + "]}}}",
    "selectors": lambda: "kind: FeatureFlag\nmetadata: {organization: acme, key: a, projects: [" + "'*a*b*c*d*'," * 100_000 + "]}",
    "silences": lambda: "kind: Role\nmetadata: {organization: acme, name: A, silence: [" + "{check: R999, reason: a}," * 30_000 + "]}",
    "payload of brackets": lambda: f"{FLAG}spec: {{filters: {{payloads: {{'true': '" + "[" * 3_000_000 + "'}}}",
    "one template in many": lambda: "".join(f"kind: FeatureFlag\nmetadata: {{organization: acme, projects: ['p{i}*'], key: a}}\n---\n" for i in range(5_000)) + "".join(f"kind: Project\nmetadata: {{organization: acme, name: q{i}}}\n---\n" for i in range(1_000)),
}  # fmt: skip


def read_text(data):
    """Read values and places."""
    reader.read_documents(data, "x", [])


def load_documents(data):
    """Load a file, and accept that it is refused."""
    with suppress(ConfigError):
        loader.load_files([Path("a")], tree=Memory({"a": data}))


TABLES = {"texts": (TEXTS, read_text), "documents": (DOCUMENTS, load_documents)}


def measure(table):
    """Return {name: (exit status, MiB, seconds of CPU)} of each text of a table."""
    command = [sys.executable, "-m", "tests.unit.config.hostile", table]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def spend(make, read):
    """Read a text in this process; return MiB and seconds."""
    data = make().encode()
    started = time.process_time()
    read(data)
    spent = time.process_time() - started
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024, spent


def spend_in_child(make, read):
    """Do the same in a child: how it ended, MiB and seconds."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writing, json.dumps(spend(make, read)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        cost = pipe.read()
    return os.waitpid(pid, 0)[1], *json.loads(cost or b"[0, 0]")


if __name__ == "__main__":
    texts, read = TABLES[sys.argv[1]]
    json.dump({name: spend_in_child(make, read) for name, make in texts.items()}, sys.stdout)
