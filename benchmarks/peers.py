"""What the benchmarks compare with: octoDNS, and what most people would write themselves.

octoDNS does the same for DNS: Python, YAML in, validate, fetch, compare. It is installed once into
a folder of the temporary directory, never beside this program. Its records are smaller than
flags, and it lists a zone in one request: both in its favour.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

OCTODNS = ("octodns==1.22.0", "octodns-powerdns==1.2.0")
ZONE = "/api/v1/servers/localhost/zones/acme.test."

NAIVE = """
import sys
from pathlib import Path
import jsonschema, yaml
from reconciler.config.schema import validator as schema
from reconciler.kinds import KINDS
validators = {name: jsonschema.Draft202012Validator(schema.load_schema(name)) for name in KINDS}
documents = []
for path in sorted(Path(sys.argv[1]).rglob("*.yaml")):
    for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
        assert not list(validators[document["kind"]].iter_errors(document))
        documents.append(document)
print(len(documents))
"""


def octodns():
    """Folder of octoDNS' programs; None if it cannot be installed."""
    place = Path(tempfile.gettempdir()) / f"reconciler-bench-{'-'.join(OCTODNS)}".replace("==", "-")
    done = place / "ready"
    if not done.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--quiet", *OCTODNS]
            subprocess.run(pip, check=True)
        except subprocess.CalledProcessError:
            return None
        done.touch()
    return place / "bin"


def address(number):
    """Return an address for each record."""
    return f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"


def write_zone(folder, count, url=""):
    """As many records as flags, and a configuration that compares them with a server, or a file."""
    (folder / "zones").mkdir(parents=True)
    rows = sorted(f"r{n}:\n  ttl: 300\n  type: A\n  value: {address(n)}\n" for n in range(count))
    (folder / "zones" / "acme.test.yaml").write_text("---\n" + "".join(rows))
    files = "octodns.provider.yaml.YamlProvider"
    target = f"class: {files}\n    directory: {folder}/out"
    if url:
        port = url.rsplit(":", 1)[1]
        kind = "octodns_powerdns.PowerDnsProvider"
        target = f"class: {kind}\n    host: 127.0.0.1\n    port: {port}\n    api_key: x"
    (folder / "config.yaml").write_text(
        "providers:\n"
        f"  files:\n    class: {files}\n    directory: {folder}/zones\n    enforce_order: false\n"
        f"  there:\n    {target}\n"
        "zones:\n  acme.test.:\n    sources: [files]\n    targets: [there]\n"
    )


def zone(count):
    """Return responses of PowerDNS about the same records, for `static_server`."""
    rows = [
        {
            "name": f"r{n}.acme.test.",
            "type": "A",
            "ttl": 300,
            "records": [{"content": address(n), "disabled": False}],
        }
        for n in range(count)
    ]
    about = {"version": "4.9.0", "id": "localhost", "type": "Server"}
    whole = {"name": "acme.test.", "kind": "Master", "rrsets": rows}
    return {"pages": {"/api/v1/servers/localhost": about, ZONE: whole}}
