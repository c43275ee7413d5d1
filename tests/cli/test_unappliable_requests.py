"""Requests that cannot be applied as things are: why, and who has to do what (contract 7.5)."""

import pytest

from tests import acme, factories
from tests.integration.running import Time, apply

FLAG = "/api/projects/1/feature_flags/1/"
CONFIG = "/api/projects/1/feature_flags/2/"
ENABLE, UPDATE = "feature_flag.enable", "feature_flag.update"
GONE = "The person who requested this change no longer has access to what it changes"
MOVED = "Flag version mismatch: expected 1, got 2"
COHORT = {"key": "id", "type": "cohort", "value": 5, "operator": "in"}


@pytest.fixture
def repo(world):
    """A flag that is to be switched on, which waits for alice or bob."""
    config = acme.live_flag("config", id=2, is_remote_configuration=True)
    config["filters"]["payloads"] = {"true": '"old"'}
    flags = [acme.live_flag("a", id=1), {**config, "has_encrypted_payloads": True}]
    seed = factories.gated(*flags, policies=(ENABLE, UPDATE))
    seed["organizations"][0]["projects"][0]["cohorts"] = [{"id": 5, "name": "Beta"}]
    repo = world({"profile": "g3", **seed})
    repo.write("flags.yaml", acme.flag("a", active=True))
    repo.commit()
    return repo


def propose(repo, who, **body):
    """File a request as somebody; return its id."""
    status, answer = repo.sandbox.call("PATCH", FLAG, body or {"active": True}, f"phx_{who}")
    assert status == 409, answer
    return answer["change_request"]["id"]


def change_world(repo, edit, **settings):
    """Change the first organization behind PostHog's back, and let PostHog check its requests."""
    state = {**repo.sandbox.state(), **settings}
    edit(state["organizations"][0])
    repo.sandbox.reset(state)
    assert repo.sandbox.call("POST", "/_sandbox/tasks", {"run": "check_staleness"})[0] == 200


def remove(who):
    """Return an edit that takes a person out of the organization."""

    def edit(organization):
        members = organization["members"]
        organization["members"] = [one for one in members if one["email"] != f"{who}@acme.test"]

    return edit


def bring_back(who):
    """Return the edit that undoes it."""
    member = {"email": f"{who}@acme.test", "level": "admin"}
    return lambda organization: organization["members"].append(member)


def touch(repo):
    """Let somebody change the flag, and PostHog check its requests."""
    assert repo.sandbox.call("PATCH", FLAG, {"name": "moved"}, "phx_alice")[0] == 200
    change_world(repo, lambda _organization: None)


def shown(repo, id_):
    """What the commands say of a request: (text of list, show, wait and plan), (JSON of both)."""
    commands = (
        ("requests", "list"),
        ("requests", "show", id_),
        ("requests", "wait", id_, "--timeout", "1s"),
        ("plan",),
        ("plan", "--format", "html"),
        ("status",),
    )
    texts = [" ".join(repo.run(*command).out.split()) for command in commands]
    (row,) = repo.run("requests", "list", "--format", "json").json
    return texts, row, repo.run("requests", "show", id_, "--format", "json").json


def test_lost_access_says_what_to_give_back_or_who_files_again(repo):
    """Every command has PostHog's reason and the next step; the change still waits."""
    id_ = propose(repo, "carol")
    change_world(repo, remove("carol"))

    texts, row, document = shown(repo, id_)
    done = repo.run("apply", "--yes", "--format", "json")
    text = repo.run("apply", "--yes").out

    assert "Next: ask for a decision on the open requests, then run apply again." in text
    assert "ask for approval" not in text
    for text in texts:
        assert GONE in text
        assert "give carol@acme.test access to the flag again" in text
        assert "run apply with the key of somebody who has access" in text
    for json_row in (row, document):
        assert json_row["validation_status"] == "invalid"
        assert json_row["validation_errors"]["access"].startswith(GONE)
        assert json_row["unappliable"]["why"] == GONE
    (result,) = done.json["results"]
    assert (done.code, result["outcome"], result["change_request"]) == (3, "waiting", id_)
    assert result["waits_for"]["unappliable"]["fix"] in texts[0]
    (gate,) = (change["gate"] for change in repo.run("plan", "--format", "json").json["changes"])
    assert gate["verdict"] == "pending"


