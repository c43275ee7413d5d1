"""What must hold after every run, read off the server's ledger, request log and state.

Knows documents and rows as plain values; no code of the program decides anything here. Each
invariant has a number and a name, under which a schedule that breaks it is told.
"""

import json
from collections import Counter
from dataclasses import dataclass

from tests.harness.scenario import touched
from tests.harness.wanted import (
    SETTINGS,
    address,
    changed,
    flag_of,
    holds,
    is_about,
    is_absent,
    kind_of,
    rollout,
)

CI = "ci@acme.test"
OURS = (
    *("FeatureFlag", "ApprovalPolicy", "Role", "RoleMembership", "OrganizationMembership"),
    "ExperimentHoldout",
)
KINDS = (*OURS, "Organization", "Project")
COLLECTIONS = {
    "FeatureFlag": "feature_flags",
    "ApprovalPolicy": "approval_policies",
    "Role": "roles",
    "RoleMembership": "role_memberships",
    "OrganizationMembership": "members",
    "Organization": "organizations",
    "Project": "projects",
    "ExperimentHoldout": "experiment_holdouts",
}
WIRE = ("reset", "hang", "drip", "status", "throttle", "truncate", "mutate")
LOST = ("after", "mid_body", "late_commit")  # points at which a write is done and its answer lost


@dataclass(frozen=True)
class Seen:
    """One command and what the server has to say of it."""

    done: object
    before: int  # rows of the ledger before it
    ledger: list
    requests: list  # of this command
    state: dict


class Violation(AssertionError):  # noqa: N818  what it is called in the books
    """An invariant that does not hold, by its name."""

    def __init__(self, name, about):
        super().__init__(f"{name}: {about}")
        self.name = name


def need(holds, name, about=""):
    if not holds:
        raise Violation(name, about)


# --- invariants of one ledger ---


def check_ledger(scenario, ledger, requests):
    """No duplicate, no lost update, nothing undeclared, no unasked delete, no gate passed by."""
    by_request = {row["n"]: row for row in requests}
    ours = [row for row in ledger if row["user"] == CI and kind_of(row) in KINDS]
    _created_once(ledger)
    _nothing_lost(ledger, ours, requests)
    _only_what_is_declared(scenario, ours)
    _only_declared_in_projects(scenario, ours)
    _only_asked_deletes(scenario, ours)
    _gates_are_met(ledger)
    _one_request_an_intent(ledger, by_request, scenario.forgiven)
    votes = [r for r in requests if r["user"] == CI and r["path"].endswith(("approve/", "reject/"))]
    need(not votes, "I9-never-votes", votes)


def _created_once(ledger):
    """I6: at no time two live objects of one natural key."""
    live = {}
    for row in ledger:
        kind = kind_of(row)
        if kind not in OURS:
            continue
        for side, value in (("before", row["before"]), ("after", row["after"])):
            if value is None:
                continue
            key = _natural(kind, value)
            gone = side == "before" or value.get("deleted")
            live.setdefault(key, set())
            live[key].discard(row["object"]) if gone else live[key].add(row["object"])
            need(len(live[key]) <= 1, "I6-created-twice", (key, row))


def _natural(kind, value):
    match kind:
        case "FeatureFlag":
            return kind, value["project"], value["key"]
        case "ApprovalPolicy":
            return kind, value["project"], value["action_key"]
        case "ExperimentHoldout":
            return kind, value["project"], value["name"]
        case "Role":
            return kind, value["organization"], value["name"].casefold()
        case "RoleMembership":
            return kind, value["role"], value["user"]
        case _:
            return kind, value["id"]


def _nothing_lost(ledger, ours, requests):
    """I7: what somebody else wrote is overwritten only after we have read it."""
    for row in ours:
        if row["effect"] != "update":
            continue
        fields = changed(row)
        others = [
            other
            for other in ledger
            if other["n"] < row["n"]
            and other["object"] == row["object"]
            and other["user"] != CI
            and other["request"] is not None
            and not _unseen(other, row, requests)
            and changed(other) & fields
        ]
        if not others:
            continue
        last = others[-1]["request"]
        read = [
            r
            for r in requests
            if r["method"] == "GET"
            and r["user"] == CI
            and r["status"] == 200
            and last <= r["n"] < row["request"]
            and "stale" not in (r["fault"] or "")
        ]
        need(read, "I7-lost-update", (others[-1], row))


