"""Names to edges; unknown and ambiguous names become findings with the candidates."""

from reconciler.config.yaml import reader
from reconciler.model import (
    Address,
    Declared,
    Lifecycle,
    Live,
    LiveResource,
    Person,
    Resource,
    Source,
    Unreadable,
    WrittenMapping,
)
from reconciler.plan import planner, selection
from reconciler.plan.diff import references
from reconciler.plan.ordering import changes
from reconciler.plan.weakening.effects import GateEffects

ACME = Address("Organization", ("acme",))
WEB = Address("Project", ("acme", "Web"))


def live(*addresses, ids=None, people=(), unreadable=()):
    """A live side with an organization, a project and whatever else is named."""
    everything = dict.fromkeys((ACME, WEB, *addresses), ("1",)) | (ids or {})
    return Live(
        resources={a: LiveResource(a, everything[a][0], {}, {}) for a in addresses},
        ids=everything,
        duplicates={},
        people={"acme": {email: Person(i, f"u{i}", email) for i, email in enumerate(people)}},
        unreadable=tuple(unreadable),
    )


def declared(*resources):
    return Declared({resource.address: resource for resource in resources}, "working tree")


def role(name, *members, **kwargs):
    return Resource(Address("Role", ("acme", name)), {"members": list(members)}, **kwargs)


def policy(roles, **kwargs):
    address = Address("ApprovalPolicy", ("acme", "Web", "feature_flag.update"))
    return Resource(address, {"approvers": {"quorum": 1, "users": [], "roles": roles}}, **kwargs)


def flag(key, project="Web", **kwargs):
    spec = {"name": key, "filters": {"groups": [{"properties": []}]}}
    return Resource(Address("FeatureFlag", ("acme", project, key)), spec, **kwargs)


def found(desired, there):
    return references.resolve_names(desired, desired, there)


def test_an_unknown_role_is_named_with_the_nearest_one_and_its_place():
    """file:line:column of the very name, and a suggestion."""
    text = b"# one\n# two\napprovers:\n  roles: [Release manager]\n"
    (document,) = reader.read_documents(text, "policies.yaml", [])
    bad = policy(
        ["Release manager"],
        source=Source("policies.yaml", 3),
        origin=WrittenMapping(document.value),
    )

    _, findings = found(declared(bad), live(Address("Role", ("acme", "Release managers"))))

    assert [finding.code for finding in findings] == ["unknown-reference"]
    assert findings[0].fix == 'did you mean "Release managers"?'
    assert Source("policies.yaml", 4, 11) == findings[0].source


def test_a_role_is_found_whatever_its_case():
    """PostHog compares role names without case (contract 8.1)."""
    _, findings = found(
        declared(policy(["release MANAGERS"])), live(Address("Role", ("acme", "Release managers")))
    )

    assert findings == ()


def test_a_project_that_is_not_there_is_one_finding_a_resource():
    """Nothing inside a missing project is looked up."""
    _, findings = found(declared(flag("a", project="Wbe")), live())

    assert [finding.message for finding in findings] == ['no project is called "Wbe"']
    assert findings[0].fix == 'did you mean "Web"?'


def test_two_projects_of_one_name_need_an_id():
    """Never "pick the first"."""
    there = live(ids={WEB: ("1", "2")})

    _, findings = found(declared(flag("a")), there)

    assert [finding.code for finding in findings] == ["ambiguous-reference"]
    assert "1, 2" in findings[0].why

    pinned = Resource(WEB, {}, id="2")
    _, findings = found(declared(flag("a"), pinned), there)

    assert findings == ()


def test_a_person_who_is_not_in_the_organization_is_reported_with_candidates():
    """By email, and only people of this organization are suggested."""
    _, findings = found(declared(role("R", "dana@acme.tset")), live(people=["dana@acme.test"]))

    assert findings[0].fix == 'did you mean "dana@acme.test"?'


