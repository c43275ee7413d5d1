"""Which key goes to which host, and what is refused before anything is contacted."""

import copy
import logging
import pickle

import pytest

from reconciler.errors import TargetError
from reconciler.posthog.credentials import Credentials, Secret, parse_origin, resolve

PHX = "phx_0123456789abcdefghijklmnopqrstuvwxyz0123456"
ENV = {"POSTHOG_API_KEY": PHX}


def test_the_key_is_taken_from_the_first_variable_that_is_set():
    names = ["POSTHOG_API_KEY", "POSTHOG_PERSONAL_API_KEY", "POSTHOG_CLI_API_KEY"]
    for index, name in enumerate(names):
        environ = {other: f"phx_{other}" for other in names[index:]}

        found = resolve(environ=environ).key

        assert found.reveal() == f"phx_{name}"
        assert found.source == name


def test_an_empty_variable_counts_as_not_set():
    environ = {"POSTHOG_API_KEY": "", "POSTHOG_CLI_API_KEY": PHX}

    assert resolve(environ=environ).key.source == "POSTHOG_CLI_API_KEY"


def test_no_key_names_the_variables_and_what_to_create():
    with pytest.raises(TargetError) as caught:
        resolve(environ={})

    assert "POSTHOG_API_KEY, POSTHOG_PERSONAL_API_KEY" in caught.value.why
    assert "phx_" in caught.value.fix


@pytest.mark.parametrize("value", [{}, {"POSTHOG_PROD": ""}])
def test_a_variable_that_a_target_names_has_no_fallback(value):
    """Else the key of staging, or of an approver, would write to production."""
    with pytest.raises(TargetError) as caught:
        resolve(environ={**ENV, **value}, api_key_env="POSTHOG_PROD", where="r.yaml:4:5 {}".format)

    assert "POSTHOG_PROD" in caught.value.why
    assert "r.yaml:4:5" in caught.value.why
    assert "POSTHOG_PROD" in caught.value.fix


@pytest.mark.parametrize("allowed", ["", "MY_AWS_SECRET", "AWS_SECRET_2, aws_secret"])
def test_a_file_does_not_choose_which_secret_is_sent(allowed):
    """Only the environment allows a name that does not begin with POSTHOG_."""
    environ = {**ENV, "AWS_SECRET": PHX, "RECONCILER_ALLOWED_KEY_ENVS": allowed}
    with pytest.raises(TargetError) as caught:
        resolve(environ=environ, api_key_env="AWS_SECRET")

    assert "AWS_SECRET may not be used" in caught.value.what
    environ["RECONCILER_ALLOWED_KEY_ENVS"] = f"{allowed}, AWS_SECRET"
    assert "AWS_SECRET" == resolve(environ=environ, api_key_env="AWS_SECRET").key.source


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:8000", "https://us.posthog.com", "https://ph.acme.test:8443"]
)
@pytest.mark.parametrize("named", ["option", "environment"])
def test_where_the_environment_names_a_host_a_file_cannot_name_another(host, named):
    """Neither a port of this machine nor PostHog's own hosts, unless the environment lists them."""
    own = "https://ph.acme.test"
    environ = {**ENV, "POSTHOG_HOST": own}
    option = own if named == "option" else None
    with pytest.raises(TargetError) as caught:
        resolve(environ=environ, host_option=option, target_host=host, where="r.yaml {}".format)

    assert "r.yaml host" in caught.value.what
    environ["RECONCILER_ALLOWED_HOSTS"] = f"other.test, {host}"
    found = resolve(environ=environ, host_option=option, target_host=host)
    assert (own if option else host) == found.host
    same = resolve(environ=environ, host_option=option, target_host="HTTPS://PH.acme.test:443/")
    assert own == same.host


@pytest.mark.parametrize("key", ["phx_a b", "phx_a\n", "phx_a\r\nX-Evil: 1", "phx_ä", "phx_\x00"])
def test_a_key_that_would_break_out_of_its_header_is_refused(key):
    with pytest.raises(TargetError) as caught:
        resolve(environ={"POSTHOG_API_KEY": key})

    assert key not in f"{caught.value} {caught.value.why} {caught.value.fix}"


def test_a_project_key_is_refused_with_the_kind_that_is_needed():
    key = "phc_0123456789abcdefghij"
    with pytest.raises(TargetError) as caught:
        resolve(environ={"POSTHOG_API_KEY": key})

    assert "personal API key" in caught.value.fix
    assert key not in f"{caught.value} {caught.value.why} {caught.value.fix}"


