"""What only several documents together can get wrong: circles, quorums, names that cannot be."""

import pytest

from reconciler.errors import ConfigError


def codes(folder, content):
    """Codes and messages, errors or not."""
    try:
        found = folder.write({"a.yaml": content}).load().declared.findings
    except ConfigError as error:
        found = error.findings
    return [(one.code, one.message) for one in found]


def role(name, *, former=None, members=None):
    """A role document."""
    rename = f", lifecycle: {{renamed_from: {former}}}" if former else ""
    spec = "" if members is None else f"spec: {{members: [{', '.join(members)}]}}\n"
    return f"kind: Role\nmetadata: {{organization: acme, name: {name}{rename}}}\n{spec}---\n"


def policy(quorum, *roles, users=()):
    """A policy document."""
    approvers = f"{{quorum: {quorum}, users: [{', '.join(users)}], roles: [{', '.join(roles)}]}}"
    return (
        "kind: ApprovalPolicy\n"
        "metadata: {organization: acme, project: Web, action: feature_flag.update}\n"
        f"spec: {{approvers: {approvers}}}\n---\n"
    )


def flag(key, *needs):
    """A flag that depends on others."""
    properties = ", ".join(
        f"{{key: {one}, type: flag, operator: flag_evaluates_to, value: true}}" for one in needs
    )
    return (
        f"kind: FeatureFlag\nmetadata: {{organization: acme, project: Web, key: {key}}}\n"
        f"spec: {{filters: {{groups: [{{properties: [{properties}]}}]}}}}\n---\n"
    )


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (role("A", former="B") + role("B", former="A"), "A → B → A"),
        (role("A", former="A"), "A → A"),
        (role("A", former="B") + role("B", former="C") + role("C", former="A"), "A → B → C → A"),
        (role("X", former="A") + role("A", former="B") + role("B", former="A"), "A → B → A"),
    ],
)
def test_renames_in_a_circle_are_an_error(folder, content, names):
    """Nobody can say which goes first."""
    assert codes(folder, content) == [("R015", f"renamed into each other: {names}")]


@pytest.mark.parametrize(
    "content",
    [
        role("A", former="a"),
        role("A", former="B") + role("C", former="D"),
        flag("a", "b") + flag("b", "c") + flag("d", "c", "b"),
        flag("a", "'42'", "nowhere"),
    ],
)
def test_what_leads_somewhere_is_no_circle(folder, content):
    """Another spelling of a role's name is a rename like any other."""
    assert codes(folder, content) == []


def renamed(key, former, *, projects=None):
    """A flag that is to be renamed, in one project or in many."""
    where = f"projects: [{', '.join(projects)}]" if projects else "project: Web"
    lifecycle = f", lifecycle: {{renamed_from: {former}}}" if former else ""
    metadata = f"organization: acme, {where}, key: {key}{lifecycle}"
    return f"kind: FeatureFlag\nmetadata: {{{metadata}}}\n---\n"


AGAIN = '"a" is renamed to "b", and declared again'
TWICE = '"a" is renamed to "b" and to "c"'


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (renamed("b", "a") + renamed("a", None), [AGAIN]),
        (renamed("b", "a") + renamed("a", "z"), [AGAIN]),  # a chain: one rename a run
        (renamed("b", "a") + renamed("a", None, projects=["'*'"]), [AGAIN]),
        (renamed("b", "a", projects=["'*'"]) + renamed("a", None), [AGAIN]),
        (renamed("b", "a", projects=["X"]) + renamed("a", None), []),
        (renamed("b", "a") + renamed("c", "a"), [TWICE]),
        (renamed("b", "a", projects=["'*'"]) + renamed("c", "a"), [TWICE]),
        (renamed("b", "a") + renamed("c", "a", projects=["'*'", "'!Web'"]), []),
        (renamed("b", "a", projects=["'*'"]) + renamed("c", "a", projects=["'*'"]), [TWICE]),
        (role("b", former="A") + role("a"), ['"A" is renamed to "b", and declared again']),
        (role("b", former="A") + role("B2", former="a"), ['"a" is renamed to "b" and to "B2"']),
    ],
)
def test_a_name_that_two_documents_want_is_an_error(folder, content, messages):
    """Before the rename is applied both mean one object; nobody can tell offline whether it is."""
    assert codes(folder, content) == [("R016", message) for message in messages]


def test_a_doubt_about_a_rename_can_be_silenced(folder):
    """Where somebody knows that it is applied, and keeps it for another target."""
    silent = renamed("b", "a").replace("key: b", "key: b, silence: [{check: R016, reason: done}]")

    assert codes(folder, silent + renamed("a", None)) == []


def test_flags_that_depend_on_each_other_are_an_error(folder):
    """At the place that leads on."""
    content = flag("a", "b") + flag("b", "z", "c") + flag("c", "a")
    (finding,) = folder.write({"a.yaml": content}).errors()

    assert finding.message == "flags that depend on each other: a → b → c → a"
    assert finding.excerpt[finding.source.column - 1] == "b"


def test_a_long_chain_of_flags_needs_no_deep_stack(folder):
    """Thousands in each other."""
    chain = "".join(flag(f"f{number}", f"f{number + 1}") for number in range(3000))

    assert codes(folder, chain) == []
    assert len(codes(folder, chain + flag("f3000", "f0"))) == 1


ENOUGH = [
    (policy(2, "A") + role("A", members=["a@x.y", "b@x.y"]), []),
    (policy(2, "A", users=["c@x.y"]) + role("A", members=["a@x.y"]), []),
    (policy(2, "A", users=["c@x.y"]) + role("A"), []),
    (policy(2, "A", "Z", users=["c@x.y"]) + role("A", members=[]), []),
    (
        policy(2, "a", users=["A@x.y"]) + role("A", members=["a@X.y"]),
        ["the quorum is 2, but the files name only 1 who can approve"],
    ),
    (
        policy(1, "A", users=[]) + role("A", members=[]),
        ["only roles may approve", "the quorum is 1, but the files name only 0 who can approve"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("content", "messages"), ENOUGH)
def test_a_quorum_is_counted_over_users_and_holders_of_declared_roles(folder, content, messages):
    """A role that is in no file, or without members there, may be held by anybody."""
    found = [one for one in codes(folder, content) if one[1] != "only roles may approve"]

    assert [one for one in messages if one != "only roles may approve"] == [m for _, m in found]
    assert {code for code, _ in found} <= {"R021"}


@pytest.mark.parametrize("content", [role('"id:6a0c"'), role("id:1")])
def test_a_role_cannot_be_called_like_an_id(folder, content):
    """In a reference `id:` means the API's own id."""
    assert codes(folder, content) == [("R005", "a name cannot start with `id:`")]


def test_a_reference_may_be_the_id_of_what_has_no_name_any_more(folder):
    """A policy keeps the ids of people and roles that are gone, and `pull` has to write them."""
    content = policy(1, '"id:6a0c2f0e-7f8e"', users=['"id:42"', "a@x.y"]) + role("Website")

    assert codes(folder, content) == []


def test_shares_that_do_not_add_up_have_a_code_of_their_own(folder):
    """So that silencing them silences nothing else."""
    content = (
        "kind: FeatureFlag\nmetadata: {organization: acme, project: Web, key: a}\n"
        "spec: {filters: {multivariate: {variants: [{key: x, rollout_percentage: 50}]}}}\n"
    )
    assert codes(folder, content) == [("R027", "the shares of the variants add up to 50")]
