"""How fast `validate` is: ratios within one run, growth, and peak memory.

    python benchmarks/validate_speed.py [--resources 10000] [--rounds 3] [--large]

Every figure is a whole process, so that start-up counts. "naive" is what most people would write:
PyYAML's CSafeLoader and jsonschema over the same files with the same schemas. octodns-validate,
on as many records, is measured if it is installed: `pip install octodns`.
"""

# ruff: noqa: E501  tables of figures

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
PER_FILE = 100
WORDS = "Shows the new steps of the checkout to people who pay by card. " * 4
NAIVE = """
import sys
from pathlib import Path
import jsonschema, yaml
from reconciler.config import schema
from reconciler.kinds import KINDS
validators = {name: jsonschema.Draft7Validator(schema.load(name)) for name in KINDS}
documents = []
for path in sorted(Path(sys.argv[1]).rglob("*.yaml")):
    for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
        assert not list(validators[document["kind"]].iter_errors(document))
        documents.append(document)
print(len(documents))
"""


def flag(number):
    """A flag of twelve fields, 600 bytes."""
    return f"""\
kind: FeatureFlag
metadata:
  organization: acme
  project: Web {number % 50}
  key: checkout-step-{number}
spec:
  name: {WORDS}
  active: {"true" if number % 2 else "false"}
  tags: [checkout, team-{number % 20}]
  evaluation_runtime: all
  ensure_experience_continuity: false
  filters:
    groups:
      - properties:
          - {{key: country, type: person, operator: exact, value: DE}}
        rollout_percentage: {number % 101}
"""


def write(folder, count):
    """That many resources, a hundred to a file."""
    folder.mkdir(parents=True)
    for start in range(0, count, PER_FILE):
        many = [flag(number) for number in range(start, min(count, start + PER_FILE))]
        (folder / f"flags-{start:07}.yaml").write_text("---\n".join(many))


def write_octodns(folder, count):
    """As many records in octoDNS' own format: smaller ones, in its favour."""
    (folder / "zones").mkdir(parents=True)
    rows = [f"r{n}:\n  ttl: 300\n  type: A\n  value: 10.0.{n // 250 % 250}.{n % 250}\n" for n in range(count)]  # fmt: skip
    (folder / "zones" / "acme.test.yaml").write_text("---\n" + "".join(sorted(rows)))
    provider = "octodns.provider.yaml.YamlProvider"
    (folder / "config.yaml").write_text(
        "providers:\n"
        f"  files:\n    class: {provider}\n    directory: {folder}/zones\n    enforce_order: false\n"
        f"  out:\n    class: {provider}\n    directory: {folder}/out\n"
        "zones:\n  acme.test.:\n    sources: [files]\n    targets: [out]\n"
    )


def run(command, cwd):
    """Wall seconds, CPU seconds and peak MiB of one process, which has to succeed."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "POSTHOG_API_KEY": ""},
    )
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, error.decode()[-500:]
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def median(command, cwd, rounds):
    """The median of each figure."""
    rows = [run(command, cwd) for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def show(name, figures, ratio=None):
    """One line of the table."""
    wall, cpu, peak = figures
    beside = f"   {ratio:5.1f} x ours" if ratio else ""
    print(f"{name:<34}{wall:8.2f} s{cpu:9.2f} s CPU{peak:8.0f} MiB{beside}", flush=True)


def compare(folder, count, rounds):
    """Ours, naive and octoDNS in turn, so that a busy moment hits all; CPU decides."""
    write(folder / "ours", count)
    ours = [BIN / "reconciler", "validate", "."]
    naive = [sys.executable, "-c", NAIVE, "."]
    size = sum(path.stat().st_size for path in (folder / "ours").iterdir())
    print(f"{count:,} resources, {size / 1e6:.1f} MB")
    commands = {"reconciler validate": (ours, folder / "ours")}
    commands["CSafeLoader + jsonschema"] = (naive, folder / "ours")
    octodns = shutil.which("octodns-validate", path=str(BIN)) or shutil.which("octodns-validate")
    if octodns:
        write_octodns(folder / "octodns", count)
        where = [octodns, "--config-file", folder / "octodns" / "config.yaml"]
        commands["octodns-validate"] = (where, folder / "octodns")
    rows = {name: [] for name in commands}
    for _ in range(rounds):
        for name, (command, cwd) in commands.items():
            rows[name].append(run(command, cwd))
    found = {name: [statistics.median(c) for c in zip(*r, strict=True)] for name, r in rows.items()}
    mine = found["reconciler validate"]
    for name, figures in found.items():
        show(name, figures, None if figures is mine else figures[0] / mine[0])
    if not octodns:
        print("octodns-validate is not installed: pip install octodns, then run this again")
    return {name: figures[0] / mine[0] for name, figures in found.items()}, mine


def growth(folder, counts, rounds):
    """time(2n) / time(n), which has to stay under 2.3."""
    before, worst = None, 0.0
    for count in counts:
        write(folder / str(count), count)
        wall, cpu, peak = median([BIN / "reconciler", "validate", "."], folder / str(count), rounds)
        ratio = cpu / before if before else 0.0
        worst = max(worst, ratio)
        print(f"{count:>8,}{wall:9.2f} s{cpu:9.2f} s CPU{peak:8.0f} MiB" + (f"   x {ratio:.2f}" if before else ""), flush=True)  # fmt: skip
        before = cpu
    return worst


def main():
    """Print the tables; a last line of JSON for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="grow up to 100,000 resources")
    options = parser.parse_args()
    resource.getrusage(resource.RUSAGE_SELF)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ratios, mine = compare(folder, options.resources, options.rounds)
        help_ = median([BIN / "reconciler", "--help"], folder, 7)
        show("reconciler --help", help_)
        counts = [12_500, 25_000, 50_000, 100_000] if options.large else [2_500, 5_000, 10_000]
        worst = growth(folder / "growth", counts, 1 if options.large else options.rounds)
    print(json.dumps({"ratios": ratios, "seconds": mine[0], "peak_mib": mine[2], "help_s": help_[0], "growth": worst}))  # fmt: skip


if __name__ == "__main__":
    main()
