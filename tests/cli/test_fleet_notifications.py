"""`fleet … --notify`: one message about all targets, not one for each."""

import json

from tests import acme
from tests.fleets import GATED, NAMES


def documents(code_host):
    return [json.loads(body) for _, _, body in code_host.hooks]


def drift(fleet, code_host, *words):
    return fleet.run("fleet", "drift", "--notify", f"{code_host.url}/hook/s3cr3t", *words)


def test_drift_in_many_targets_is_one_message(make_fleet, code_host):
    """Sent again only if the drift of any target has changed; then once more when all is clean."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))

    assert [2, 2] == [drift(fleet, code_host).code for _ in range(2)]
    (news,) = documents(code_host)
    assert ("drift", "3 targets", sorted(NAMES)) == (
        news["event"],
        news["target"],
        news["targets"],
    )
    assert [f"{name}: FeatureFlag/acme/Web/a" for name in sorted(NAMES)] == news["addresses"]

    assert 0 == fleet.fleet("apply", "--yes").code
    assert [0, 0] == [drift(fleet, code_host).code for _ in range(2)]
    assert ["drift", "clean"] == [each["event"] for each in documents(code_host)]


def test_a_target_that_cannot_be_read_keeps_what_was_said_of_it(make_fleet, code_host):
    """It has not become clean, and the others have not drifted again."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    drift(fleet, code_host)

    fleet.settle(us_prod={"api_key_env": "POSTHOG_NO_KEY"})
    assert 1 == drift(fleet, code_host).code
    assert 2 == drift(fleet, code_host, "--target", "staging").code
    assert 1 == len(code_host.hooks)

    fleet.run("fleet", "apply", "--yes", "--target", "staging")
    drift(fleet, code_host)
    assert ["eu-prod", "us-prod"] == documents(code_host)[-1]["targets"]


def test_requests_of_many_targets_are_one_message_at_the_end(make_fleet, code_host):
    """With who is asked where; a second apply files nothing, and sends nothing."""
    fleet = make_fleet(eu_prod=GATED, us_prod=GATED)
    fleet.settle(acme.flag("a", 50))
    words = ("apply", "--yes", "--notify", f"{code_host.url}/hook/s3cr3t")

    first, second = fleet.run("fleet", *words), fleet.run("fleet", *words)

    assert [3, 3] == [first.code, second.code]
    (news,) = documents(code_host)
    assert ("approval-requested", ["eu-prod", "us-prod"]) == (news["event"], news["targets"])
    assert (
        "You are asked to approve 2 change requests of 2 targets: eu-prod, us-prod"
        == (news["title"])
    )
    assert [["alice@acme.test", "bob@acme.test"]] * 2 == [
        row["waiting_for"] for row in news["requests"]
    ]
    assert "asked for approval: 1 message sent" in first.err


def test_each_webhook_of_targets_hears_of_its_own_targets(make_fleet, code_host):
    fleet = make_fleet()
    own = {"notify": [f"{code_host.url}/hook/a"]}
    both = {"notify": [f"{code_host.url}/hook/a", f"{code_host.url}/hook/b"]}
    fleet.settle(acme.flag("a", 50), eu_prod=own, us_prod=both)

    assert 2 == fleet.run("fleet", "drift").code

    heard = {path[-1]: json.loads(body)["targets"] for path, _, body in code_host.hooks}
    assert {"a": ["eu-prod", "us-prod"], "b": ["us-prod"]} == heard


def test_a_webhook_that_fails_changes_no_result(make_fleet, code_host):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    code_host.fail = {("POST", "s3cr3t"): 500}

    done = drift(fleet, code_host)

    assert (2, True) == (done.code, "the webhook was not notified" in done.err)
    assert "s3cr3t" not in done.err + done.out
