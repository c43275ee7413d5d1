"""Messages about change requests: who is asked when one is filed, and before one expires."""

import hashlib
import hmac
import json
import os
from contextlib import suppress

import pytest

from tests import acme, factories
from tests.cli.test_encrypted_payloads import declared, find_pieces, live
from tests.factories import gated
from tests.integration.running import spoil
from tests.support import typing

A, B = "FeatureFlag/acme/Web/a", "FeatureFlag/acme/Web/b"
SETTINGS = "version: 1\ntargets:\n  default:\n    notify: [{}]\n"


@pytest.fixture
def repo(world):
    """Return a repository with two flags to switch on, which needs approval."""
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("flags.yaml", acme.flag("a", active=True), acme.flag("b", active=True))
    repo.commit()
    return repo


def apply(repo, code_host, *arguments, **extra):
    return repo.run(
        "apply", "--yes", "--notify", f"{code_host.url}/hook/s3cr3t", *arguments, **extra
    )


def remind(repo, code_host, *arguments, **extra):
    words = ("requests", "remind", "--notify", f"{code_host.url}/hook/s3cr3t")
    return repo.run(*words, *arguments, **extra)


def documents(code_host):
    return [json.loads(body) for _, _, body in code_host.hooks]


def advance(repo, duration):
    """Move the server's clock."""
    assert repo.sandbox.call("POST", "/_sandbox/clock", {"advance": duration})[0] == 200


# --- apply --notify ---


def test_each_filed_request_asks_its_approvers_once(repo, code_host):
    """What, who, until when, the page and the command; a second run files nothing and is silent."""
    done = apply(repo, code_host, "--format", "json")
    again = apply(repo, code_host)

    rows = {row["address"]: row for row in done.json["results"]}
    told = {document["request"]["address"]: document for document in documents(code_host)}
    assert (3, 3, 2) == (done.code, again.code, len(code_host.hooks))
    assert ("asked for approval: 2 messages sent" in done.err, "asked for" in again.err) == (
        True,
        False,
    )
    assert {A, B} == set(told)
    asked = told[A]["request"]
    id_ = rows[A]["change_request"]
    assert "approval-requested" == told[A]["event"]
    assert f"You are asked to approve: feature_flag.enable of {A}" == told[A]["title"]
    assert (id_, rows[A]["url"]) == (asked["id"], asked["url"])
    assert f"reconciler requests approve {id_}" == asked["command"]
    assert ["alice@acme.test", "bob@acme.test"] == asked["waiting_for"]
    assert ("active: false → true", 0, 1) == (
        asked["proposal"],
        asked["approvals"],
        asked["quorum"],
    )
    assert rows[A]["waits_for"]["expires_at"] == asked["expires_at"]


def test_a_run_that_waits_asks_before_it_waits(repo, code_host):
    """Else nobody could approve in time; each is asked once."""
    done = apply(repo, code_host, "--wait", "30m")

    assert 3 == done.code
    assert 2 == len(code_host.hooks)


def test_a_second_request_of_the_same_change_is_a_message_of_its_own(world, code_host):
    """A flag under two policies: the second request is filed when the first is approved."""
    repo = world(
        gated(acme.live_flag("a"), policies=("feature_flag.enable", "feature_flag.update"))
    )
    repo.write("flags.yaml", acme.flag("a", 50, active=True))
    apply(repo, code_host)
    repo.run("requests", "approve", A, "--yes", token="phx_alice")
    apply(repo, code_host)

    first, second = (document["request"] for document in documents(code_host))
    assert {"feature_flag.enable", "feature_flag.update"} == {
        first["action_key"],
        second["action_key"],
    }


def test_a_public_build_names_people_by_initials(repo, code_host, github, tmp_path):
    """As reports of drift do."""
    event = tmp_path / "public.json"
    event.write_text(json.dumps({"repository": {"private": False, "visibility": "public"}}))
    apply(repo, code_host, **{**github, "GITHUB_EVENT_PATH": str(event)})

    assert 2 == len(code_host.hooks)
    for document in documents(code_host):
        assert ["A.", "B."] == document["request"]["waiting_for"]
        assert "@acme.test" not in json.dumps(document)
        assert "https://github.test/acme/config/actions/runs/42" == document["url"]


