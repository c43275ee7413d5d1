"""One project in which each flag meets the gate in another state."""

from tests import acme
from tests.cli.saved import seed

FLAGS = "/api/projects/1/feature_flags/"
REQUESTS = "/api/projects/1/change_requests/"
UPDATE = "ApprovalPolicy/acme/Web/feature_flag.update"
ENABLE = "ApprovalPolicy/acme/Web/feature_flag.enable"
# Of each flag: verdict, what becomes of the request, policies that let the key's user pass.
STATES = {
    "blocked": ("blocked", None, []),
    "exhausted": ("rejected", "exhausted", []),
    "file-again": ("approval", "file_again", []),
    "free": ("none", None, []),
    "let-through": ("bypass", None, [ENABLE]),
    "pending": ("pending", None, []),
    "rejected": ("rejected", None, []),
    "replace": ("blocked", "replace", []),
    "replace-and-wait": ("blocked", "replace_and_wait", []),
    "split": ("split", None, [ENABLE]),
    "voted": ("blocked", None, []),
    "waits": ("approval", None, []),
}


def every_gate(world):
    """A repository of flags, and change requests of all sorts: open, rejected, expired."""
    update = acme.policy("feature_flag.update")
    update["approver_config"]["quorum"] = 2
    enable = acme.policy("feature_flag.enable", bypass_org_membership_levels=[8])
    flags = [acme.live_flag(key, id=number) for number, key in enumerate(STATES, 101)]
    repo = world({**seed(*flags, policies=[update, enable]), "now": "2026-01-05T09:00:00Z"})
    _past_requests(repo)
    _open_requests(repo)
    wanted = {key: {"rollout": 50} for key in STATES}
    wanted["let-through"] = {"active": True}
    wanted["split"] = {"rollout": 50, "active": True}
    wanted["free"] = wanted["replace"] = {"rollout": 10, "name": "Another name"}
    repo.write("flags.yaml", *(acme.flag(key, **spec) for key, spec in wanted.items()))
    repo.sandbox.clear()
    return repo


def _past_requests(repo):
    """What ended: expired once or twice, or rejected."""
    for keys in (("exhausted", "file-again"), ("exhausted",)):
        for key in keys:
            _propose(repo, key, 50)
        _call(repo, "POST", "/_sandbox/clock", {"advance": "15d"})
        _call(repo, "POST", "/_sandbox/tasks", {"run": "expire_change_requests"})
    rejected = _propose(repo, "rejected", 50)
    _call(repo, "POST", f"{REQUESTS}{rejected}/reject/", {"reason": "too much"}, "phx_alice")


def _open_requests(repo):
    """What people can still decide: ours and another person's, with and without a vote."""
    for key, percentage, who in (
        ("blocked", 30, "carol"),
        ("pending", 50, "ci"),
        ("replace", 30, "ci"),
        ("replace-and-wait", 30, "ci"),
        ("voted", 30, "ci"),
    ):
        request = _propose(repo, key, percentage, who)
    _call(repo, "POST", f"{REQUESTS}{request}/approve/", {"reason": "fine"}, "phx_alice")


def _propose(repo, key, percentage, who="ci"):
    filters = acme.flag(key, percentage)["spec"]["filters"]
    path = f"{FLAGS}{101 + list(STATES).index(key)}/"
    return _call(repo, "PATCH", path, {"filters": filters}, f"phx_{who}")["change_request_id"]


def _call(repo, method, path, body, token=None):
    status, answer = repo.sandbox.call(method, path, body, token=token)
    assert status in {200, 409}, (path, answer)
    return answer