def test_a_request_that_is_valid_again_is_only_waited_for(repo):
    """PostHog's mark is read each time: who is back can be approved again."""
    id_ = propose(repo, "carol")
    change_world(repo, remove("carol"))
    assert "cannot be applied" in repo.run("plan").out
    change_world(repo, bring_back("carol"))

    texts, row, _ = shown(repo, id_)

    assert not [text for text in texts if "annot be applied" in text]
    assert (row["validation_status"], row["unappliable"]) == ("valid", None)
    assert repo.run("requests", "approve", id_, "--yes", token="phx_alice").code == 0
    assert repo.run("apply", "--yes").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_a_stale_request_of_another_person_has_to_be_cancelled(repo):
    """Said before PostHog has marked it, and afterwards in its own words."""
    id_ = propose(repo, "carol")
    assert repo.sandbox.call("PATCH", FLAG, {"name": "moved"}, "phx_alice")[0] == 200
    early = " ".join(repo.run("plan").out.split())
    change_world(repo, lambda _organization: None)

    texts, row, _ = shown(repo, id_)
    done = repo.run("apply", "--yes", "--format", "json")

    for text in (early, *texts):
        assert "have carol@acme.test cancel it, then run plan and apply again" in text
    assert all(MOVED in text for text in texts)
    assert row["unappliable"]["why"] == MOVED
    (result,) = done.json["results"]
    assert (done.code, result["outcome"]) == (3, "waiting")
    assert repo.run("requests", "cancel", id_, token="phx_carol").code == 0
    assert repo.run("apply", "--yes").code == 3
    (pending,) = repo.run("requests", "list", "--format", "json").json
    assert (pending["requester"], pending["unappliable"]) == ("ci@acme.test", None)


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ("pending", "or have an approver reject it (and commit the document again)"),
        ("approved", "or wait until it fails or expires (nobody can end an approved request)"),
    ],
)
def test_a_request_with_a_vote_cannot_be_cancelled_by_who_lost_access(repo, state, end):
    """Another approver can still reject a pending one; nobody can end an approved one."""
    id_ = propose(repo, "carol")

    def approve(organization):
        request = organization["projects"][0]["change_requests"][0]
        vote = {"created_by": "alice@acme.test", "decision": "approved"}
        request |= {"state": state, "approvals": [vote]}
        remove("carol")(organization)

    change_world(repo, approve)

    texts, row, _ = shown(repo, id_)

    assert f"{state} (invalid)" in texts[0]
    assert all(end in text for text in texts)
    assert row["state"] == state


def test_a_key_whose_own_user_lost_access_hears_that_its_requests_are_lost(repo):
    """Once for all of them, in plan and apply, with what to do."""
    propose(repo, "ci")
    assert repo.sandbox.call("PATCH", CONFIG, {"active": True}, "phx_ci")[0] == 409
    state = repo.sandbox.state()
    for request in state["organizations"][0]["projects"][0]["change_requests"]:
        request |= {"validation_status": "invalid", "validation_errors": {"access": GONE}}
    repo.sandbox.reset(state)

    plan = repo.run("plan", "--format", "json").json
    done = repo.run("apply", "--yes", "--format", "json")

    for document in (plan, done.json):
        (finding,) = (
            row for row in document["findings"] if row["code"] == "requester-without-access"
        )
        assert "this key's user has lost access" in finding["message"]
        assert "2 open change requests" in finding["message"]
        assert "none of its requests can be applied" in finding["fix"]
    assert done.code == 3


def new_owner(organization):
    organization["projects"][0]["experiments"] = [{"name": "E", "feature_flag": "a"}]


def remove_cohort(organization):
    organization["projects"][0]["cohorts"] = []


def forget_action(organization):
    organization["projects"][0]["change_requests"][0]["action_key"] = "survey.launch"


ON_BETA = {"filters": {"groups": [{"properties": [COHORT], "rollout_percentage": 60}]}}
FAILURES = {
    "access": ({}, remove("carol"), "Precondition failed: The person who requested"),
    "owner": ({}, new_owner, "Ownership changed since this request was created"),
    "payload": (ON_BETA, remove_cohort, "Validation failed: "),
    "version": ({}, None, "Precondition failed: Flag version mismatch"),
    "action": ({}, forget_action, "Action survey.launch not found in registry"),
}


