"""Every sentence that people read is replaced by a random one, and nothing else may change.

Each world runs twice through the real commands: as the program is, and reworded. Compared are exit
codes, documents without their texts, what was sent, and what PostHog committed.
"""

import datetime as dt
import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests import acme
from tests.cli.gate_states import FLAGS, REQUESTS, every_gate
from tests.cli.saved import seed
from tests.cli.test_drift import edit as by_hand
from tests.harness import reworded, rewording

TEXTS = {"message", "why", "fix", "breaks", "excerpt", "width", "reason", "created_at", "digest"}
NOW = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")  # of commits, so that all have one id
GIVEN = {"note", "condition"}  # whether there is one
PROBLEM = {"what", "why", "state", "fix"}
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
RISE = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 20}
ROLE = acme.document("Role", {"members": ["bob@acme.test"]}, name="Managers")


def facts(value):
    """A document without texts for people."""
    if isinstance(value, list):
        return [facts(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == PROBLEM:
        return "a problem"
    found = {name: facts(item) for name, item in value.items() if name not in TEXTS}
    found |= {name: bool(found[name]) for name in GIVEN & found.keys()}
    if "cannot_approve" in found:
        found["cannot_approve"] = sorted(found["cannot_approve"])
    return found


class Watched:
    """A repository that keeps what can be seen of each command."""

    def __init__(self, repo):
        self.repo, self.seen = repo, []
        repo.write(".gitignore", ".reconciler/\n")  # its files are named after the time

    def run(self, *arguments, token=None):
        """Run a command; its exit code, and its document if it prints one."""
        done = self.repo.run(*arguments, token=token)
        document = json.loads(done.out) if "json" in arguments and done.out else None
        self.seen.append((arguments, done.code, facts(document)))
        return done

    def commit(self):
        self.repo.commit(GIT_AUTHOR_DATE=NOW, GIT_COMMITTER_DATE=NOW)

    def plan(self, *options):
        return self.run("plan", "--format", "json", "--detailed-exitcode", *options)

    def apply(self, *options, token=None):
        arguments = ("apply", *options, "--yes", "--concurrency", "1", "--format", "json")
        return self.run(*arguments, token=token)

    def approve_all(self):
        """Alice and Bob agree to everything that is open."""
        for request in self.repo.run("requests", "list", "--format", "json").json:
            for who in ("alice", "bob"):
                path = f"{REQUESTS}{request['id']}/approve/"
                self.repo.sandbox.call("POST", path, {}, token=f"phx_{who}")

    def sent(self):
        """What was sent: reads in any order, writes in theirs; and what came of it."""
        rows = [
            (r["method"], r["path"], r["status"], r["user"]) for r in self.repo.sandbox.requests()
        ]
        reads = Counter(UUID.sub("…", str(row)) for row in rows if row[0] == "GET")
        ledger = self.repo.sandbox.call("GET", "/_sandbox/ledger")[1]
        return [sorted(reads.items()), [row for row in rows if row[0] != "GET"], facts(ledger)]


def gates(world):
    it = Watched(every_gate(world))
    it.plan()
    it.apply()
    it.approve_all()
    it.plan()
    it.apply()
    return it


def saved_plan(world):
    it = Watched(every_gate(world))
    it.run("plan", "--out", "plan.json")
    it.run("show", "plan.json", "--format", "json")
    by_hand(it.repo, f"{FLAGS}104/", {"name": "by hand"}, "alice")
    it.apply("plan.json")
    it.apply("plan.json", "--continue")
    it.approve_all()
    it.apply("plan.json", "--continue")
    return it


def weaker_gate(world):
    update = acme.policy("feature_flag.update", conditions=RISE)
    it = Watched(
        world(seed(acme.live_flag("a", id=1), acme.live_flag("b", id=2), policies=[update]))
    )
    it.repo.write("flags.yaml", acme.flag("a", 50), acme.flag("b", 20))
    it.run("plan", "--out", "plan.json")
    policies = "/api/projects/1/approval_policies/"
    (policy,) = by_hand(it.repo, policies, None, "alice", "GET")["results"]
    by_hand(it.repo, f"{policies}{policy['id']}/", {"bypass_org_membership_levels": [8]}, "alice")
    it.apply("plan.json", "--continue")
    it.plan()
    it.apply()
    return it


def conflicts(world):
    flags = [acme.live_flag(key, id=number) for number, key in enumerate("abc", 1)]
    it = Watched(world(seed(*flags)))
    it.repo.write("flags.yaml", *(acme.flag(key, 10, name=key) for key in "abc"))
    it.commit()
    it.apply()
    it.repo.write(
        "flags.yaml", acme.flag("a", 20), acme.flag("b", 20), acme.flag("c", 10, name="c")
    )
    it.commit()
    for number in (1, 3):
        filters = acme.flag("", 70)["spec"]["filters"]
        by_hand(it.repo, f"{FLAGS}{number}/", {"filters": filters, "name": "n"}, "carol")
    it.run("drift", "--format", "json")
    it.plan()
    it.plan("--prefer", "live")
    it.apply()
    it.apply("--continue")
    it.apply("--prefer", "git")
    return it


def deletes(world):
    keys = "abcdefgh"
    flags = [acme.live_flag(key, id=number) for number, key in enumerate(keys, 1)]
    it = Watched(world(seed(*flags, acme.live_flag("x", id=20))))
    it.repo.write("flags.yaml", *(acme.flag(key, 10) for key in keys))
    it.repo.write("project.yaml", acme.document("Project", {}, name="Web"))
    it.commit()
    it.apply()
    it.repo.write("flags.yaml", acme.flag("a", 10))
    (it.repo.folder / "project.yaml").unlink()
    it.commit()
    it.plan()
    it.apply()
    it.apply("--continue")
    it.plan("--prune")
    it.apply("--confirm-deletes", "7", "--exclude", "Project/*")
    return it


def weakening(world):
    update = acme.policy("feature_flag.update", conditions=RISE)
    it = Watched(
        world(seed(acme.live_flag("a", id=1), acme.live_flag("b", id=2), policies=[update]))
    )
    approvers = {"quorum": 1, "users": ["alice@acme.test", "bob@acme.test", "carol@acme.test"]}
    document = {"approvers": approvers, "enabled": False}
    it.repo.write(
        "all.yaml",
        acme.document("ApprovalPolicy", document, project="Web", action="feature_flag.update"),
        acme.flag("a", 50),
        acme.flag("b", 15),
    )
    it.plan()
    it.apply()
    it.apply("--continue")
    it.apply("--allow-weakening")
    it.apply("--allow-weakening", "--exclude", "FeatureFlag/*")
    it.apply()
    return it


def ways_round(world):
    update = acme.policy("feature_flag.update", conditions=RISE)
    it = Watched(world(seed(acme.live_flag("a", id=1), policies=[update])))
    for percentage in (10, 25, 40):
        it.repo.write("flags.yaml", acme.flag("a", percentage))
        it.commit()
        it.plan()
        it.apply()
    return it


def nobody_can_approve(world):
    approvers = {"quorum": 2, "users": ["ci@acme.test", "bob@acme.test"], "roles": []}
    update = acme.policy("feature_flag.update", approver_config=approvers)
    it = Watched(world(seed(acme.live_flag("a", id=1), policies=[update])))
    enable = {"approvers": {"quorum": 1, "roles": ["Nobody"]}}
    it.repo.write(
        "all.yaml",
        acme.document("Role", {"members": []}, name="Nobody"),
        acme.document("ApprovalPolicy", enable, project="Web", action="feature_flag.enable"),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 2, "users": ["ci@acme.test", "bob@acme.test"]}},
            project="Web",
            action="feature_flag.update",
        ),
        acme.flag("a", 50),
    )
    it.run("validate", "--live", "--format", "json")
    it.plan()
    it.apply()
    return it