def check_fresh(rows, requests):
    """I7: in one run nothing is overwritten that somebody else has moved since it was read.

    The decision was made on the first read; one just before the write may end it, and does not
    make it another decision. What moves after that one only a flag's version can refuse.
    """
    fault = {r["n"]: r["fault"] or "" for r in requests}
    for row in rows:
        if row["user"] != CI or row["effect"] != "update" or kind_of(row) not in KINDS:
            continue
        read = [n for n in _list_reads(requests, row) if n < row["request"]]
        begin, end = (read[0], read[-1]) if read else (0, 0)
        if kind_of(row) == "FeatureFlag":
            end = row["request"]
        between = [
            other
            for other in rows
            if other["n"] < row["n"]
            and other["object"] == row["object"]
            and other["user"] != CI
            and begin <= (other["request"] or 0) <= end
            and not (other["request"] == begin and "@before" in fault.get(begin, ""))
            and not (other["request"] == end != row["request"] and "@after" in fault.get(end, ""))
            and changed(other) & changed(row)
            and not applied_by(other, rows)
        ]
        need(not between, "I7-overwritten-in-one-run", (between, row))


def _list_reads(requests, row):
    """Return the requests whose answers could be read and had the object of a row."""
    id_ = row["object"].partition("/")[2]
    ends = f"/{COLLECTIONS[kind_of(row)]}/"
    places = (ends, f"{ends}{id_}/")
    if any(isinstance(name, tuple) for name in changed(row)):  # a rule
        own = any("project" in name for name in changed(row))
        places = (f"{ends}{id_}/{'' if own else 'resource_'}access_controls/",)
    spoils = ("stale", "empty_list", *WIRE)
    return [
        r["n"]
        for r in requests
        if (r["method"], r["user"], r["status"]) == ("GET", CI, 200)
        and not any(word in (r["fault"] or "") for word in spoils)
        and r["path"].endswith(places)
    ]


def _unseen(other, row, requests):
    """Whether it came after every read: the one just before the write, or the write itself.

    Only a flag's version can refuse that write; the other kinds have none to send.
    """
    if kind_of(row) == "FeatureFlag":
        return False
    before = [r for r in requests if r["n"] < row["request"]]
    begin = max((r["n"] for r in before if r["path"] == "/api/organizations/"), default=0)
    read = [n for n in _list_reads(before, row) if n >= begin]
    looked_again = len(read) > 1
    return other["request"] == row["request"] or (looked_again and other["request"] >= read[-1])


def applied_by(row, rows):
    """Whether a row is an approved change of ours, which stands under the voter's name."""
    return any(
        kind_of(one) == "ChangeRequest"
        and one["request"] == row["request"]
        and (one["after"] or {}).get("state") == "applied"
        for one in rows
    )


def _only_declared_in_projects(scenario, ours):
    """I4: of a project, only rules and settings that a file writes."""
    for row in ours:
        if kind_of(row) != "Project" or row["effect"] != "update":
            continue
        name = row["after"]["name"]
        rules = {
            (resource, part)
            for document in _of(scenario, "ProjectAccess")
            if document["metadata"]["project"] == name
            for resource, parts in document["spec"].items()
            for part in parts or ()
        }
        settings = {
            SETTINGS.get(field, field)
            for document in _of(scenario, "Project")
            if document["metadata"]["name"] == name
            for field in document["spec"]
        }
        for field in changed(row):
            if isinstance(field, tuple):
                resource, role, member = field
                part = "roles" if role else "members" if member else "default"
                need((resource, part) in rules, "I4-undeclared-rule", (field, row))
            else:
                need(field in settings, "I4-undeclared-setting", (field, row))
        _keeps_the_rest(row)


def _keeps_the_rest(row):
    """I4: an object that is sent whole keeps the keys that no file writes."""
    for name, before in (row["before"]["settings"] or {}).items():
        if isinstance(before, dict):
            after = row["after"]["settings"][name]
            lost = {key for key in before if key not in after}
            need(not lost, "I4-lost-part", (name, lost, row))