@pytest.mark.parametrize("cause", FAILURES)
def test_a_failed_request_says_why_and_what_is_next(repo, cause):
    """Approving fails with 1, and so does waiting; apply requests it again, as itself."""
    body, edit, reason = FAILURES[cause]
    id_ = propose(repo, "carol", **body)
    if edit is None:
        touch(repo)
    else:
        change_world(repo, edit)

    approved = repo.run("requests", "approve", id_, "--yes", token="phx_alice")
    waited = repo.run("requests", "wait", id_, "--timeout", "1s")
    text = " ".join(repo.run("requests", "show", id_).out.split())
    document = repo.run("requests", "show", id_, "--format", "json").json
    applied = repo.run("apply", "--yes", "--format", "json")

    assert (approved.code, waited.code) == (1, 1)
    for said in (" ".join(approved.out.split()), waited.out, text):
        assert reason in said
        assert document["unappliable"]["fix"] in said
    assert "carol@acme.test" in document["unappliable"]["fix"] or cause != "access"
    assert document["apply_error"].startswith(reason)
    (result,) = applied.json["results"]
    assert (applied.code, result["outcome"]) == (3, "waiting"), applied.out
    assert result["change_request"] != id_


def test_a_payload_that_cannot_be_decrypted_fails_and_stays_hidden(repo):
    """PostHog says why in words of its own; no output has the payload."""
    change_world(repo, lambda _organization: None, withhold_payloads=True)
    body = {"active": True, "filters": {"payloads": {"true": '"s3cret"'}}}
    status, answer = repo.sandbox.call("PATCH", CONFIG, body, "phx_carol")
    assert status == 409
    id_ = answer["change_request"]["id"]

    def break_ciphertext(organization):
        request = organization["projects"][0]["change_requests"][0]
        request["intent"]["encrypted_payloads"]["true"] = "gAAAAABm"

    change_world(repo, break_ciphertext)

    approved = repo.run("requests", "approve", id_, "--yes", token="phx_alice")
    waited = repo.run("requests", "wait", id_, "--timeout", "1s")

    assert (approved.code, waited.code) == (1, 1)
    for said in (approved.out, waited.out):
        assert "cannot be decrypted" in said
        assert "run plan again" in " ".join(said.split())
        assert "s3cret" not in said


def test_an_apply_that_waits_shows_a_mark_that_came_meanwhile(repo):
    """When the time is up, the row says what keeps the request from being applied."""
    repo.write("all.yaml", acme.flag("a", active=True, name="New"))
    time = Time()
    time.at(30, lambda: touch(repo))

    ran = apply(repo, wait_s=60, time=time)

    first, last = (row.awaits.unappliable for row in (ran.said[0], ran.said[-1]))
    assert (3, "waiting") == (ran.code, ran.rows["a"].result)
    assert first is None, "it is based on the version that our own call has left"
    assert last.why.startswith("Flag version mismatch")


@pytest.mark.parametrize("cause", FAILURES)
def test_an_apply_that_waits_says_why_its_request_failed(repo, cause):
    """The code is 1, nothing is written, and the next step is part of the row."""
    body, edit, reason = FAILURES[cause]
    repo.write("all.yaml", acme.flag("a", **(body or {"active": True})))

    def spoil_and_approve():
        (request,) = repo.sandbox.state()["organizations"][0]["projects"][0]["change_requests"]
        if edit is None:
            touch(repo)
        else:
            change_world(repo, remove("ci") if cause == "access" else edit)
        path = f"/api/projects/1/change_requests/{request['id']}/approve/"
        assert repo.sandbox.call("POST", path, {}, "phx_alice")[0] == 200
        if cause == "access":
            change_world(repo, bring_back("ci"))

    time = Time()
    time.at(30, spoil_and_approve)
    ran = apply(repo, wait_s=600, time=time)

    row = ran.rows["a"]
    assert (1, "failed") == (ran.code, row.result), row
    assert row.problem.why.startswith(reason)
    assert row.problem.state == "not applied"
    assert "apply again" in row.problem.fix or "then apply" in row.problem.fix