def test_where_people_cannot_be_read_the_scope_is_named_not_the_person():
    """403 is not "does not exist"."""
    gap = Unreadable(
        "Member", ("acme",), "missing scope", 403, "give the key organization_member:read"
    )

    _, findings = found(declared(role("R", "dana@acme.test")), live(unreadable=[gap]))

    assert findings[0].fix == "give the key organization_member:read"


def test_a_reference_that_the_selection_leaves_out_is_said():
    """Declared, not live, not selected: it cannot work, and the fix says what to add."""
    everything = declared(role("New"), policy(["New"]))
    options = selection.PlanOptions(select=("ApprovalPolicy/*",))

    plan = planner.build_plan(desired=everything, base=None, live=live(), options=options)

    assert [finding.code for finding in plan.errors] == ["reference-left-out"]
    assert "--select 'Role/acme/New'" in plan.errors[0].fix


def test_dependencies_come_first_and_deletes_reversed():
    """Organization → project → role → policy → flag; what is deleted waits for its users."""
    gone = Lifecycle(absent=True)
    old_role = Address("Role", ("acme", "Old"))
    old_policy = Address("ApprovalPolicy", ("acme", "Web", "feature_flag.enable"))
    there = Live(
        resources={
            old_role: LiveResource(old_role, "r1", {"members": []}, {}),
            old_policy: LiveResource(old_policy, "p1", {"approvers": {"roles": ["Old"]}}, {}),
        },
        ids={old_role: ("r1",), old_policy: ("p1",)},
        duplicates={},
        people={},
    )
    desired = declared(
        flag("a"),
        policy(["New"]),
        role("New"),
        Resource(WEB, {}),
        Resource(ACME, {"name": "Acme"}),
        Resource(old_role, {}, lifecycle=gone),
        Resource(old_policy, {}, lifecycle=gone),
    )

    plan = planner.build_plan(
        desired=desired, base=None, live=there, options=selection.PlanOptions()
    )

    names = [str(change.address).split("/")[0] for change in plan.changes]
    place = {str(change.address): i for i, change in enumerate(plan.changes)}
    assert {"policy-weakened"} == {finding.code for finding in plan.errors}
    assert names[:2] == ["Organization", "Project"]
    assert place["Role/acme/New"] < place["ApprovalPolicy/acme/Web/feature_flag.update"]
    assert place["ApprovalPolicy/acme/Web/feature_flag.update"] < place["FeatureFlag/acme/Web/a"]
    assert place[str(old_policy)] < place[str(old_role)]


def test_a_new_organization_waits_for_its_default_role_only_with_its_last_call():
    """The role lives in the organization, and the organization names the role."""
    desired = declared(Resource(ACME, {"name": "Acme", "default_role": "Eng"}), role("Eng"))
    nothing = Live(resources={}, ids={}, duplicates={}, people={})

    plan = planner.build_plan(
        desired=desired, base=None, live=nothing, options=selection.PlanOptions()
    )

    organization, engineers = plan.changes
    assert plan.errors == ()
    assert (Address("Role", ("acme", "Eng")),) == organization.late
    assert organization.depends_on == ()
    assert engineers.depends_on == (ACME,)


def test_the_order_does_not_depend_on_the_order_of_files():
    """Same inputs, same plan, however they are permuted."""
    resources = [flag("b"), flag("a"), role("Z"), role("A"), policy(["A"])]
    plans = [
        planner.build_plan(
            desired=declared(*some), base=None, live=live(), options=selection.PlanOptions()
        )
        for some in (resources, list(reversed(resources)))
    ]

    assert plans[0] == plans[1]


def test_cycles_are_reported_and_do_not_hang():
    """Not possible with the six kinds; a seventh must not bring the planner down."""
    a, b = Address("Role", ("acme", "a")), Address("Role", ("acme", "b"))
    plan = planner.build_plan(
        desired=declared(role("a"), role("b")),
        base=None,
        live=live(),
        options=selection.PlanOptions(),
    )

    _, findings = changes.order_changes(plan.changes, {a: (b,), b: (a,)}, GateEffects(), live())

    assert [(finding.code, finding.address) for finding in findings] == [("cycle", a), ("cycle", b)]
