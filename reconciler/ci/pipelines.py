"""Render the workflows of code hosts from templates, with the versions of `templates/pins.toml`."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from reconciler import __version__
from reconciler.lazy_dataclass import dataclass

FILES: Final = {"github": ".github/workflows/posthog.yml", "gitlab": ".gitlab-ci.yml"}
IMAGE: Final = "python:3.13-slim"
_PLACEHOLDER: Final = f"OWNER/reconciler@{'0' * 40} # v{__version__}"


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """Where the workflows get the program from.

    Attributes:
        repository: owner/name on the code host.
        commit: its full commit ID.

    """

    repository: str
    commit: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the workflows of a configuration repository depend on.

    Attributes:
        provider: one of `FILES`.
        targets: the targets of `reconciler.yaml`; several become a matrix.
        keys: the variables that hold the keys.
        source: None leaves a placeholder.
        notifies: whether a target names webhooks.
        webhooks: the variables that hold their URLs.
        shards: the most jobs among which the targets are divided; 0: one job for each target.

    """

    provider: str
    targets: Sequence[str]
    keys: Sequence[str]
    source: ProgramSource | None = None
    notifies: bool = False
    webhooks: Sequence[str] = ()
    shards: int = 0

    @property
    def allowed_keys(self) -> str:
        """Return the variables that only the environment can allow to hold a key."""
        return ",".join(key for key in self.keys if not key.startswith("POSTHOG_"))


def render(pipeline: Pipeline) -> str:
    """Return the text of the workflow file."""
    # YAML and the code hosts use `{{`, `{%` and `#` themselves.
    templates = Environment(
        loader=PackageLoader("reconciler.ci"),
        variable_start_string="<[",
        variable_end_string="]>",
        line_statement_prefix="%%",
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  YAML, not HTML; names of targets and variables are checked
    )
    several = len(pipeline.targets) > 1 and not pipeline.shards
    targets = list(pipeline.targets) if several else []
    name = f"{pipeline.provider}-shards.yml" if pipeline.shards else f"{pipeline.provider}.yml"
    layout = _lay_out_github if pipeline.provider == "github" else _lay_out_gitlab
    source = pipeline.source
    return templates.get_template(name).render(
        action=f"{source.repository}@{source.commit}" if source else _PLACEHOLDER,
        image=f"{IMAGE}@{load_pins()['images'][IMAGE]}",
        pins={name: format_pin(name) for name in load_pins()["actions"]},
        pipeline=pipeline,
        source=source,
        targets=targets,
        **layout(pipeline, targets),
    )


@cache
def load_pins() -> Mapping[str, Any]:
    """Return the pinned versions: `actions` by name, and digests of `images`."""
    return tomllib.loads((Path(__file__).parent / "templates" / "pins.toml").read_text("utf-8"))


def format_pin(name: str) -> str:
    """Return what stands behind `uses:` for an action."""
    pin = load_pins()["actions"][name]
    return f"{name}@{pin['commit']} # {pin['version']}"


def _lay_out_github(pipeline: Pipeline, targets: Sequence[str]) -> dict[str, str]:
    """Return the parts of a workflow that depend on the number of targets and secrets."""
    parts = {
        "key_lines": _format_environment(pipeline),
        "apply_lines": _format_environment(pipeline, pipeline.webhooks),
    }
    parts["checked"] = "validate, shards, plan, report" if pipeline.shards else "validate, plan"
    if not targets:
        name = pipeline.targets[0]
        return {**parts, "target_name": name, "suffix": "", "matrix": "", "with_target": ""}
    matrix = (
        *("strategy:", "  fail-fast: false", "  matrix:"),
        f"    target: {json.dumps(targets)}",  # quoted: a name may look like a number
    )
    return {
        **parts,
        "target_name": "${{ matrix.target }}",
        "suffix": "-${{ matrix.target }}",
        "matrix": "".join(f"    {line}\n" for line in matrix),
        "with_target": "          target: ${{ matrix.target }}\n",
    }


def _format_environment(pipeline: Pipeline, more: Sequence[str] = ()) -> str:
    """Return the lines of `env` of a step: secrets, and the host."""
    lines = [f"{name}: ${{{{ secrets.{name} }}}}" for name in (*pipeline.keys, *more)]
    if pipeline.allowed_keys:
        lines.append(f"RECONCILER_ALLOWED_KEY_ENVS: {pipeline.allowed_keys}")
    lines.append("POSTHOG_HOST: ${{ vars.POSTHOG_HOST }}")
    return "".join(f"          {line}\n" for line in lines)


def _lay_out_gitlab(pipeline: Pipeline, targets: Sequence[str]) -> dict[str, str]:
    """Return the parts of a pipeline that depend on the number of targets."""
    if not targets:
        name = pipeline.targets[0]
        return {"target_name": name, "suffix": "", "matrix": "", "option": ""}
    matrix = f"  parallel:\n    matrix:\n      - TARGET: {json.dumps(targets)}\n"
    option = ' --target "$TARGET"'
    return {"target_name": "$TARGET", "suffix": "-$TARGET", "matrix": matrix, "option": option}
