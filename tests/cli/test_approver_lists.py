"""The Markdown plan, and so the comment on a pull request: each approver once."""

import json

import pytest

from tests import acme, factories

CAPTAINS = {"name": "Captains", "members": ["alice@acme.test", "carol@acme.test"]}
PEOPLE = ("alice@acme.test", "bob@acme.test", "carol@acme.test")


def make_policy(action, quorum, users, roles=()):
    """Return a policy of these people."""
    config = {"quorum": quorum, "users": list(users), "roles": list(roles)}
    return acme.policy(action, approver_config=config)


@pytest.fixture
def repo(world):
    """Return three flags that wait: for two policies, the last one for both."""
    policies = [
        make_policy("feature_flag.enable", 2, ["alice@acme.test", "bob@acme.test"]),
        make_policy("feature_flag.update", 1, [], ["Captains"]),
    ]
    flags = [acme.live_flag(key) for key in "abc"]
    repo = world(factories.seed(*flags, policies=policies, roles=[CAPTAINS]))
    repo.write(
        "flags.yaml",
        acme.flag("a", active=True),
        acme.flag("b", 50),
        acme.flag("c", 50, active=True),
    )
    repo.commit()
    return repo


def read_people(shown):
    """Return the lines of people by email."""
    section = shown.split("#### Approvals")[1].split("<details")[0]
    rows = [line for line in section.splitlines() if line.startswith("- `")]
    return {row.split("`")[1]: row for row in rows}


def test_each_person_is_listed_once_with_how_much_waits_for_them(repo):
    """The policies keep their quorum; a change in steps also waits for the later approvers."""
    shown = repo.run("plan", "--format", "markdown").out

    assert [1, 1, 1] == [shown.count(person) for person in PEOPLE]
    assert {
        "alice@acme.test": "- `alice@acme.test`: 3 changes",
        "bob@acme.test": "- `bob@acme.test`: 2 changes",
        "carol@acme.test": "- `carol@acme.test`: 2 changes",
    } == read_people(shown)
    assert 1 == shown.count("`reconciler requests inbox`")
    assert "under `feature_flag.enable` of `acme/Web`: 2 approvals from 2 people" in shown
    assert "1 approval from 2 people (role `Captains`)" in shown


def test_each_person_has_one_link_once_requests_are_filed(repo):
    """And who has approved has nothing left to do."""
    assert 3 == repo.run("apply", "--yes").code
    reply = repo.run("requests", "approve", "FeatureFlag/acme/Web/a", "--yes", token="phx_bob")
    assert 0 == reply.code, reply.err
    listed = repo.run("requests", "list", "--format", "json").json
    urls = {row["flag"]: row["url"] for row in listed}
    people = read_people(repo.run("plan", "--format", "markdown").out)

    assert {person: 1 for person in people if person != "bob@acme.test"} == {
        person: row.count("](http") for person, row in people.items() if person != "bob@acme.test"
    }
    assert "3 changes · [open the first of 3 requests](" in people["alice@acme.test"]
    assert any(url in people["carol@acme.test"] for url in (urls["b"], urls["c"]))


def test_who_can_approve_nothing_is_named_with_the_reason(world):
    """The requester, for one."""
    policy = make_policy("feature_flag.enable", 1, ["ci@acme.test", "bob@acme.test"])
    repo = world(factories.seed(acme.live_flag("a"), policies=[policy]))
    repo.write("flags.yaml", acme.flag("a", active=True))
    shown = repo.run("plan", "--format", "markdown").out
    people = read_people(shown)

    assert "(1 can approve)" in shown
    assert "- `bob@acme.test`: 1 change" == people["bob@acme.test"]
    assert people["ci@acme.test"].startswith("- `ci@acme.test`: nothing (")


@pytest.fixture
def public(github, tmp_path):
    """Return the environment of a build that everybody can read."""
    event = tmp_path / "public.json"
    repository = {"private": False, "visibility": "public"}
    pull_request = {"number": 7}
    event.write_text(
        json.dumps({"repository": repository, "pull_request": pull_request}), encoding="utf-8"
    )
    return {**github, "GITHUB_EVENT_PATH": str(event)}


def test_a_public_comment_names_people_by_initials(repo, code_host, public):
    """The comment, the summary of the job and the log; whoever shares initials gets a number."""
    done = repo.run("ci", "run", "--comment", "plan", **public)
    (comment,) = code_host.comments
    plan = json.loads(next(repo.folder.rglob("plan.json")).read_text("utf-8"))

    assert 0 == done.code, done.err
    assert list(PEOPLE[:2]) == plan["changes"][0]["gate"]["approvers"]["users"]
    for shown in (comment["body"], done.out, done.err):
        assert "@acme.test" not in shown
    assert {"A.", "B.", "C."} == set(read_people(comment["body"]))


def test_a_public_apply_names_people_by_initials(repo, public):
    """Who has to approve, in text; JSON for programs is whole."""
    done = repo.run("apply", "--yes", "--record-base", "no", **public)
    again = repo.run("apply", "--yes", "--format", "json", **public)

    assert (3, 3) == (done.code, again.code)
    assert "A. or B." in done.out
    assert "@acme.test" not in done.out + done.err
    assert "alice@acme.test" in again.out


def test_people_with_the_same_initials_are_two_people(world, public):
    """Counted apart, and told apart."""
    seed = factories.seed(
        acme.live_flag("a"),
        policies=[make_policy("feature_flag.enable", 2, ["alice@acme.test", "bob@acme.test"])],
    )
    document = json.dumps(seed).replace("bob@acme.test", "anna@acme.test")
    repo = world(json.loads(document))
    repo.write("flags.yaml", acme.flag("a", active=True))
    shown = repo.run("plan", "--format", "markdown", **public).out

    assert "2 approvals from 2 people" in shown
    assert {"A.", "A.2"} == set(read_people(shown))
