"""What a call of a client did to the sandbox, read without the client."""

from tests.clients import world

GROUPS = [{"properties": [], "rollout_percentage": 70}]


def read(sandbox, path):
    """Return the body of a GET as the owner."""
    return sandbox.call("GET", path, token=world.KEY).body


def read_flag(sandbox, number, project=world.WEB):
    """Return a flag by its number, deleted or not."""
    return read(sandbox, f"/api/projects/{project}/feature_flags/{number}/")


def find_flag(sandbox, key):
    """Return the live flag of the project Web with this key."""
    page = read(sandbox, f"/api/projects/{world.WEB}/feature_flags/?search={key}")
    [flag] = [flag for flag in page["results"] if flag["key"] == key]
    return flag


def rollout(flag):
    """Return the rollout of a flag's first condition set."""
    return flag["filters"]["groups"][0]["rollout_percentage"]


def assert_waits_for_approval(sandbox):
    """Check that the gated flag is as it was, and that one change request wants 70."""
    page = read(sandbox, f"/api/projects/{world.GATED}/change_requests/")
    [request] = page["results"]
    [change] = request["intent"]["gated_changes"]["rollout_percentage"]

    assert "pending" == request["state"]
    assert 70 == change["value"]
    assert 50 == rollout(read_flag(sandbox, world.GATED_FLAG, world.GATED))


def member_level(sandbox):
    """Return Max's level, None if he is not a member."""
    members = read(sandbox, f"/api/organizations/{world.ORGANIZATION}/members/")["results"]
    return {member["user"]["uuid"]: member["level"] for member in members}.get(world.MEMBER)


def role_holders(sandbox):
    """Return the addresses of those who hold the role Devs."""
    path = f"/api/organizations/{world.ORGANIZATION}/roles/{world.ROLE}/role_memberships/"
    return {row["user"]["email"] for row in read(sandbox, path)["results"]}
