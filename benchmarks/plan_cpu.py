"""What a clean plan costs: CPU of the parts, and requests counted by the server.

    python benchmarks/plan_cpu.py [FLAGS]

Files are read, validated and compared with a live side of the same size, in this process,
against a sandbox process of its own. CPU is this process's user and system time in seconds.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

from reconciler import walk
from reconciler.config import files, loader, settings
from reconciler.plan.build import Options
from reconciler.posthog import client, credentials

FLAGS = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
TOKEN = "phx_bench"  # known to the sandbox alone


def flag(number: int) -> dict:
    """One flag, as both sides have it."""
    condition = {"key": "plan", "type": "person", "operator": "exact", "value": ["pro", "team"]}
    return {
        "name": f"Flag number {number}",
        "active": number % 2 == 0,
        "tags": ["checkout", "web"],
        "filters": {"groups": [{"properties": [condition], "rollout_percentage": number % 100}]},
    }


def world(folder: Path) -> Path:
    """The seed, and the files that declare the same."""
    flags = [{"key": f"flag-{n}", **flag(n)} for n in range(FLAGS)]
    members = [{"email": "ci@acme.test", "level": "admin"}]
    user = {"email": "ci@acme.test", "tokens": [{"token": TOKEN, "scopes": ["*"]}]}
    organization = {
        "name": "Acme",
        "slug": "acme",
        "members": members,
        "projects": [{"name": "Web", "id": 1, "feature_flags": flags}],
    }
    seed = folder / "seed.json"
    seed.write_text(json.dumps({"users": [user], "organizations": [organization]}))
    config = folder / "config"
    config.mkdir()
    for start in range(0, FLAGS, 500):
        documents = [
            {
                "kind": "FeatureFlag",
                "metadata": {"organization": "acme", "project": "Web", "key": f"flag-{n}"},
                "spec": flag(n),
            }
            for n in range(start, min(start + 500, FLAGS))
        ]
        text = yaml.dump_all(documents, Dumper=yaml.CSafeDumper)
        (config / f"flags-{start:06}.yaml").write_text(text)
    return seed


@contextlib.contextmanager
def sandbox(seed: Path):
    """A server process; its URL."""
    script = str(Path(sys.executable).parent / "reconciler")
    command = [script, "sandbox", "--port", "0", "--seed", str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def measured(name: str, work):
    """Run, print wall and CPU seconds, hand the result on."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    print(
        f"{name:28} {time.perf_counter() - wall:7.3f} s wall {time.process_time() - cpu:7.3f} s CPU"
    )
    return result


def main() -> None:
    """Load, list, compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seed = world(folder)
        with sandbox(seed) as url:
            os.chdir(folder / "config")
            environ = {"POSTHOG_HOST": url, "POSTHOG_API_KEY": TOKEN}
            target = settings.load(Path.cwd(), environ=environ).target()
            tree = files.WorkingTree(cwd=Path.cwd())
            start = time.process_time()
            loaded = measured(f"files: {FLAGS} flags", lambda: loader.load(target.paths, tree=tree))
            key = credentials.resolve(
                environ=environ, host_option=None, target_host=None, api_key_env=None
            )
            with client.open_reader(key) as reader:
                seen = measured("live side listed", lambda: walk.observe(reader, loaded, Options()))
            made = measured(
                "plan built",
                lambda: walk.plan(seen, Options(), target="bench", host=url, created_at=""),
            )
            total = time.process_time() - start
            with urllib.request.urlopen(url + "/_sandbox/requests") as answer:
                requests = json.load(answer)
            lists = sum("feature_flags" in row["path"] for row in requests)
            print(f"{'in all':28} {'':14} {total:7.3f} s CPU")
            print(
                f"changes {len(made.writes)}, requests {len(requests)}, of these for flags {lists}"
            )


if __name__ == "__main__":
    main()
