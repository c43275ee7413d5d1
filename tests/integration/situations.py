"""Documents, and the world they meet; every name bears a mark, so that all can be renamed."""

import json
import random
from pathlib import Path

from hypothesis import strategies as st

from reconciler.config import loader
from reconciler.files import working_tree
from reconciler.model import PlanSnapshot
from reconciler.operations import plan
from reconciler.plan.selection import PlanOptions
from reconciler.planfile import codec
from reconciler.posthog.client import open_writer
from reconciler.posthog.credentials import Credentials, Secret
from reconciler.posthog.rate_limit import KeyRateLimit
from tests.cli.saved import as_its_schema_says
from tests.integration.test_idempotence import ACTIONS, CONDITIONS, FLAG, UNGUARDED

MARK, OTHER = "qxj", "qxk"  # neither comes before or after anything that the other does not
PEOPLE = [f"{MARK}-{name}@{MARK}.test" for name in ("alice", "bob", "carol", "ci")]
ROLES = [f"{MARK} role {number}" for number in range(3)]
PROJECTS = [f"{MARK} web", f"{MARK} mobile"]
FLAGS = [f"{MARK}-flag-{number}" for number in range(5)]
ORGANIZATION_SLUG = f"{MARK}-acme"
SETS = {"members", "users", "roles", "bypass_roles", "bypass_levels", "tags", "evaluation_contexts"}


def some(values, **limits):
    return st.lists(st.sampled_from(values), unique=True, **limits)


POLICY = st.fixed_dictionaries(
    {
        "approvers": st.fixed_dictionaries(
            {"quorum": st.integers(1, 2)},
            optional={"users": some(PEOPLE[:3], min_size=1), "roles": some(ROLES)},
        )
    },
    optional={
        "enabled": st.booleans(),
        "conditions": CONDITIONS,
        "allow_self_approve": st.booleans(),
        "bypass_levels": some(["owner", "admin", "member"]),
        "bypass_roles": some(ROLES),
        "expires_after": st.sampled_from(["14d", "36h"]),
    },
)


def document(kind, spec, **metadata):
    about = {"organization": ORGANIZATION_SLUG, **metadata}
    return {"kind": kind, "metadata": about, "spec": spec}


@st.composite
def documents(draw, *, gates=True):
    """Documents of all six kinds, each field of which may be written or not."""
    found = [
        document("Organization", draw(st.fixed_dictionaries({}, optional=UNGUARDED))),
        document("Member", {"level": draw(st.sampled_from(["member", "admin"]))}, email=PEOPLE[1]),
    ]
    zones = st.sampled_from(["UTC", "Europe/Berlin"])
    found += [document("Project", {"timezone": draw(zones)}, name=PROJECTS[0])]
    found += [document("Role", {"members": draw(some(PEOPLE))}, name=name) for name in ROLES]
    for action in draw(some(ACTIONS, max_size=3)) if gates else ():
        project = draw(st.sampled_from(PROJECTS))
        found.append(document("ApprovalPolicy", draw(POLICY), project=project, action=action))
    for key in draw(some(FLAGS, min_size=1)):
        project = draw(st.sampled_from(PROJECTS))
        found.append(document("FeatureFlag", draw(FLAG), project=project, key=key))
    return found


def uuid(number):
    return f"01900000-0000-7000-8000-{number:012}"


