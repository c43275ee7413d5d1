"""Who becomes a project admin is refused without `--allow-weakening`, and nothing else is.

The sandbox decides who is a project admin: it says so to each person who asks.
"""

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from tests import acme
from tests.effort import effort
from tests.integration.governance import FEATURES, PROJECT_LEVELS
from tests.support import Repository

RULED = ["bob@acme.test", "ed@acme.test"]
NEW = "dora@acme.test"  # without a role or a rule, like every new member
EVERYBODY = ["alice", "bob", "carol", "ci", "dora", "ed"]
ROLES = ["Engineers", "Guests"]
LEVEL = st.sampled_from(PROJECT_LEVELS)
RULES = st.fixed_dictionaries(
    {
        "default": st.none() | LEVEL,
        "roles": st.dictionaries(st.sampled_from(ROLES), LEVEL),
        "members": st.dictionaries(st.sampled_from([*RULED, "carol@acme.test"]), LEVEL),
    }
)
HOLDERS = st.fixed_dictionaries(
    {role: st.lists(st.sampled_from(RULED), unique=True) for role in ROLES}
)


WORLDS = st.fixed_dictionaries(
    {
        "before": RULES,
        "after": RULES,
        "holders": HOLDERS,
        "later": st.none() | HOLDERS,
        "narrow": st.booleans(),
    }
)


def make_seed(rules, holders, *, narrow):
    """Return a world with these rules for the project Web."""
    general = [{}] if rules["default"] is not None else []
    rows = [
        *({"access_level": rules["default"]} for _ in general),
        *({"role": name, "access_level": level} for name, level in rules["roles"].items()),
        *({"member": who, "access_level": level} for who, level in rules["members"].items()),
    ]
    web = {"name": "Web", "id": 1, "access_controls": [{"resource": "project", **r} for r in rows]}
    made = acme.seed(
        projects=[web, {"name": "Mobile", "id": 2}],
        roles=[{"name": role, "members": members} for role, members in holders.items()],
        features=FEATURES,
        uses_most_specific_access_resolution=narrow,
    )
    for email in (NEW, RULED[1]):
        token = {"token": f"phx_{email.partition('@')[0]}", "scopes": ["*"]}
        made["users"].append({"email": email, "tokens": [token]})
        made["organizations"][0]["members"].append({"email": email, "level": "member"})
    return made


def list_admins(sandbox):
    """Return who may edit the rules of Web, as PostHog says."""
    answers = {
        who: sandbox.call("GET", "/api/projects/1/access_controls/", token=f"phx_{who}")
        for who in EVERYBODY
    }
    return {
        who
        for who, (status, body) in answers.items()
        if status == 200 and body["user_can_edit_access_levels"]
    }


@settings(
    max_examples=effort(25, 400),
    phases=[Phase.explicit, Phase.generate],  # shrinking costs processes; the seed replays
    suppress_health_check=list(HealthCheck),
)
@given(made=WORLDS)
def test_a_new_project_admin_is_refused_and_nothing_else_is(shared_sandbox, tmp_path_factory, made):
    """In both ways in which an organization may combine rules; people may change roles, too."""
    shared_sandbox.reset(make_seed(made["before"], made["holders"], narrow=made["narrow"]))
    repo = Repository(tmp_path_factory.mktemp("repo"), shared_sandbox)
    holders = made["later"] or made["holders"]
    roles = [acme.document("Role", {"members": held}, name=name) for name, held in holders.items()]
    access = acme.document("ProjectAccess", {"project": made["after"]}, project="Web")
    repo.write("all.yaml", access, *roles)
    were = list_admins(shared_sandbox)

    planned = repo.run("plan", "--format", "json")
    codes = {row["code"] for row in planned.json["findings"] if row["severity"] == "error"}
    assert repo.run("apply", "--yes", "--allow-weakening").code == 0

    gained = list_admins(shared_sandbox) - were
    event(f"new admins: {bool(gained)}")
    assert codes == ({"policy-weakened"} if gained else set()), planned.out
    assert planned.code == (4 if gained else 0)
