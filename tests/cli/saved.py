"""A plan that is saved, a world that may move, and an apply of the plan."""

import json

import jsonschema

from reconciler.config.schema import validator
from reconciler.planfile import digest
from tests import factories

SCHEMA = jsonschema.Draft202012Validator(validator.load_schema("plan"))
APPROVED = {
    "type": "change_amount",
    "field": "rollout_percentage",
    "operator": ">",
    "value": 20,
}


def seed(*flags, policies=(), more=(), **changes):
    """One project with these flags, another without; ids are always the same."""
    others = [{"name": "Mobile", "id": 2}, *more]
    world = factories.seed(*flags, policies=policies, more=others, **changes)
    world["organizations"][0]["id"] = "01900000-0000-7000-8000-000000000001"
    return world


def save(repo, *arguments, name="plan.json", code=0):
    """Make a plan and keep it; what was sent for it is forgotten."""
    done = repo.run("plan", "--out", name, *arguments)
    repo.sandbox.clear()
    path = repo.folder / name
    document = json.loads(path.read_text())
    expected = 4 if "refusal" in document and code == 0 else code  # it is saved all the same
    assert expected == done.code, done.out + done.err
    as_its_schema_says(document)
    return path


def as_its_schema_says(document):
    """Every plan that a test saves is held against the schema that is published."""
    problems = list(SCHEMA.iter_errors(document))
    assert [] == problems, problems[0]


def apply(repo, *arguments, name="plan.json", token=None, **extra):
    return repo.run("apply", name, "--yes", "--format", "json", *arguments, token=token, **extra)


def outcomes(done):
    """{last part of the address: outcome} of an apply."""
    return {row["address"].split("/")[-1]: row["outcome"] for row in done.json["results"]}


def live(repo, key, project=1):
    """A live flag as the API answers it, or None."""
    _, body = repo.sandbox.call(
        "GET", f"/api/projects/{project}/feature_flags/?limit=1000", token="phx_alice"
    )
    return next((flag for flag in body["results"] if flag["key"] == key), None)


def edit(repo, method, path, body=None, token="phx_alice"):
    """Somebody does something in PostHog."""
    status, answer = repo.sandbox.call(method, path, body, token=token)
    assert status in {200, 201, 204}, (status, answer)
    repo.sandbox.clear()
    return answer


def approve_all(repo):
    """Bob agrees to every request that is open."""
    for row in repo.run("requests", "list", "--format", "json").json:
        path = f"/api/projects/1/change_requests/{row['id']}/approve/"
        edit(repo, "POST", path, {}, "phx_bob")


def edit_flag(repo, which, project=1, **fields):
    flag = live(repo, which, project)
    return edit(repo, "PATCH", f"/api/projects/{project}/feature_flags/{flag['id']}/", fields)


def resealed(path, change):
    """Somebody who knows how plans are sealed rewrites one."""
    document = json.loads(path.read_text())
    document.pop("digest")
    change(document)
    path.write_text(digest.format_document(digest.add_digest(document)))
