"""`drift --notify`: each state said once, signed, without values; no result depends on it."""

import hashlib
import hmac
import json

import pytest

from tests import acme


def drift(repo, code_host, *arguments, **extra):
    return repo.run("drift", "--notify", f"{code_host.url}/hook/s3cr3t", *arguments, **extra)


def documents(code_host):
    return [json.loads(body) for _, _, body in code_host.hooks]


def test_each_state_is_told_once(repo, code_host):
    """Drift, the same drift, other drift, clean, still clean: three words."""
    assert 2 == drift(repo, code_host).code
    assert 2 == drift(repo, code_host).code
    assert ["drift"] == [one["event"] for one in documents(code_host)]

    repo.write("flags.yaml", acme.flag("a", 50), acme.flag("b", 30))
    repo.commit()
    assert 2 == drift(repo, code_host).code
    assert 0 == repo.run("apply", "--yes").code
    assert [0, 0] == [drift(repo, code_host).code, drift(repo, code_host).code]

    told = documents(code_host)
    assert ["drift", "drift", "clean"] == [one["event"] for one in told]
    assert ["FeatureFlag/acme/Web/a"] == told[0]["addresses"]
    assert ["FeatureFlag/acme/Web/a", "FeatureFlag/acme/Web/b"] == told[1]["addresses"]
    assert 3 == len({one["digest"] for one in told})


def test_who_was_always_clean_is_told_nothing(repo, code_host):
    """No news is no message."""
    repo.run("apply", "--yes")

    assert 0 == drift(repo, code_host).code
    assert [] == code_host.hooks


def test_no_value_and_no_secret_is_in_a_message(repo, code_host):
    """Names of resources and their number; the URL's path is in no output."""
    done = drift(repo, code_host)
    code_host.fail = {("POST", "s3cr3t"): 500}
    repo.write("flags.yaml", acme.flag("a", 51))
    repo.commit()
    failed = drift(repo, code_host)

    (_, _, body), _ = code_host.hooks
    assert b"50" not in body
    assert b"10" not in body.replace(json.loads(body)["digest"].encode(), b"")
    assert "s3cr3t" not in done.out + done.err + failed.out + failed.err
    assert "s3cr3t" not in "".join(str(path) for path in repo.folder.rglob("*"))


def test_json_is_signed_with_the_secret_of_the_environment(repo, code_host):
    """HMAC-SHA256 over the very bytes that were sent."""
    drift(repo, code_host, RECONCILER_NOTIFY_SECRET="between us")

    _, headers, body = code_host.hooks[0]
    expected = hmac.new(b"between us", body, hashlib.sha256).hexdigest()
    assert f"sha256={expected}" == headers["X-Reconciler-Signature-256"]


def test_slack_gets_a_text_in_which_names_are_no_markup(repo, code_host):
    """What is compatible with Slack takes `text`; `<!channel>` in a name stays a name."""
    repo.write("flags.yaml", acme.document("Role", {"members": []}, name="<!channel> & `x`"))
    repo.commit()
    done = drift(repo, code_host, "--notify-format", "slack")

    (told,) = documents(code_host)
    assert 2 == done.code, done.err
    assert {"text"} == set(told)
    assert "PostHog has drifted: 1 resource of default" in told["text"]
    assert "&lt;!channel&gt; &amp; 'x'" in told["text"]


@pytest.mark.parametrize("marker", ["state/told.txt", "refs/reconciler/notified/default"])
def test_the_marker_may_be_a_file_or_a_git_ref(repo, code_host, marker):
    """A build has no disk that lasts; a ref can be pushed and fetched."""
    drift(repo, code_host, "--notify-marker", marker)
    again = drift(repo, code_host, "--notify-marker", marker)

    assert 2 == again.code
    assert 1 == len(code_host.hooks)


@pytest.mark.parametrize("how", [500, 404, 302, "hang"])
def test_a_webhook_that_fails_or_hangs_costs_no_result(repo, code_host, how):
    """The drift is shown, the code is 2, a warning says that nobody was told; next time it is."""
    code_host.fail = {("POST", "s3cr3t"): how}
    done = drift(repo, code_host, "--format", "json")

    assert 2 == done.code
    assert 1 == done.json["summary"]["update"]
    assert "warning: the webhook was not notified" in done.err
    code_host.fail = {}
    drift(repo, code_host)
    assert 2 == len(code_host.hooks)


@pytest.mark.parametrize("url", ["http://example.test/x", "https://", "https:///x"])
def test_only_https_is_called(repo, url):
    """A word about drift does not travel in the open."""
    done = repo.run("drift", "--notify", url)

    assert 2 == done.code
    assert "not an address that may be called" in done.err


def test_a_marker_that_cannot_be_written_is_a_warning(repo, code_host):
    """The message is sent, and the warning says that it will be sent again."""
    (repo.folder / "blocked").write_text("", encoding="utf-8")

    done = drift(repo, code_host, "--notify-marker", "blocked/here")

    assert 2 == done.code
    assert "will be sent again" in done.err
    assert 1 == len(code_host.hooks)


@pytest.mark.parametrize(
    ("link", "named"), [(".reconciler", ()), ("state", ("--notify-marker", "state/deep/told"))]
)
def test_no_link_leads_the_marker_out_of_the_repository(
    repo, code_host, tmp_path_factory, link, named
):
    """Whoever commits a link must not choose where a run writes."""
    outside = tmp_path_factory.mktemp("outside")
    (repo.folder / link).symlink_to(outside)

    done = drift(repo, code_host, *named)

    assert 2 == done.code
    assert "will be sent again" in done.err
    assert [] == list(outside.iterdir())


def test_a_member_goes_by_initials(repo, code_host):
    """A chat is read by many: the address of a person stays out of it."""
    member = {"organization": "acme", "email": "carol@acme.test"}
    repo.write("member.yaml", {"kind": "Member", "metadata": member, "spec": {"level": "member"}})
    repo.commit()

    done = repo.run("drift", "--select", "Member/*", "--notify", f"{code_host.url}/hook")

    assert 2 == done.code
    assert ["Member/acme/C."] == json.loads(code_host.hooks[0][2])["addresses"]
    assert b"carol" not in code_host.hooks[0][2]


@pytest.mark.parametrize("action", ["--adopt", "--patch", "--revert"])
def test_what_ends_drift_tells_nobody_and_says_so(repo, code_host, action):
    """A slip must not look like success."""
    done = repo.run("drift", action, "--notify", f"{code_host.url}/hook")

    assert 64 == done.code
    assert "--notify reports drift" in done.err
    assert [] == repo.sandbox.requests()
