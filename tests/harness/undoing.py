"""Build a run, undo it, and compare the states before and after."""

import copy
import json

from tests import acme
from tests.harness import oracle
from tests.harness.driver import Driver
from tests.harness.oracle import CI, kind_of, need
from tests.harness.scenario import touched

LIFTED = ("--allow-weakening",)
ALWAYS = acme.document("Member", {"level": "admin"}, email="carol@acme.test")  # in all files
SEEN = ("key", "name", "active", "tags")


def files_before(scenario):
    """The documents before the run, with each field that the run writes."""
    return [before for document in scenario.documents for before in _before(scenario, document)]


def _before(scenario, document):
    meta, spec = document["metadata"], document.get("spec") or {}
    match document["kind"]:
        case "FeatureFlag":
            flag = touched(scenario, meta["key"])
            if flag is None:
                return
            names = spec.keys() or {"name", "active", "filters"}
            fields = {name: flag[name] for name in names}
            yield acme.flag(meta["key"], project=meta["project"], **copy.deepcopy(fields))
        case "Role" if meta["name"] == "Keepers":
            yield acme.document("Role", {"members": ["alice@acme.test"]}, name="Keepers")
        case "ApprovalPolicy":
            seeded = scenario.seed["organizations"][0]["projects"][1]["approval_policies"]
            if any(policy["action_key"] == meta["action"] for policy in seeded):
                approvers = {"quorum": 1, "users": ["alice@acme.test", "bob@acme.test"]}
                fields = {"approvers": approvers, "allow_self_approve": False, "enabled": False}
                place = {"project": meta["project"], "action": meta["action"]}
                yield acme.document("ApprovalPolicy", fields, **place)
        case "Member":
            yield acme.document("Member", {"level": "member"}, email=meta["email"])
        case "Organization":
            yield acme.document("Organization", {"enforce_2fa": False})


def _without_empty(value):
    """Filters without the keys that PostHog adds by itself when it saves them."""
    if isinstance(value, dict):
        return {name: _without_empty(part) for name, part in value.items() if part is not None}
    return [_without_empty(part) for part in value] if isinstance(value, list) else value


def compare(state):
    """What a state consists of, without ids, versions and times."""
    (organization,) = state["organizations"]
    return {
        "flags": {
            (project["name"], flag["key"]): [
                *(flag.get(name) for name in SEEN),
                json.dumps(_without_empty(flag["filters"]), sort_keys=True),
            ]
            for project in organization["projects"]
            for flag in project.get("feature_flags", ())
            if not flag.get("deleted")
        },
        "policies": {
            (project["name"], policy["action_key"]): [
                policy["enabled"],
                policy["allow_self_approve"],
                json.dumps(policy["approver_config"], sort_keys=True),
            ]
            for project in organization["projects"]
            for policy in project.get("approval_policies", ())
        },
        "roles": {
            role["name"]: sorted(member["email"] for member in role["members"])
            for role in organization["roles"]
        },
        "members": {member["email"]: member["level"] for member in organization["members"]},
        "2fa": bool(organization["settings"]["enforce_2fa"]),
    }


class Undoing:
    """A repository whose last run is undone."""

    def __init__(self, sandbox, folder, scenario, seed):
        sandbox.reset(scenario.seed)
        self.scenario, self.seed = scenario, seed
        self.driver = Driver(folder, sandbox, seed=seed)
        self._apply([ALWAYS, *files_before(scenario)])
        self.before = compare(sandbox.state())
        self.rows = 0  # of the ledger when the run had ended

    def _apply(self, documents):
        self.driver.write("all.yaml", *documents)
        self.driver.commit()
        done = self.driver.go("apply", "--yes", *LIFTED)
        need(done.code == 0, "base-not-applied", done.out + done.err)

    def run(self, faults, *, converges):
        """Apply the files of the scenario under faults; with `converges`, until they hold."""
        self.driver.write("all.yaml", ALWAYS, *self.scenario.documents)
        self.driver.commit()
        self.driver.faults(faults, self.seed)
        arguments = ("apply", "--yes", "--confirm-deletes", "1", *LIFTED)
        done = self.driver.go(*arguments)
        self.driver.faults([])
        self.driver.token = "phx_ci_spare"  # of the same user: the other may have been revoked
        for _ in range(5 if converges and done.code != 0 else 0):
            self.driver.approve_all()
            done = self.driver.go("apply", "--yes", *LIFTED)
            if done.code == 0:
                break
        self.rows = len(self.driver.ledger())

    def undo(self, faults):
        """Undo the run under faults, then without, until nothing is left; the last plan."""
        for number in range(8):
            self.driver.faults(faults if number == 0 else [], self.seed)
            done = self.driver.go("undo", "HEAD", "--out", "u.json", "--format", "json", *LIFTED)
            if done.code == 1 and number == 0:
                continue  # it could not be read under faults
            need(done.code in {0, 1, 4}, "undo-failed", done.err)
            document = done.json
            deletes = sum(row["action"] == "delete" for row in document["changes"])
            confirmed = ("--confirm-deletes", str(deletes)) if deletes else ()
            self.driver.go("apply", "u.json", "--yes", "--continue", *confirmed, *LIFTED)
            self.driver.faults([])
            self.driver.token = "phx_ci_spare"
            self._decide(document)
            if not document["changes"]:
                break
        return document

    def _decide(self, document):
        """People approve what the undo asks for, and cancel what the run asked for."""
        for row in document["findings"]:
            if row["code"] == "undo-request-open":
                request = row["fix"].rpartition(" ")[2]
                self.driver.go("requests", "cancel", request, "--yes")
        self.driver.approve_all()

    def check_restored(self, document):
        """All is as before the run, and there is nothing to undo."""
        after = compare(self.driver.sandbox.state())
        need(not document["changes"], "undo-does-not-converge", document["changes"])
        different = [
            (part, was, after[part]) for part, was in self.before.items() if was != after[part]
        ]
        need(not different, "undo-does-not-restore", (different, document["findings"]))
        listed = self.driver.sandbox.state()["organizations"][0]["projects"]
        waiting = [
            request
            for project in listed
            for request in project.get("change_requests", ())
            if request["state"] in {"pending", "approved"}
        ]
        need(not waiting, "undo-leaves-requests", waiting)

    def check_nothing_overwritten(self):
        """What people changed after the run is as they left it."""
        ledger = self.driver.ledger()
        for number, row in enumerate(ledger):
            is_ours = row["user"] == CI and row["request"] is not None
            if number < self.rows or not is_ours or kind_of(row) not in oracle.KINDS:
                continue
            earlier = [
                other
                for other in ledger[self.rows : number]
                if other["object"] == row["object"]
                and other["user"] != CI
                and not oracle.applied_by(other, ledger)
                and oracle.changed(other) & oracle.changed(row) - {"version", "updated_at"}
            ]
            need(not earlier, "undo-overwrites", (earlier, row))