def test_slack_gets_text_with_the_command_and_the_page(repo, code_host):
    """Whoever reads it can act at once."""
    apply(repo, code_host, "--notify-format", "slack", "--select", A)

    (told,) = documents(code_host)
    (row,) = repo.run("requests", "list", "--format", "json").json
    lines = told["text"].splitlines()
    assert 1 == told["text"].count(A)
    assert lines[0] == f"You are asked to approve: feature_flag.enable of {A}"
    assert "active: false → true" in lines
    assert "0 of 1 approvals; asked: alice@acme.test or bob@acme.test" in lines
    assert f"`reconciler requests approve {row['id']}`" in lines
    assert f"<{row['url']}|open it in PostHog>" in lines


def test_json_is_signed(repo, code_host):
    """With the same secret as messages about drift."""
    apply(repo, code_host, RECONCILER_NOTIFY_SECRET="between us")

    for _, headers, body in code_host.hooks:
        expected = hmac.new(b"between us", body, hashlib.sha256).hexdigest()
        assert f"sha256={expected}" == headers["X-Reconciler-Signature-256"]


@pytest.mark.parametrize("how", [500, "hang"])
def test_a_webhook_that_fails_changes_no_result(repo, code_host, how):
    """One warning, without the path of the URL; the others are not tried."""
    code_host.fail = {("POST", "s3cr3t"): how}
    done = apply(repo, code_host, "--format", "json")

    assert 3 == done.code
    assert 2 == done.json["summary"]["waiting"]
    assert 1 == done.err.count("warning: the webhook was not notified")
    assert "s3cr3t" not in done.out + done.err
    assert 1 == len(code_host.hooks)


def test_many_requests_are_not_a_message_each(world, code_host):
    """Twenty, and one that names the rest."""
    names = [f"f{number:02}" for number in range(23)]
    repo = world(gated(*map(acme.live_flag, names)))
    repo.write("flags.yaml", *(acme.flag(name, active=True) for name in names))
    apply(repo, code_host)

    *single, last = documents(code_host)
    assert 20 == len(single)
    assert "3 more change requests of default were filed" == last["title"]
    assert 3 == len(last["addresses"])
    assert "reconciler requests inbox" == last["command"]
    named = {document["request"]["address"] for document in single} | set(last["addresses"])
    assert {f"FeatureFlag/acme/Web/{name}" for name in names} == named


def test_an_encrypted_payload_is_in_no_message(world, code_host):
    """Neither when it is filed nor in a reminder."""
    policies = [acme.policy("feature_flag.update", expires_after="1 00:00:00")]
    repo = world(factories.seed(live("config", id=3), policies=policies))
    repo.write("flags.yaml", declared("config"))
    assert 3 == apply(repo, code_host, "--continue").code
    assert 0 == remind(repo, code_host, "--before", "2d").code

    assert ["approval-requested", "approval-expires"] == [
        document["event"] for document in documents(code_host)
    ]
    for _, _, body in code_host.hooks:
        assert [] == list(find_pieces(body.decode()))


def test_a_request_whose_answer_was_lost_is_asked_for(repo, code_host):
    """It was filed, and nobody else would say so."""
    spoil(repo, "PATCH:feature_flags.update:1:after:reset")
    done = apply(repo, code_host, "--select", A)

    assert 3 == done.code
    assert [A] == [document["request"]["address"] for document in documents(code_host)]


def test_a_request_of_somebody_else_is_not_announced_as_ours(repo, code_host):
    """It is open already: its approvers were asked when it was filed."""
    assert 3 == repo.run("apply", "--yes", token="phx_carol").code
    done = apply(repo, code_host)

    assert 3 == done.code
    assert [] == code_host.hooks