def _only_what_is_declared(scenario, ours):
    """I4: an update changes declared fields alone, and no object that no file speaks of."""
    flags = {
        (d["metadata"]["project"], d["metadata"]["key"]): d for d in _of(scenario, "FeatureFlag")
    }
    projects = {1: "Web", 2: "Mobile"}
    for row in ours:
        if kind_of(row) != "FeatureFlag" or row["effect"] == "delete":
            continue
        value = row["after"]
        document = flags.get((projects[value["project"]], value["key"]))
        need(document is not None, "I4-unmanaged-touched", row)
        if row["effect"] != "update":
            continue
        declared = set(document.get("spec") or {})
        if (document["metadata"].get("lifecycle") or {}).get("state") == "absent":
            declared |= {"deleted"}
        extra = (
            changed(row) - declared - {"filters"}
            if "filters" in declared
            else (changed(row) - declared)
        )
        extra = {n for n in extra if n != "filters" or _moved(row)}
        need(not extra, "I4-undeclared-field", (extra, row))


def _moved(row):
    """Whether filters moved beyond what the server adds by itself."""
    return rollout(row["before"] or {}) != rollout(row["after"] or {})


def _only_asked_deletes(scenario, ours):
    """I5: a delete by us was asked for by name; a membership leaves with its document's list."""
    absent = {
        d["metadata"]["key"]
        for d in _of(scenario, "FeatureFlag")
        if (d["metadata"].get("lifecycle") or {}).get("state") == "absent"
    }
    for row in ours:
        kind = kind_of(row)
        if kind == "FeatureFlag":
            gone = row["effect"] == "delete" or (
                row["after"]["deleted"] and not (row["before"] or {}).get("deleted")
            )
            # a new flag with the key of a tombstone deletes it for good: nobody's loss
            tomb = row["effect"] == "delete" and row["before"].get("deleted")
            if gone and not tomb:
                need((row["before"] or row["after"])["key"] in absent, "I5-unasked-delete", row)
        elif row["effect"] == "delete" and kind == "ExperimentHoldout":
            gone = {d["metadata"]["name"] for d in _of(scenario, kind) if is_absent(d)}
            need(row["before"]["name"] in gone, "I5-unasked-delete", row)
        elif row["effect"] == "delete":
            need(kind == "RoleMembership", "I5-unasked-delete", row)


def _of(scenario, kind):
    return [document for document in scenario.documents if document["kind"] == kind]


def _gates_are_met(ledger):
    """I8: under an unconditional enabled policy nothing gated moves but by an applied request."""
    policies = {}
    applied = {
        row["request"]
        for row in ledger
        if kind_of(row) == "ChangeRequest" and (row["after"] or {}).get("state") == "applied"
    }
    for row in ledger:
        if kind_of(row) == "ApprovalPolicy":
            value = row["after"]
            if value is None:
                policies.pop(row["object"], None)
            else:
                policies[row["object"]] = value
        if kind_of(row) != "FeatureFlag" or row["effect"] != "update" or row["request"] in applied:
            continue
        before, after = row["before"], row["after"]
        if before["deleted"] or after["deleted"] or row["user"] != CI:
            continue
        strict = {
            p["action_key"]
            for p in policies.values()
            if p["project"] == after["project"] and p["enabled"] and not p["conditions"]
        }
        moved = {
            "feature_flag.enable": after["active"] and not before["active"],
            "feature_flag.disable": before["active"] and not after["active"],
            "feature_flag.update": rollout(before) != rollout(after),
        }
        need(not strict & {a for a, yes in moved.items() if yes}, "I8-gate-passed", row)


def _one_request_an_intent(ledger, by_request, forgiven):
    """I10: no second live request of ours with the same intent, nor again after a rejection.

    A commit after a rejection asks anew: that stands in the first `forgiven` rows.
    """
    live, rejected = {}, Counter()
    for row in ledger:
        if kind_of(row) != "ChangeRequest":
            continue
        value = row["after"] or row["before"]
        intent = value["intent"]
        key = (
            value["project"],
            intent.get("flag_key") or intent.get("holdout_name"),
            value["action_key"],
            json.dumps(intent["gated_changes"], sort_keys=True),
        )
        if row["effect"] == "create" and row["user"] == CI:
            raced = "race" in ((by_request.get(row["request"]) or {}).get("fault") or "")
            need(raced or not live.get(key), "I10-filed-twice", row)
            need(not rejected[key], "I10-filed-after-rejection", row)
        if value["state"] in {"pending", "approved"} and row["after"] is not None:
            live.setdefault(key, set()).add(row["object"])
        else:
            live.get(key, set()).discard(row["object"])
            if value["state"] == "rejected" and row["user"] != CI:
                rejected[key] += row["n"] > forgiven


# --- the report against the ledger ---