def gates_off(world):
    update = acme.policy("feature_flag.update")
    features = ["organizations_projects"]
    it = Watched(world(seed(acme.live_flag("a", id=1), policies=[update], features=features)))
    it.repo.write("flags.yaml", acme.flag("a", 50), acme.flag("new", 5, active=True))
    it.plan()
    it.apply()
    return it


def unreadable(world):
    made = seed(acme.live_flag("a", id=1), policies=[acme.policy("feature_flag.update")])
    scopes = ["feature_flag:write", "organization:read", "project:read", "organization_member:read"]
    made["users"][3]["tokens"][0]["scopes"] = scopes
    it = Watched(world(made))
    it.repo.write("all.yaml", ROLE, acme.flag("a", 50))
    it.plan()
    it.apply()
    it.apply("--select", "FeatureFlag/*")
    it.run("doctor", "--format", "json")
    return it


def mistakes(world):
    it = Watched(world(seed(acme.live_flag("a", id=1), acme.live_flag("b", id=2))))
    wrong = {"key": "nowhere", "type": "flag", "operator": "flag_evaluates_to", "value": True}
    it.repo.write(
        "all.yaml",
        acme.document("ApprovalPolicy", {"approvers": {"quorum": 1, "roles": ["Unknown"]}},
                      project="Web", action="feature_flag.update"),
        acme.document("Member", {"level": "admin"}, email="stranger@acme.test"),
        acme.flag("a", filters={"groups": [{"properties": [wrong]}]}),
        acme.flag("b", 30),
        acme.flag("c", 30, project="Nowhere"),
    )  # fmt: skip
    it.run("validate", "--live", "--format", "json")
    it.plan()
    it.apply()
    it.apply("--continue")
    return it