def test_a_revert_asks_as_well(world, code_host):
    """`drift --revert` files requests, too."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", active=True))
    repo.write("reconciler.yaml", SETTINGS.format(f'"{code_host.url}/hook/one"'))
    repo.commit()
    repo.git("update-ref", "refs/reconciler/applied/default", "HEAD")
    done = repo.run("drift", "--revert", "--yes")

    assert 3 == done.code, done.err
    assert ["approval-requested"] == [document["event"] for document in documents(code_host)]


# --- `notify` of the target ---


def test_the_target_names_its_webhooks(repo, code_host):
    """A URL, or a variable that holds one; both are notified."""
    hooks = f'"{code_host.url}/hook/one", "env:RECONCILER_NOTIFY_CHAT"'
    repo.write("reconciler.yaml", SETTINGS.format(hooks))
    done = repo.run("apply", "--yes", RECONCILER_NOTIFY_CHAT=f"{code_host.url}/hook/two")

    assert 3 == done.code
    assert {"/hook/one": 2, "/hook/two": 2} == count_paths(code_host)


def test_the_option_wins_over_the_target(repo, code_host):
    """As everywhere."""
    repo.write("reconciler.yaml", SETTINGS.format(f'"{code_host.url}/hook/one"'))
    apply(repo, code_host)

    assert {"/hook/s3cr3t": 2} == count_paths(code_host)


def count_paths(code_host):
    paths = [path for path, _, _ in code_host.hooks]
    return {path: paths.count(path) for path in paths}


def test_a_variable_that_is_not_set_is_a_warning(repo):
    """Whoever applies without the URL still applies."""
    repo.write("reconciler.yaml", SETTINGS.format("env:RECONCILER_NOTIFY_CHAT"))
    done = repo.run("apply", "--yes")

    assert 3 == done.code
    assert "warning: a webhook is not notified: RECONCILER_NOTIFY_CHAT is not set" in done.err
    assert "reconciler.yaml:4" in done.err


@pytest.mark.parametrize(
    "url",
    [
        "env:POSTHOG_API_KEY", "env:AWS_SECRET_ACCESS_KEY", "env:RECONCILER_NOTIFY_SECRET",
        "http://example.test/x", "ftp://example.test", "hooks.slack.com/x",
    ],
)  # fmt: skip
def test_a_file_chooses_neither_another_secret_nor_an_open_way(repo, url):
    """An error at its line; nothing is contacted."""
    repo.write("reconciler.yaml", SETTINGS.format(url))
    done = repo.run("apply", "--yes")

    assert 1 == done.code
    assert "reconciler.yaml:4:" in done.err
    assert "env:RECONCILER_NOTIFY_" in done.err
    assert [] == repo.sandbox.requests()


def test_drift_notifies_the_webhooks_of_the_target(world, code_host):
    """Once for each state and webhook."""
    repo = world(factories.seed(acme.live_flag("a", 10)))
    repo.write("flags.yaml", acme.flag("a", 50))
    hooks = f'"{code_host.url}/hook/one", "{code_host.url}/hook/two"'
    repo.write("reconciler.yaml", SETTINGS.format(hooks))
    repo.commit()
    codes = [repo.run("drift", "--notify-marker", "state/told").code for _ in range(2)]

    assert [2, 2] == codes
    assert {"/hook/one": 1, "/hook/two": 1} == count_paths(code_host)


def test_drift_on_a_terminal_is_no_news_for_the_target(world, code_host):
    """Whoever looks knows; the job that nobody watches sends the message."""
    repo = world(factories.seed(acme.live_flag("a", 10)))
    repo.write("flags.yaml", acme.flag("a", 50))
    repo.write("reconciler.yaml", SETTINGS.format(f'"{code_host.url}/hook/one"'))
    repo.commit()
    with typing(repo, "drift") as (process, terminal), suppress(OSError):
        while os.read(terminal, 65536):
            pass

    assert 2 == process.wait(20)
    assert [] == code_host.hooks
    assert 2 == repo.run("drift").code
    assert {"/hook/one": 1} == count_paths(code_host)


# --- requests remind ---


@pytest.fixture
def filed(repo):
    """Return a repository with two requests that expire in 14 days."""
    assert 3 == repo.run("apply", "--yes").code
    return repo


def test_a_request_is_reminded_once_before_it_expires(filed, code_host):
    """By the clock of the server: not earlier, not twice, and not afterwards."""
    early = remind(filed, code_host)
    advance(filed, "13d 1h")
    filed.run("requests", "approve", B, "--yes", token="phx_alice")
    soon = remind(filed, code_host, "--format", "json")
    again = remind(filed, code_host)
    advance(filed, "1d")
    late = remind(filed, code_host)

    assert [0] * 4 == [done.code for done in (early, soon, again, late)]
    assert "No change request expires soon.\n" == early.out == late.out
    assert [(A, "sent")] == [(row["address"], row["reminder"]) for row in soon.json]
    assert f"{A}: sent before; expires " in again.out
    (told,) = documents(code_host)
    assert "approval-expires" == told["event"]
    assert (
        f"Expires in 23 hours, and waits for approval: feature_flag.enable of {A}" == told["title"]
    )
    assert ["alice@acme.test", "bob@acme.test"] == told["request"]["waiting_for"]
    assert f"reconciler requests approve {soon.json[0]['id']}" == told["request"]["command"]
    assert soon.json[0]["url"] == told["request"]["url"]


def test_who_has_voted_is_not_asked_again(world, code_host):
    """Two approvals are needed, and one is given."""
    config = {"quorum": 2, "users": ["alice@acme.test", "bob@acme.test"], "roles": []}
    repo = world(gated(acme.live_flag("a"), rule={"approver_config": config}))
    repo.write("flags.yaml", acme.flag("a", active=True))
    repo.run("apply", "--yes")
    repo.run("requests", "approve", A, "--yes", token="phx_alice")
    remind(repo, code_host, "--before", "15d")

    (told,) = documents(code_host)
    assert ["bob@acme.test"] == told["request"]["waiting_for"]
    assert (1, 2) == (told["request"]["approvals"], told["request"]["quorum"])


@pytest.mark.parametrize("marker", ["state/told.txt", "refs/reconciler/notified/default"])
def test_one_marker_serves_drift_and_reminders(filed, code_host, marker):
    """A file, or a git ref for a job without a disk; neither forgets what the other has sent."""
    drift = ("drift", "--notify", f"{code_host.url}/hook/s3cr3t", "--notify-marker", marker)
    filed.write("more.yaml", acme.flag("c", 50))
    filed.commit()
    advance(filed, "13d 1h")
    for _ in range(2):
        assert 2 == filed.run(*drift).code
        assert 0 == remind(filed, code_host, "--notify-marker", marker).code

    events = [document["event"] for document in documents(code_host)]
    assert ["drift", "approval-expires", "approval-expires"] == events


def test_a_reminder_that_fails_is_sent_by_the_next_run(filed, code_host):
    """A warning, exit code 0, and nothing is lost."""
    advance(filed, "13d 1h")
    code_host.fail = {("POST", "s3cr3t"): 500}
    failed = remind(filed, code_host, "--format", "json")
    code_host.fail = {}
    later = remind(filed, code_host, "--format", "json")

    assert (0, 0) == (failed.code, later.code)
    assert ["failed", "failed"] == [row["reminder"] for row in failed.json]
    assert 1 == failed.err.count("warning: the webhook was not notified")
    assert ["sent", "sent"] == [row["reminder"] for row in later.json]


def test_nobody_to_remind_is_a_usage_error(filed):
    """A job that reminds nobody would look like success."""
    done = filed.run("requests", "remind")

    assert 64 == done.code
    assert "nobody to remind" in done.err
    assert "--notify URL" in done.err


def test_a_reminder_without_its_variable_says_that_nothing_was_sent(filed):
    """The job goes on; the rows say what became of it."""
    filed.write("reconciler.yaml", SETTINGS.format("env:RECONCILER_NOTIFY_CHAT"))
    done = filed.run("requests", "remind", "--before", "15d", "--format", "json")

    assert 0 == done.code
    assert ["not sent", "not sent"] == [row["reminder"] for row in done.json]
    assert "RECONCILER_NOTIFY_CHAT is not set" in done.err
