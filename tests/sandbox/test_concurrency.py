"""Simultaneous calls (contract 12)."""

from concurrent.futures import ThreadPoolExecutor

from .conftest import FLAGS, POLICIES, REQUESTS

CREW = ("olga", "ada", "abe", "mia")


def at_once(calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def approvals(api, request):
    path = f"{REQUESTS}/{request['id']}/approve/"
    return [lambda who=who: api.post(path, {}, who=who) for who in CREW]


def test_of_simultaneous_final_approvals_one_applies(api):
    """Contract 12."""
    api.policy(approver_config={"quorum": 1, "users": [11, 12, 13, 15]})
    for _ in range(5):
        request = api.file()

        replies = at_once(approvals(api, request))

        assert sorted(one.status for one in replies) == [200, 403, 403, 403]
        assert api.get(f"{REQUESTS}/{request['id']}/").body["state"] == "applied"
        api.patch(f"{FLAGS}/2/", {"active": False})


def test_approvals_below_the_quorum_are_all_counted(api):
    """Contract 12."""
    api.policy(approver_config={"quorum": 4, "users": [11, 12, 13, 15]})
    request = api.file()

    replies = at_once(approvals(api, request))

    assert sorted(one.body["status"] for one in replies) == ["applied", *["approved"] * 3]
    said = {one.body["message"] for one in replies}
    assert {f"Approval recorded. {n}/4 approvals received." for n in (1, 2, 3)} < said


def test_creating_a_policy_twice_at_once_creates_one(api):
    """Contract 12."""
    body = {"action_key": "x", "approver_config": {"quorum": 1}}

    replies = at_once([lambda: api.post(f"{POLICIES}/", body)] * 4)

    assert sorted(one.status for one in replies) == [201, 400, 400, 400]


def test_concurrent_gated_writes_file_one_request(api):
    """Contract 12."""
    api.policy()

    write = [lambda who=who: api.patch(f"{FLAGS}/2/", {"active": True}, who=who) for who in CREW]
    replies = at_once(write)

    codes = sorted(one.body["code"] for one in replies)
    assert codes == ["approval_required", *["change_request_pending"] * 3]
    assert len({one.body["change_request_id"] for one in replies}) == 1


def test_concurrent_writes_all_increment_the_version(api):
    """Contract 12."""
    write = [lambda n=n: api.patch(f"{FLAGS}/1/", {"name": str(n)}) for n in range(12)]

    versions = sorted(one.body["version"] for one in at_once(write))

    assert versions == list(range(2, 14))