def faults(world):
    it = Watched(world(seed(acme.live_flag("a", id=1), acme.live_flag("b", id=2))))
    it.repo.write("all.yaml", ROLE, acme.flag("a", 50), acme.flag("b", 50), acme.flag("new", 5))
    rules = [
        ("POST", "roles.create", "after", "reset"),
        ("POST", "feature_flags.create", "after", {"status": {"code": 500}}),
        ("PATCH", "feature_flags.update", "before", {"status": {"code": 400}}),
    ]
    spoiled = [
        {"match": {"method": method, "route": route, "hit": 1}, "point": point, "effect": effect}
        for method, route, point, effect in rules
    ]
    status, body = it.repo.sandbox.call("POST", "/_sandbox/faults", {"seed": 0, "faults": spoiled})
    assert 200 == status, body
    it.apply()
    it.apply()
    it.plan()
    return it


WORLDS = [
    gates,
    saved_plan,
    weaker_gate,
    conflicts,
    deletes,
    weakening,
    ways_round,
    nobody_can_approve,
    gates_off,
    unreadable,
    mistakes,
    faults,
]


@pytest.fixture(scope="module")
def processes():
    """The program as it is, and reworded."""
    with reworded.process(reword=False) as plain, reworded.process(reword=True) as other:
        yield plain, other


def observed(play, sandbox, process, folder):
    """All that a world shows, with ids by their first appearance."""
    folder.mkdir()

    def world(seed):
        sandbox.reset({"now": "2026-01-05T09:00:00Z", **seed})
        return reworded.Remote(folder, sandbox, process)

    it = play(world)
    text = json.dumps([it.seen, it.sent()], indent=1)
    numbers = itertools.count(1)
    ids = {}
    return UUID.sub(lambda id_: ids.setdefault(id_[0], f"id-{next(numbers)}"), text)


@pytest.mark.parametrize("play", WORLDS, ids=lambda play: play.__name__)
def test_other_words_change_no_decision(play, processes, shared_sandbox, tmp_path):
    plain, other = (
        observed(play, shared_sandbox, process, tmp_path / str(number))
        for number, process in enumerate(processes)
    )

    assert plain == other


def test_the_words_are_others(processes, shared_sandbox, tmp_path):
    """Else the comparison would say nothing."""
    shown = []
    for number, process in enumerate(processes):
        (tmp_path / str(number)).mkdir()
        shared_sandbox.reset(
            seed(acme.live_flag("a"), policies=[acme.policy("feature_flag.update")])
        )
        repo = reworded.Remote(tmp_path / str(number), shared_sandbox, process)
        repo.write("flags.yaml", acme.flag("a", 50))
        shown.append(set(repo.run("plan").out.split()))

    assert {"expires", "after", "unchanged."} <= shown[0] - shown[1]
    assert {"FeatureFlag/acme/Web/a", "feature_flag.update", "50"} <= shown[1]


PLANTED = {
    "plan.approvals.forecast": [
        "if gate is not None and gate.request_plan in REPLACES:",
        "if gate is not None and change_requests._REPLACED_NOTE in gate.note:",
    ],
    "plan.satisfiability": [
        "obstacle.are_too_few",
        "obstacle.notes[-1].startswith(('nobody can ', 'only '))",
    ],
}


def test_planted_decisions_on_texts_are_found(processes, shared_sandbox, tmp_path):
    """They decide as the program does as long as the words are the usual ones, and not after."""
    planted = {f"reconciler.{module}": [change] for module, change in PLANTED.items()}
    with (
        reworded.process(reword=False, **planted) as same,
        reworded.process(reword=True, **planted) as other,
    ):
        for play in (gates, nobody_can_approve):
            expected, usual, changed = (
                observed(play, shared_sandbox, process, tmp_path / f"{play.__name__}-{number}")
                for number, process in enumerate((processes[0], same, other))
            )

            assert usual == expected
            assert changed != expected


def test_every_text_of_another_program_is_still_looked_for():
    """What is exempt from rewording, and why: see `rewording.FOREIGN`."""
    sources = "".join(path.read_text(encoding="utf-8") for path in Path("reconciler").rglob("*.py"))

    assert [] == [text for text in rewording.FOREIGN if f'"{text}"' not in sources]
