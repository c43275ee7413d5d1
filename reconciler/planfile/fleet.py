"""Convert the report of a fleet to the document of schemas/fleet.schema.json, and back. Pure."""

from typing import Any, Final

from reconciler.lazy_pattern import compile_later
from reconciler.model import (
    DriftCause,
    FleetMode,
    FleetReport,
    RequestCounts,
    Shard,
    TargetResult,
    WaitingRequest,
)
from reconciler.planfile.codec import make_plain
from reconciler.planfile.digest import format_document
from reconciler.planfile.outcomes import read_problem
from reconciler.planfile.reader import Node, build_error

FORMAT_VERSION: Final = 1
_NAME: Final = compile_later(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def encode_fleet(report: FleetReport) -> dict[str, Any]:
    """Return the report as a document."""
    document: dict[str, Any] = make_plain(
        {
            "format_version": FORMAT_VERSION,
            "mode": report.mode,
            "commit": report.commit,
            "targets": report.targets,
            "causes": report.causes,
            "waiting": report.waiting,
            "exit_code": report.exit_code,
        }
    )
    if report.shard is not None:
        document["shard"] = make_plain(report.shard)
    return document


def dump_fleet(report: FleetReport) -> str:
    """Return the document as text: ASCII, two spaces, the order of the interface."""
    return format_document(encode_fleet(report))


def decode_fleet(document: Any) -> FleetReport:
    """Return the report in a document; raise ConfigError if it is not a report of a fleet."""
    node = Node(document, "")
    if (version := node["format_version"].count()) != FORMAT_VERSION:
        raise build_error(
            f"its format_version is {version}, and this program reads {FORMAT_VERSION}"
        )
    return FleetReport(
        mode=node["mode"].word(FleetMode),
        commit=node["commit"].maybe(Node.text),
        targets=node["targets"].each(_read_result),
        causes=node["causes"].each(_read_cause),
        waiting=node["waiting"].each(_read_waiting),
        exit_code=node["exit_code"].count(),
        shard=node["shard"].maybe(_read_shard),
    )


def _read_result(node: Node) -> TargetResult:
    requests = node["requests"]
    return TargetResult(
        target=_read_name(node["target"]),
        exit_code=node["exit_code"].maybe(Node.count),
        seconds=read_seconds(node["seconds"]),
        requests=RequestCounts(requests["reads"].count(), requests["writes"].count()),
        summary=node["summary"].values(lambda total: total.value),
        skipped_because=node["skipped_because"].maybe(Node.text),
        error=node["error"].maybe(read_problem),
    )


def _read_name(node: Node) -> str:
    """Return the name of a target, which is also that of its folder; raise ConfigError."""
    if not _NAME.fullmatch(name := node.text()):
        raise build_error(f"{node.path} is not the name of a target: {name!r}")
    return name


def read_seconds(node: Node) -> float:
    """Return a number of seconds; raise ConfigError."""
    if isinstance(node.value, float) and node.value >= 0:
        return node.value
    return float(node.count())


def _read_cause(node: Node) -> DriftCause:
    return DriftCause(
        person=node["person"].maybe(Node.text),
        kind=node["kind"].text(),
        path=node["path"].text(),
        live=node["live"].value,
        targets=node["targets"].each(Node.text),
        addresses=node["addresses"].each(Node.address),
    )


def _read_waiting(node: Node) -> WaitingRequest:
    return WaitingRequest(
        target=node["target"].text(),
        address=node["address"].address(),
        id=node["id"].maybe(Node.text),
        waiting_for=node["waiting_for"].each(Node.text),
        expires_at=node["expires_at"].maybe(Node.text),
        quorum=node["quorum"].maybe(Node.count),
        approved_by=node["approved_by"].each(Node.text),
        url=node["url"].maybe(Node.text),
    )


def _read_shard(node: Node) -> Shard:
    return Shard(node["index"].count(), node["count"].count(), node["fleet"].each(_read_name))
