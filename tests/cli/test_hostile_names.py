"""A world in which everything is called something that a terminal or a CI runner would obey."""

import re

import pytest

from tests import acme

EVIL = "\x1b[2J::error::pwned\r##[group]x \u202egnp.exe \x9b31m<img src=x onerror=alert(1)> `@all`"
NAME = "::error::pwned ##[group]x <img src=x onerror=alert(1)> `@all`"  # what files may call it
LINES = f"{EVIL}\n::error::second line\n##[endgroup]"
UNSEEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


def harmless(done, *, expect):
    """Nothing on either stream that is obeyed, and no traceback."""
    assert done.code in expect, done.err
    for shown in (done.out, done.err):
        assert UNSEEN.search(shown.replace("\u200d", "")) is None, shown
        assert "##[" not in shown
        for line in shown.split("\n"):
            assert not line.lstrip().startswith("::"), line


@pytest.fixture
def repo(world):
    """Flags, a role and a project of that name, live and in the files; each differs."""
    flags = [acme.live_flag("a", name=LINES), acme.live_flag("gated", name="x")]
    policy = acme.policy(
        "feature_flag.enable",
        approver_config={"quorum": 1, "users": ["alice@acme.test"], "roles": [NAME]},
    )
    projects = [
        {"name": NAME, "id": 1, "feature_flags": flags, "approval_policies": [policy]},
    ]
    roles = [{"name": name, "members": ["alice@acme.test"]} for name in (NAME, EVIL)]
    repo = world(acme.seed(name=EVIL[:30], projects=projects, roles=roles))
    repo.write(
        "flags.yaml",
        acme.flag("a", project=NAME, name=EVIL, tags=[EVIL]),
        acme.flag("new", 10, project=NAME, name=LINES),
        acme.flag("gated", project=NAME, active=True),
        acme.document("Role", {"members": ["bob@acme.test"]}, name=NAME),
    )
    repo.commit()
    return repo


def test_whatever_is_printed_is_harmless(repo):
    """Every command that says what files or PostHog say, in text and in the other formats."""
    harmless(repo.run("validate"), expect={0})
    harmless(repo.run("validate", "--live"), expect={0, 1})
    harmless(repo.run("plan", "--out", "p.json"), expect={4})  # bob joins who may approve
    for form in ("text", "markdown", "html", "json"):
        harmless(repo.run("-v", "show", "p.json", "--format", form), expect={0})
    harmless(repo.run("show", "p.json", "--zoom", "resources"), expect={0})
    for form in ("text", "markdown", "html", "sarif"):
        harmless(repo.run("drift", "--format", form), expect={2})
    harmless(repo.run("apply", "--yes", "--allow-weakening", "--continue"), expect={3, 4})
    harmless(repo.run("--quiet", "apply", "--yes", "--format", "json"), expect={3, 4})
    for form in ("text", "json"):
        harmless(repo.run("requests", "list", "--format", form), expect={0})
        harmless(repo.run("activity", "list", "--format", form, token="phx_alice"), expect={0})
        harmless(repo.run("doctor", "--format", form), expect={0, 1})
        harmless(repo.run("pull", "--out", form, "--format", form), expect={0})
    asked, *_ = repo.run("requests", "list", "--format", "json").json
    harmless(repo.run("requests", "show", asked["id"]), expect={0})
    reason = ("--reason", LINES)
    harmless(repo.run("requests", "reject", asked["id"], "--yes", *reason, token="phx_alice"),
             expect={0})  # fmt: skip
    harmless(repo.run("plan"), expect={1})  # what was pulled is declared twice


def test_errors_quote_files_without_obeying_them(repo):
    """What is wrong is shown, with its line."""
    repo.write("bad.yaml", f"kind: FeatureFlag\nmetadata: {{organization: {LINES!r}}}\nspec: 1\n")

    harmless(repo.run("validate"), expect={1})
    harmless(repo.run("plan"), expect={1})
    harmless(repo.run("validate", "--format", "gitlab"), expect={1})


def test_an_address_can_be_pasted_from_a_markdown_plan(world):
    """What stands in `<code>` is the address; a joiner from other text is ignored."""
    repo = world(acme.seed())
    repo.write("a.yaml", acme.document("Member", {"level": "admin"}, email="bob@acme.test"))
    shown = repo.run("plan", "--format", "markdown").out
    (copied,) = re.findall("<code>(Member[^<]*)</code>", shown)

    assert "Member/acme/bob@acme.test" == copied
    for pasted in (copied, copied.replace("@", "@\u200d")):
        done = repo.run("plan", "--select", pasted, "--format", "json")
        assert ["Member/acme/bob@acme.test"] == [row["address"] for row in done.json["changes"]]
