"""References of conditions, and the list of cohorts (contract 9.7, 9.8)."""

import pytest

from .conftest import FLAGS
from .test_flags import make, refused


def on_flag(*keys, **more):
    """Filters that depend on flags."""
    needs = {"type": "flag", "value": True, "operator": "flag_evaluates_to", **more}
    return {"groups": [{"properties": [{"key": str(key), **needs} for key in keys]}]}


def on_cohort(value):
    """Filters for the people of a cohort."""
    condition = {"key": "id", "type": "cohort", "value": value, "operator": "in"}
    return {"groups": [{"properties": [condition]}]}


REFUSED = [
    (on_flag(999), "invalid_input", "non-existent flag with ID 999"),
    (on_flag("on"), "invalid_input", "must reference flag IDs (integers), not flag keys"),
    (on_flag(2), "invalid_input", "Cannot create dependency on disabled flag 'off' (ID: 2)"),
    (on_flag(1, operator="exact"), "invalid_input", "must use the 'flag_evaluates_to' operator"),
    (on_cohort(99), "cohort_does_not_exist", "Cohort with id 99 does not exist"),
    (on_cohort(6), "cohort_does_not_exist", "Cohort with id 6 does not exist"),
    (on_cohort(7), "cohort_does_not_exist", "of another project"),
    (on_cohort("Beta testers"), "cohort_does_not_exist", "Cohort with id Beta testers"),
]


@pytest.mark.parametrize("active", [True, False])
def test_references_to_missing_objects_are_refused(api, active):
    """Whether the flag itself is on does not matter (contract 9.7)."""
    for number, (filters, code, detail) in enumerate(REFUSED):
        body = {"key": f"new-{number}", "active": active, "filters": filters}
        for reply in (
            api.post(f"{FLAGS}/", body),
            api.patch(f"{FLAGS}/1/", {"filters": filters}),
        ):
            assert refused(reply) == (code, "filters")
            if filters != on_cohort(7):
                assert detail in reply.body["detail"]


def test_cycles_are_refused(api):
    """Contract 9.7."""
    middle = make(api, "middle", filters=on_flag(1))["id"]
    end = make(api, "end", filters=on_flag(middle))["id"]

    reply = api.patch(f"{FLAGS}/1/", {"filters": on_flag(end)})
    assert refused(reply) == ("invalid_input", "filters")
    assert "Circular dependency detected: on → end → middle → on" in reply.body["detail"]
    reply = api.patch(f"{FLAGS}/1/", {"filters": on_flag(1)})
    assert "cannot depend on itself" in reply.body["detail"]


def test_cohorts_are_listed_by_project(api):
    """Contract 9.8."""
    (found,) = api.results("/api/projects/1/cohorts/?basic=true")

    assert (found["id"], found["name"], found["is_static"]) == (5, "Beta testers", True)
    assert "filters" not in found
    assert "filters" in api.results("/api/projects/1/cohorts/")[0]
    assert api.results("/api/projects/1/cohorts/?type=dynamic") == []
    assert make(api, "b", filters=on_cohort(5))["filters"]["groups"][0]["properties"][0]["value"]


def test_cohorts_are_part_of_the_state(api):
    """Contract 9.8."""
    state = api.sandbox.state()
    web = state["organizations"][0]["projects"][0]
    assert [(one["id"], one["deleted"]) for one in web["cohorts"]] == [(5, False), (6, True)]

    api.sandbox.reset(state)
    assert api.sandbox.state() == state
