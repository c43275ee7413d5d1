"""What people type who know Terraform, kubectl or decK: carried out, or the right name given.

A synonym that means exactly the same is replaced. Every other one is a usage error that names the
command or the option to use.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import click

from reconciler.errors import UsageError

SAME_COMMANDS: Final[Mapping[str, str]] = {
    "check": "validate",
    "diff": "plan",
    "lint": "validate",
    "preview": "plan",
}
OTHER_COMMANDS: Final[Mapping[str, str]] = {
    "console": "reconciler explain describes kinds and fields",
    "delete": "remove the document, or write `state: absent` in `lifecycle`; then reconciler plan",
    "describe": "reconciler list --select NAME, or reconciler explain KIND",
    "destroy": "write `state: absent` in `lifecycle` of a document; then reconciler plan",
    "dump": "reconciler pull writes the live resources to files",
    "export": "reconciler pull writes the live resources to files",
    "fmt": "no command changes the layout of files; reconciler validate checks them",
    "get": "reconciler list --live",
    "history": "reconciler activity list",
    "import": "reconciler pull writes the live resources to files",
    "login": "set POSTHOG_API_KEY; reconciler doctor checks it",
    "logs": "reconciler activity list",
    "output": "reconciler list --format json",
    "ping": "reconciler doctor",
    "providers": "reconciler explain lists the kinds",
    "refresh": "every plan reads PostHog again; reconciler drift shows what changed there",
    "rollback": "git revert the commit, then reconciler apply",
    "state": "there is no state file; reconciler list and reconciler status show what is known",
    "sync": "reconciler apply",
    "unlock": "there are no locks; run the command",
    "workspace": "reconciler --target NAME chooses a target of reconciler.yaml",
}
# An option, and the words that replace it. "=" at the end: the value goes there.
SAME_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "--auto-approve": ("--yes",),
    "--context": ("--target=",),
    "--json": ("--format", "json"),
    "--no-color": ("--color", "never"),
    "--output": ("--format=",),
    "--parallelism": ("--concurrency=",),
    "-auto-approve": ("--yes",),
    "-chdir": ("--chdir=",),
    "-detailed-exitcode": ("--detailed-exitcode",),
    "-json": ("--format", "json"),
    "-no-color": ("--color", "never"),
    "-o": ("--format=",),
    "-out": ("--out=",),
    "-parallelism": ("--concurrency=",),
    "-target": ("--select=",),
    "-version": ("--version",),
}
OTHER_OPTIONS: Final[Mapping[str, str]] = {
    "--dry-run": "reconciler plan shows what apply would do",
    "--filename": "write the path without an option: reconciler plan PATH",
    "--refresh-only": "reconciler drift",
    "--watch": "run the command again, or apply --wait DURATION",
    "-compact-warnings": "leave it out",
    "-destroy": "write `state: absent` in `lifecycle` of the documents",
    "-f": "write the path without an option: reconciler plan PATH",
    "-input": "leave it out; apply asks on a terminal only",
    "-lock": "leave it out; there are no locks",
    "-refresh": "leave it out; every plan reads PostHog",
    "-refresh-only": "reconciler drift",
    "-replace": "leave it out; resources are changed in place",
    "-state": "leave it out; there is no state file",
    "-var": "leave it out; files have no variables, overlays differ by target",
    "-var-file": "leave it out; files have no variables, overlays differ by target",
    "-w": "run the command again, or apply --wait DURATION",
}


def resolve_command_name(name: str) -> str:
    """Return the command that a word means; UsageError with its name if it is not quite that."""
    if name in OTHER_COMMANDS:
        raise UsageError(f"no such command: {name}", fix=OTHER_COMMANDS[name])
    return SAME_COMMANDS.get(name, name)


def translate_options(words: Sequence[str], command: click.Command) -> Iterator[str]:
    """Yield the words after a command with the options of other tools replaced.

    What the command itself accepts stays, as does the value of an option and what follows `--`.
    """
    own = {name: each for each in command.params for name in each.opts + each.secondary_opts}
    rest = iter(words)
    for word in rest:
        ends_options = word == "--"
        begins_command = isinstance(command, click.Group) and not word.startswith("-")
        if ends_options or begins_command:
            yield from (word, *rest)
            return
        name, equals, value = word.partition("=")
        parameter = own.get(name)
        if parameter is not None or not name.startswith("-"):
            yield word
            if _takes_next_word(parameter, equals):
                yield from _yield_next_word(rest)
            continue
        if isinstance(command, click.Group) and not _means_own(name, own):
            raise UsageError(f"{name} belongs to a command", fix="write it after the command")
        if name in OTHER_OPTIONS:
            raise UsageError(f"no such option: {name}", fix=OTHER_OPTIONS[name])
        yield from _translate_option(word, equals, value, own, rest)


def _means_own(name: str, own: Mapping[str, click.Parameter]) -> bool:
    """Return whether a synonym stands for an option of the command; True if it is not one."""
    replaced = SAME_OPTIONS.get(name)
    return replaced is None or replaced[0].removesuffix("=") in own


def _takes_next_word(parameter: click.Parameter | None, equals: str) -> bool:
    if not isinstance(parameter, click.Option) or equals:
        return False
    return not (parameter.is_flag or parameter.count)


def _translate_option(
    word: str,
    equals: str,
    value: str,
    own: Mapping[str, click.Parameter],
    rest: Iterator[str],
) -> Iterator[str]:
    replaced = SAME_OPTIONS.get(word.partition("=")[0], ())
    if not replaced or replaced[0].removesuffix("=") not in own:
        yield word
    elif not replaced[0].endswith("="):
        yield from replaced
    elif equals:
        yield replaced[0] + value
    else:
        yield replaced[0].removesuffix("=")
        yield from _yield_next_word(rest)


def _yield_next_word(rest: Iterator[str]) -> Iterator[str]:
    """Yield the next word, if there is one: it is a value."""
    yield from (word for word in (next(rest, None),) if word is not None)
