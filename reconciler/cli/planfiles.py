"""Read the plans that commands are given as files, and save those that they make."""

import shlex
from typing import Final

import click

from reconciler.cli.parsing import guardrail_options
from reconciler.cli.session import Session
from reconciler.errors import ConfigError, ReconcilerError, explain_refusal
from reconciler.files import result_files
from reconciler.model import Plan
from reconciler.planfile import codec, digest
from reconciler.planfile.codec import Saved

_MAX_BYTES: Final = 512 * 1024 * 1024


def read_plan(name: str) -> Saved:
    """Return the plan in a file, exactly as it was written; raise an error that says why not."""
    try:
        return codec.load_plan(result_files.read_whole_file(name, _MAX_BYTES))
    except (OSError, UnicodeDecodeError) as error:
        raise ReconcilerError(
            f"{name} cannot be read as a plan",
            why=explain_refusal(error, otherwise="it is not UTF-8 text"),
            state="nothing was contacted, nothing was written",
            fix="name a file that `reconciler plan --out FILE` wrote",
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{name} is {error.what}", why=error.why, fix=error.fix) from error


def save_plan(session: Session, planned: Plan, out: str) -> None:
    """Write a plan to a file, and say which command applies it."""
    document = codec.encode_plan(planned)
    result_files.write_private(out, digest.format_document(document))
    session.note(f"saved {document['digest']}; to apply it: {_spell_apply(session, out)}")


def _spell_apply(session: Session, out: str) -> str:
    """Return the command that applies a saved plan, with the options that have to be repeated.

    What lifts a guardrail is not kept in a plan: anybody who can write one could add
    it. Which side of a conflict won is kept, for the plan shows what is written.
    """
    context = click.get_current_context()
    words = ["reconciler", *(["--target", session.target_name] if session.target_name else [])]
    words += ["apply", out]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name not in guardrail_options.NAMES or not value:
            continue
        option = parameter.opts[0]
        if value is True:
            words.append(option)
        else:
            each = value if isinstance(value, tuple) else (value,)
            words += [word for item in each for word in (option, str(item))]
    return shlex.join(words)
