"""Check files against what only PostHog knows: names, approvers, plan features, key scopes."""

from reconciler.config import loaded as config_loaded
from reconciler.config.lint import live_checks
from reconciler.errors import ApiError, AuthenticationError
from reconciler.files import excerpts as files_excerpts
from reconciler.live import key_access
from reconciler.live import reader as live_reader
from reconciler.model import Finding
from reconciler.operations.plan import find_pins
from reconciler.plan import satisfiability, selection
from reconciler.plan.diff import references
from reconciler.plan.selection import PlanOptions
from reconciler.posthog.client import Reader


def validate(
    reader: Reader, loaded: config_loaded.Loaded, options: PlanOptions
) -> tuple[Finding, ...]:
    """Return what only the live side can say about the files: names, approvers, plan, scopes."""
    directory = key_access.read_directory(reader)
    names = directory.project_names()
    desired = selection.select_declared(config_loaded.expand_templates(loaded, names), options)
    pinned = find_pins(desired, directory)
    addresses = desired.resources.keys()
    named = references.list_id_references(addresses, desired)
    live = live_reader.read_live(reader, directory, addresses, pinned, named=named)
    live = live_reader.read_gates(reader, live, directory, (), pinned)  # who the key acts as
    seen = satisfiability.assess(desired, live)
    findings = live_checks.check_live(
        desired,
        live,
        unresolved=seen.unresolved,
        refused=seen.refused,
        obstacles=seen.obstacles,
        scopes=read_key_scopes(reader),
        templates=[
            (
                template,
                config_loaded.list_project_names(template.organization, loaded.declared, names),
            )
            for template in loaded.templates
            if template.organization in names
        ],
    )
    return tuple(files_excerpts.attach_excerpt(finding) for finding in findings)


def read_key_scopes(reader: Reader) -> frozenset[str] | None:
    """Return what the key may do, where the server says so; None elsewhere."""
    try:
        key = reader.get("/api/personal_api_keys/@current/")
    except AuthenticationError:
        raise
    except ApiError:
        return None
    scopes = key.get("scopes") if isinstance(key, dict) else None
    return frozenset(map(str, scopes)) if isinstance(scopes, list) and scopes else None
