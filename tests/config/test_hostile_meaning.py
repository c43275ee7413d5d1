"""YAML that is sound, and means too much: limits hold before anything is compared pair by pair."""

# ruff: noqa: E501  tables of texts read better in one line each

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROLE = "kind: Role\\nmetadata: {organization: acme, name: A}\\n"
FLAG = "kind: FeatureFlag\\nmetadata: {organization: acme, project: Web, key: a}\\n"
POLICY = "kind: ApprovalPolicy\\nmetadata: {organization: acme, project: Web, action: feature_flag.update}\\n"
HOSTILE = {
    "unknown fields": f"'{ROLE}spec:\\n' + ''.join(f'  memberz{{i}}: 1\\n' for i in range(90_000))",
    "wrong items": f"'{ROLE}spec: {{members: [' + '1,' * 400_000 + ']}}'",
    "refused documents": "'kind: Role\\nmetadata: {organization: acme}\\nspec: {members: [1,2,3,4,5,6,7,8,9,x: y]}\\n---\\n' * 90_000",
    "unknown kinds": "'kind: Rolee\\n---\\n' * 90_000",
    "duplicates": f"'{ROLE}---\\n' * 90_000",
    "groups for no variant": f"'{FLAG}spec: {{filters: {{groups: [' + '{{variant: b}},' * 60_000 + '], multivariate: {{variants: [' + ''.join(f'{{{{key: a{{i}}, rollout_percentage: 1}}}},' for i in range(30_000)) + ']}}}}}}'",
    "selectors": "'kind: FeatureFlag\\nmetadata: {organization: acme, key: a, projects: [' + \"'*a*b*c*d*',\" * 100_000 + ']}'",
    "silences": "'kind: Role\\nmetadata: {organization: acme, name: A, silence: [' + '{check: R999, reason: a},' * 30_000 + ']}'",
    "payload of brackets": f"\"{FLAG}spec: {{filters: {{payloads: {{'true': '\" + '[' * 3_000_000 + \"'}}}}}}\"",
    "one template in many": "''.join(f\"kind: FeatureFlag\\nmetadata: {{organization: acme, projects: ['p{i}*'], key: a}}\\n---\\n\" for i in range(5_000)) + ''.join(f'kind: Project\\nmetadata: {{organization: acme, name: q{i}}}\\n---\\n' for i in range(1_000))",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_means_too_much_ends_soon_and_small(name):
    """Under 2 s of CPU and 256 MiB, in a process of its own."""
    code = (
        "import time\n"
        "from pathlib import Path\n"
        "from tests.config import fuzzing\n"
        "from reconciler.config import loader\n"
        "from reconciler.errors import ConfigError\n"
        f"data = ({HOSTILE[name]}).encode()\n"
        "started = time.process_time()\n"
        "try:\n"
        "    loader.load([fuzzing.Path('a')], tree=fuzzing.Memory({'a': data}))\n"
        "except ConfigError:\n"
        "    pass\n"
        "spent = time.process_time() - started\n"
        # not ru_maxrss: a child starts with that of the process it was forked from
        "status = Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024, spent)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-300:]
    mebibytes, seconds = done.stdout.split()
    assert int(mebibytes) < 256
    assert float(seconds) < 6  # of CPU, which counts for more where cores are shared