def check_report(scenario, seen):
    """I14: each outcome is what the ledger says, totals add up, the code follows from it."""
    done, before, ledger = seen.done, seen.before, seen.ledger
    if not done.out.strip().startswith("{"):
        need(done.code in {1, 4}, "I14-no-report", done.err)
        rows = [r for r in ledger if r["n"] > before and r["user"] == CI and kind_of(r) in KINDS]
        need(not rows, "I14-wrote-without-a-report", rows)
        return
    report = done.json
    documents = {address(d): d for d in scenario.documents}
    names = Counter(row["outcome"] for row in report["results"] if row["action"] != "none")
    total = {
        n: report["summary"].get(n, 0)
        for n in ("done", "failed", "skipped", "waiting", "unchanged")
    }
    total["refused"] = report["summary"].get("refused", 0)
    counted = sum(total.values())  # what could not be read is no change: it is a finding
    whole = counted == len(documents) or (report.get("findings") and counted < len(documents))
    need(whole, "I14-totals", (report["summary"], sorted(documents)))
    for name in ("done", "failed", "skipped", "waiting", "refused"):
        need(names[name] == total[name], "I14-counts", (name, names, total))
    for row in report["results"]:
        _check_row(row, documents[row["address"]], before, ledger)
        document, since = documents[row["address"]], ledger[before:]
        people = [line for line in since if is_about(line, document) and line["user"] != CI]
        if not people and not _lied_to(seen.requests):
            told = row["outcome"] not in {"done", "unchanged"} or holds(seen.state, document)
            need(told, f"I14-{row['outcome']}-but-not-so", (row, document))
    expected = _code(names)
    need(done.code == expected or report.get("findings"), "I14-exit-code", (done.code, names))


def _code(names):
    if names["failed"]:
        return 1
    if names["refused"]:
        return 4
    if names["waiting"]:
        return 3
    return 1 if names["skipped"] else 0


LIES = ("forget", "stale", "empty_list", "shift_page")


def _lied_to(requests):
    """Whether the server said 200 to what was not so: no answer tells that."""
    return [r for r in requests if any(lie in (r["fault"] or "") for lie in LIES)]


def _check_row(row, document, before, ledger):
    """What an outcome says of writes, against those that are in the ledger."""
    by_us = [
        line
        for line in ledger[before:]
        if is_about(line, document) and kind_of(line) != "ChangeRequest" and line["user"] == CI
    ]
    outcome = row["outcome"]
    if outcome == "skipped" or (outcome == "unchanged" and row["action"] == "none"):
        need(not by_us, f"I14-{outcome}-but-written", (row, by_us))
    said = (row.get("error") or {}).get("state") or ""
    if outcome in {"failed", "refused"} and said.startswith("not sent") and not row["attempts"]:
        need(not by_us, "I14-not-sent-but-written", (row, by_us))
    if outcome == "waiting":
        id_ = row["change_request"]
        held = [r for r in ledger if r["object"] == f"ChangeRequest/{id_}"]
        need(held, "I14-waits-for-nothing", row)


# --- economy ---


def check_economy(requests, *, plan=False):
    """I2, I6: a plan reads only; a write is not sent again without a read in between."""
    ours = [r for r in requests if r["user"] in {CI, None}]
    writes = [r for r in ours if r["method"] != "GET"]
    if plan:
        need(not writes, "I2-plan-wrote", writes)
    last = {}
    for row in ours:
        if row["method"] == "GET":
            last.clear()
            continue
        key = (row["method"], row["path"])
        old = last.get(key)
        item = row["method"] in {"PATCH", "DELETE"}
        if old is not None and item and _unclear(old):
            raise Violation("I6-sent-again-without-a-read", (old, row))
        last[key] = row
    need(len(ours) < 400, "I17-too-many-requests", len(ours))


def _unclear(row):
    """Whether what became of a write could not be known: no answer, or a failure."""
    fault = row["fault"] or ""
    if "refuse" in fault or row["status"] == 429:
        return False
    parts = [part.partition("@") for part in fault.split(", ")]
    lost = any(point in LOST and effect in WIRE for effect, _, point in parts)
    return row["status"] is None or row["status"] >= 500 or lost


def untouched(scenario, state):
    """I4: what no file speaks of is as it was."""
    flag, was = flag_of(state, "Web", "legacy"), touched(scenario, "legacy")
    need(flag is not None, "I4-legacy-gone")
    need(
        (rollout(flag), flag["active"], flag["name"]) == (33, was["active"], was["name"]),
        "I4-legacy",
    )
