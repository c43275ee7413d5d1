"""Read the flags and policies of a target, and report which policies cover which flags."""

from reconciler.config.edit import emitter, selection
from reconciler.config.edit.documents import DocumentShape, Item
from reconciler.config.edit.selection import Choice
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access
from reconciler.live import reader as live_reader
from reconciler.model import Address, Unreadable
from reconciler.plan import coverage
from reconciler.plan.coverage import CoverageReport, PolicyCopy
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class ReadCoverage:
    """A report, the documents that it asks for as YAML, and what could not be read."""

    report: CoverageReport
    documents: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]


def read_coverage(reader: Reader, organization: str | None) -> ReadCoverage:
    """Report on an organization, or on all that the key can see."""
    directory = key_access.read_directory(reader)
    organizations = (organization,) if organization is not None else ()
    choice = Choice(("FeatureFlag", "ApprovalPolicy"), organizations)
    choice.check_names(directory.projects)
    pins = {
        Address("Project", (slug, name)): selection.find_oldest_id(ids)
        for slug, projects in directory.projects.items()
        for name, ids in projects.items()
    }
    wanted = tuple(choice.list_collections(directory.projects))
    live = live_reader.read_live(reader, directory, wanted, pins)
    report = coverage.report_coverage(live)
    return ReadCoverage(report, tuple(map(_write_document, report.copies)), live.unreadable)


def _write_document(copy: PolicyCopy) -> str:
    document = DocumentShape().build_document(Item(copy.address, copy.source.spec))
    return emitter.format_document(document)
