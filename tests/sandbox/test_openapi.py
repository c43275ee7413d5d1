"""The sandbox's own OpenAPI document, compared with its responses."""

import json
from contextlib import ExitStack

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi import checks

from reconciler.sandbox.api import list_routes
from reconciler.sandbox.api.openapi import make_document
from reconciler.sandbox.requests.routes import RouteTable
from reconciler.sandbox.server.server import background
from reconciler.sandbox.server.testing import Sandbox
from reconciler.sandbox.store.generation import PROFILES
from tests.effort import effort

from .conftest import FLAGS, ORG, REQUESTS, SEED, Api

KEY = {"Authorization": "Bearer phx_olga"}
KNOWN = {
    "project": ["1", "@current", "2", "9"],
    "organization": [ORG.rsplit("/", 1)[1], "@current"],
    "role": ["b0000000-0000-4000-8000-000000000001"],
    "user": ["@me"],
}
POLICY = "c0000000-0000-4000-8000-000000000001"
FILED = [f"d0000000-0000-4000-8000-00000000000{n}" for n in range(1, 10)]


def world():
    """The usual people, with a policy, and requests enough to be decided."""
    acme, *others = SEED["organizations"]
    web, *rest = acme["projects"]
    rule = {"approver_config": {"quorum": 1, "users": ["olga@acme.test"]}}
    policies = [{"id": POLICY, "action_key": "feature_flag.enable", **rule}]
    requests = [
        {
            "id": one,
            "action_key": "feature_flag.enable",
            "created_by": "max@acme.test",
            "policy_snapshot": {"quorum": 1, "users": ["olga@acme.test"]},
            "intent": {"flag_key": "off", "gated_changes": {"active": True}},
        }
        for one in FILED
    ]
    variants = [{"key": key, "rollout_percentage": 50} for key in ("control", "test")]
    split = {"groups": [], "multivariate": {"variants": variants}}
    more = {
        "feature_flags": [*web["feature_flags"], {"key": "split", "id": 3, "filters": split}],
        "experiment_holdouts": [
            {"name": "H", "id": number, "filters": [{"rollout_percentage": 5}]} for number in (1, 2)
        ],
        "experiments": [
            {"name": "E", "id": number, "feature_flag": "split", "holdout": 1} for number in (1, 2)
        ],
    }
    more["scheduled_changes"] = [
        {
            "id": number,
            "flag": "split",
            "scheduled_at": "2030-01-01T00:00:00Z",
            "payload": {"operation": "update_status", "value": True},
        }
        for number in (1, 2)
    ]
    web = {**web, **more, "approval_policies": policies, "change_requests": requests}
    return {**SEED, "organizations": [{**acme, "projects": [web, *rest]}, *others]}


def make_schema(profile):
    routes = RouteTable(list_routes(), profile)
    return schemathesis.openapi.from_dict(make_document(routes, PROFILES[profile]))


def operations():
    """Every operation of every profile; in the gate those that are described alike only once."""
    described = set()
    for name in PROFILES:
        for found in make_schema(name).get_all_operations():
            operation = found.ok()
            description = json.dumps(operation.definition.raw, sort_keys=True)
            key = effort("", name), operation.method, operation.path, description
            if key in described:
                continue
            described.add(key)
            yield pytest.param(
                name, operation, id=f"{name} {operation.method.upper()} {operation.path}"
            )


@pytest.fixture(scope="module")
def sandboxes():
    with ExitStack() as stack:
        yield {
            name: Sandbox(stack.enter_context(background(seed=world(), profile=name)).url)
            for name in PROFILES
        }


def aimed(case):
    """Name things that are there, or the checks would see little but 404."""
    path = case.path
    for name, value in (case.path_parameters or {}).items():
        known = KNOWN.get(name, [])
        if name == "id" and "change_requests" in path:
            known = FILED
        elif name == "id":
            known = [POLICY] if "policies" in path else ["1", "2"]
        case.path_parameters[name] = known[len(str(value)) % len(known)]
    return case


def test_the_schemas_of_all_profiles_are_the_same():
    """So that operations which are described alike have answers alike."""
    documents = [make_schema(name).raw_schema["components"] for name in PROFILES]

    assert all(document == documents[0] for document in documents)


@pytest.mark.parametrize("name", PROFILES)
def test_the_document_is_a_valid_one(name):
    make_schema(name).validate()


@pytest.mark.parametrize(("name", "operation"), list(operations()))
def test_every_response_matches_the_document(sandboxes, name, operation):
    sandbox = sandboxes[name]
    sandbox.reset()

    @given(operation.as_strategy())
    @settings(
        max_examples=effort(2, 200, hunt=8),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def holds(case):
        response = aimed(case).call(base_url=sandbox.url, headers=KEY)
        case.validate_response(response, checks=CHECKED)

    holds()


@pytest.mark.parametrize("name", PROFILES)
def test_the_document_covers_responses_of_the_gate_and_votes(sandboxes, name):
    sandbox = sandboxes[name]
    sandbox.reset()
    api = Api(sandbox)
    schema = schemathesis.openapi.from_url(f"{sandbox.url}/_sandbox/openapi.json")

    def agree(method, path, template, status):
        operation = schema[template][method]
        case = operation.Case(path_parameters={"project": "1", "id": "1"})
        body = {"active": True, "reason": "r"}
        response = requests.request(method, sandbox.url + path, json=body, headers=KEY, timeout=9)
        assert response.status_code == status, response.text
        case.validate_response(response, checks=CHECKED)

    assert api.sandbox.requests() == []
    agree("PATCH", f"{FLAGS}/2/", "/api/projects/{project}/feature_flags/{id}/", 409)
    for word, request in zip(("approve", "reject"), FILED, strict=False):
        where = f"/api/projects/{{project}}/change_requests/{{id}}/{word}/"
        agree("POST", f"{REQUESTS}/{request}/{word}/", where, 200)
        agree("POST", f"{REQUESTS}/{request}/{word}/", where, 403)


CHECKED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