def test_the_host_is_taken_from_option_then_target_then_environment_then_the_default():
    both = {**ENV, "POSTHOG_HOST": "https://eu.posthog.com"}
    local = "http://localhost:8000"

    assert resolve(environ=both, host_option=local).host == local
    assert resolve(environ=ENV, target_host="https://us.posthog.com").host == (
        "https://us.posthog.com"
    )
    assert resolve(environ=both).host == "https://eu.posthog.com"
    assert resolve(environ=ENV).host == "https://us.posthog.com"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://us.posthog.com/", "https://us.posthog.com"),
        ("HTTPS://US.PostHog.com", "https://us.posthog.com"),
        ("https://us.posthog.com:443", "https://us.posthog.com"),
        ("us.posthog.com", "https://us.posthog.com"),
        ("localhost:8010", "http://localhost:8010"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8010/", "http://[::1]:8010"),
        ("https://posthog.example.com:8443", "https://posthog.example.com:8443"),
    ],
)
def test_a_host_is_brought_into_one_form(written, meant):
    assert parse_origin(written) == meant


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("https://us.i.posthog.com", "https://us.posthog.com"),
        ("https://eu.i.posthog.com", "https://eu.posthog.com"),
        ("eu-assets.i.posthog.com", "https://eu.posthog.com"),
        ("http://us.posthog.com", "https://us.posthog.com"),
        ("http://192.168.1.5:8000", "https://192.168.1.5:8000"),
        ("http://127.1", "https://"),
        ("http://2130706433", "https://"),
        ("http://0.0.0.0", "https://"),
        ("http://localhost.evil.test", "https://"),
        ("ftp://us.posthog.com", "https://"),
        ("https://", "https://us.posthog.com"),
        ("https://us.posthog.com/api", "https://us.posthog.com"),
        ("https://us.posthog.com?x=1", "https://us.posthog.com"),
        ("https://us.posthog.com#x", "https://us.posthog.com"),
        ("https://us.posthog.com@evil.test", "https://us.posthog.com"),
        ("https://phx_aaaaaaaaaaaaaaaaaaaaaaaa:x@us.posthog.com", "https://us.posthog.com"),
        ("https://us.posthog.com\\@evil.test", "https://us.posthog.com"),
        ("https://us.posthog.com\r\n", "https://us.posthog.com"),
        ("https://us.posthog.com :443", "https://us.posthog.com"),
        ("https://us.posthog.com:0", "65535"),
        ("https://us.posthog.com:99999", "65535"),
        ("https://us.posthog.com:", "65535"),
        ("https://us.pösthog.com", "https://us.posthog.com"),
        ("https://[fe80::1%25eth0]", "https://us.posthog.com"),
        ("https://[::1", "https://us.posthog.com"),
        ("https://-evil.test", "https://us.posthog.com"),
    ],
)
def test_a_host_that_cannot_be_one_is_refused_with_a_way_out(host, word):
    with pytest.raises(TargetError) as caught:
        parse_origin(host)

    assert word in f"{caught.value.why} {caught.value.fix}"
    assert "phx_" not in str(caught.value)


EVIL = "https://evil.test"


@pytest.mark.parametrize("place", ["host_option", "target_host"])
def test_the_key_goes_to_no_host_that_only_a_file_or_an_option_names(place):
    with pytest.raises(TargetError) as caught:
        resolve(environ=ENV, **{place: EVIL})

    assert ("--host" if place == "host_option" else "the target's host") in caught.value.what
    assert "POSTHOG_HOST=https://evil.test" in caught.value.fix
    assert "RECONCILER_ALLOWED_HOSTS" in caught.value.fix


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({}, "https://us.posthog.com"),
        ({}, "https://eu.posthog.com"),
        ({}, "https://app.posthog.com"),
        ({}, "http://localhost:1"),
        ({}, "http://127.0.0.1:1"),
        ({}, "https://127.0.0.9"),
        ({"POSTHOG_HOST": "https://ph.corp.test"}, "https://ph.corp.test"),
        ({"POSTHOG_HOST": "ph.corp.test/"}, "https://PH.corp.test"),
        ({"RECONCILER_ALLOWED_HOSTS": "a.test, ph.corp.test:8443"}, "https://ph.corp.test:8443"),
        ({"RECONCILER_ALLOWED_HOSTS": "https://a.test,,"}, "a.test"),
    ],
)
def test_the_key_goes_to_posthog_to_this_machine_and_where_the_environment_says(environ, host):
    assert isinstance(resolve(environ={**ENV, **environ}, target_host=host), Credentials)


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({"POSTHOG_HOST": "https://ph.corp.test"}, "https://ph.corp.test:8443"),
        ({"POSTHOG_HOST": "https://ph.corp.test"}, "https://x.ph.corp.test"),
        ({"RECONCILER_ALLOWED_HOSTS": "corp.test"}, "https://evilcorp.test"),
        ({"RECONCILER_ALLOWED_HOSTS": "*"}, EVIL),
        ({"RECONCILER_ALLOWED_HOSTS": "*.test"}, EVIL),
        ({}, "https://us.posthog.com.evil.test"),
        ({}, "https://us.posthog.com:8443"),
        ({}, "https://us.posthog.com."),
        ({}, "https://xn--s-posthog-x2a.com"),
    ],
)
def test_nearly_an_allowed_host_is_not_one(environ, host):
    with pytest.raises(TargetError):
        resolve(environ={**ENV, **environ}, target_host=host)


def test_a_secret_does_not_show_itself(caplog):
    secret = Secret(PHX, "POSTHOG_API_KEY")
    logging.getLogger("x").warning("%s %r", secret, Credentials("https://a.test", secret))

    assert PHX not in f"{secret} {secret!r} {Credentials('https://a.test', secret)!r}"
    assert PHX not in caplog.text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_equal_secrets_are_equal():
    assert Secret(PHX) == Secret(PHX)
    assert Secret(PHX) != Secret(PHX + "x")
    assert len({Secret(PHX), Secret(PHX)}) == 1
