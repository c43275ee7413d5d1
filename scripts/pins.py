"""Write what is stated in one place into the files that repeat it: `make pins`.

The versions of `reconciler/ci/templates/pins.toml` go into workflows, the action, the image and
pages. The workflows that `init` writes, and `examples/ci/`, go into the examples of `docs/ci.md`.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from reconciler.ci import pipelines

ROOT = Path(__file__).parent.parent
PLACES = (".github/workflows/*.yml", "action.yml", "Dockerfile", "docs/*.md", "examples/ci/*.yml")
EXAMPLE = re.compile(r"(?ms)^(<!-- from (\S+)(?:, (.+?))? -->\n+```yaml\n).*?^```$")
JOB = r"(?ms)^{indent}({name}:.*?)(?=^{indent}[^\s#]|^\S|\Z)"


def list_files() -> Iterator[Path]:
    """Yield the files that repeat a version or an example."""
    for pattern in PLACES:
        yield from sorted(ROOT.glob(pattern))


def rewrite(text: str) -> str:
    """Return the text of a file as it should be."""
    text = EXAMPLE.sub(lambda match: f"{match[1]}{render_example(match[2], match[3])}```", text)
    pins = pipelines.load_pins()
    for name in pins["actions"]:
        pinned = pipelines.format_pin(name)
        text = re.sub(
            rf"uses: {re.escape(name)}@[^\n`]*", lambda _, pin=pinned: f"uses: {pin}", text
        )
    for name, digest in pins["images"].items():
        text = re.sub(rf"{re.escape(name)}@sha256:\w+", f"{name}@{digest}", text)
    return text


def render_example(source: str, jobs: str | None) -> str:
    """Return a file of `examples/`, or jobs of the workflows that `init --ci` writes."""
    if source not in pipelines.FILES:
        return (ROOT / source).read_text(encoding="utf-8")
    pipeline = pipelines.Pipeline(source, ("production",), ("POSTHOG_API_KEY",))
    text, indent = pipelines.render(pipeline), "  " if source == "github" else ""
    if jobs is None:
        return text
    parts = [
        re.search(JOB.format(indent=indent, name=re.escape(name)), text)[1].rstrip()
        for name in jobs.split(", ")
    ]
    return "\n\n".join(part.replace(f"\n{indent}", "\n") for part in parts) + "\n"


def main() -> None:
    """Rewrite the files that differ."""
    for path in list_files():
        before = path.read_text(encoding="utf-8")
        after = rewrite(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
