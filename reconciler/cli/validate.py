"""`reconciler validate`: the files, offline, every error at once."""

import click

from reconciler.cli import options
from reconciler.cli.session import Session


@click.command("validate", epilog="Example: reconciler validate config/")
@options.paths
@options.formats("text", "json")
@click.pass_obj
def command(session: Session, paths: tuple[str, ...], format_: str) -> int:
    """Check YAML, schema, references and duplicates. Contacts nothing."""
    from reconciler.errors import ConfigError
    from reconciler.render import text

    try:
        _, loaded = session.load(paths)
    except ConfigError as error:
        if format_ == "json" and error.findings:
            from reconciler.render import json as as_json

            click.echo(as_json.findings(error.findings))
            return error.exit_code
        raise
    findings = loaded.declared.findings
    if format_ == "json":
        from reconciler.render import json as as_json

        click.echo(as_json.findings(findings))
        return 0
    if findings:
        click.echo(text.findings(findings, color=session.color), err=True, color=True)
    count = len(loaded.declared.resources) + len(loaded.templates)
    warned = f", {len(findings)} warning{'s' if len(findings) != 1 else ''}" if findings else ""
    click.echo(f"Valid: {count} resource{'s' if count != 1 else ''}{warned}.")
    return 0