@st.composite
def seeds(draw, *, gates=True):
    """A world in which some of all that is there already, and differs; ids are always the same."""
    users = [
        {"email": email, "id": 11 + n, "uuid": uuid(n), "first_name": "X",
         "tokens": [{"token": f"phx_{n}", "scopes": ["*"]}]}
        for n, email in enumerate(PEOPLE)
    ]  # fmt: skip
    projects = []
    for n, name in enumerate(PROJECTS):
        flags = [
            {"id": 100 * n + k, "key": FLAGS[k], **draw(FLAG)}
            for k in draw(some(range(1, len(FLAGS))))
        ]
        policies = [
            {
                "id": uuid(1000 + 10 * n + k),
                "action_key": ACTIONS[k],
                "conditions": draw(CONDITIONS),
                "approver_config": {
                    "quorum": 1,
                    "users": draw(some(PEOPLE[:2], min_size=1)),
                    "roles": draw(some(ROLES)),
                },
                "enabled": draw(st.booleans()),
            }
            for k in (draw(some(range(len(ACTIONS)))) if gates else ())
        ]
        projects.append(
            {"id": n + 1, "name": name, "feature_flags": flags, "approval_policies": policies}
        )
    roles = [
        {"id": uuid(500 + n), "name": name, "members": draw(some(PEOPLE))}
        for n, name in enumerate(ROLES)
    ]
    organization = {
        "id": uuid(9000),
        "name": f"{MARK} Acme",
        "slug": ORGANIZATION_SLUG,
        "features": ["approvals", "audit_logs", "organizations_projects"],
        "members": [
            {"email": email, "level": level}
            for email, level in zip(PEOPLE, ("owner", "member", "admin", "owner"), strict=True)
        ],
        "roles": roles,
        "projects": projects,
    }
    return {"now": "2026-01-05T09:00:00Z", "users": users, "organizations": [organization]}


def renamed(value):
    """The same with every name that bears the mark called otherwise."""
    return json.loads(json.dumps(value).replace(MARK, OTHER))


def shuffled(value, dice, name=""):
    """The same with keys, and lists that are sets, in another order."""
    if isinstance(value, dict):
        keys = list(value)
        dice.shuffle(keys)
        return {key: shuffled(value[key], dice, key) for key in keys}
    if isinstance(value, list):
        items = [shuffled(item, dice) for item in value]
        if name in SETS:
            dice.shuffle(items)
        return items
    return value


def write(folder, found, seed=0):
    """The documents in files: one, or several in an order that `seed` decides."""
    dice = random.Random(seed)  # noqa: S311  a die, not a secret
    found = list(found)
    if seed:
        dice.shuffle(found)
    for one in found:
        text = json.dumps(shuffled(one, dice) if seed else one, ensure_ascii=False)
        part = dice.randrange(3) if seed else 0
        path = folder / f"part-{part}" / f"{'yxz'[part]}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write("---\n" + text + "\n")


TOKEN = "phx_3"  # of an owner


def writer(sandbox):
    credentials = Credentials(sandbox.url, Secret(TOKEN, "POSTHOG_API_KEY"))
    return open_writer(credentials, rate_limit=KeyRateLimit(10**6, 10**6))  # all share one pace


def planned(sandbox, folder, **options):
    """(writer, world, plan, files) for the files of a folder."""
    asks = writer(sandbox)
    tree = working_tree.WorkingTree(cwd=folder, anchor=folder)
    loaded = loader.load_files((Path(),), tree=tree)
    chosen = PlanOptions(**options)
    world = plan.observe(asks, loaded, chosen)
    made = plan.plan(
        world,
        chosen,
        target="default",
        host=asks.host,
        created_at="2026-01-05T09:00:00Z",
        excerpts=False,
        basis=PlanSnapshot(),
    )
    as_its_schema_says(codec.encode_plan(made))
    return asks, world, made, loaded


HASHES = {"digest", "desired_digest", "live_fingerprint", "fingerprint", "created_at"}
PLACES = {"source", "excerpt", "width"}


def told(made, *, without):
    """The document of a plan without some of its keys, findings in an order of their own."""

    def stripped(node):
        if isinstance(node, dict):
            return {name: stripped(value) for name, value in node.items() if name not in without}
        return [stripped(item) for item in node] if isinstance(node, list) else node

    document = stripped(codec.encode_plan(made))
    document["findings"].sort(key=json.dumps)
    return json.dumps(document)
