"""Conditions on flags and cohorts: by name, checked, in order, and pulled."""

import pytest
import yaml

from tests import acme, factories

COHORTS = [{"id": 7, "name": "Beta testers", "is_static": True}, {"id": 8, "name": "Staff"}]
ON, OFF = True, False


def on(*keys, rollout=50, cohorts=()):
    """Filters that depend on flags and cohorts."""
    flags = [
        {"key": key, "type": "flag", "operator": "flag_evaluates_to", "value": True} for key in keys
    ]
    people = [{"key": "id", "type": "cohort", "operator": "in", "value": one} for one in cohorts]
    return {"groups": [{"properties": flags + people, "rollout_percentage": rollout}]}


def there(key, number, active=OFF, **filters):
    """A flag of the seed."""
    needs = on(*map(str, filters.pop("flags", ())), **filters)
    return acme.live_flag(key, id=number, active=active, filters=needs)


def seed(*flags, policies=(), cohorts=COHORTS, **more):
    web = factories.project(*flags, policies=policies, cohorts=list(cohorts))
    return acme.seed(projects=[web, {"name": "Mobile", "id": 2}], **more)


def gone(key):
    document = acme.flag(key)
    document["metadata"]["lifecycle"] = {"state": "absent"}
    return document


def stored(repo):
    """The live flags of the first project by key."""
    flags = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    return {flag["key"]: flag for flag in flags if not flag.get("deleted")}


def condition(flag, number=0):
    return flag["filters"]["groups"][0]["properties"][number]


def converged(repo, *options):
    """One apply, exit code 0, and then an empty plan."""
    done = repo.run("apply", "--yes", *options)
    assert done.code == 0, done.out + done.err
    again = repo.run("plan", "--detailed-exitcode")
    assert again.code == 0, again.out + again.err
    return stored(repo)


def errors(done, severity="error"):
    return [
        (
            one["code"],
            one["message"],
            one["source"] and (one["source"]["line"], one["source"]["column"]),
        )
        for one in (done.json["findings"] if isinstance(done.json, dict) else done.json)
        if one["severity"] == severity
    ]


def address(key):
    return f"FeatureFlag/acme/Web/{key}"


ORDERS = {
    "off": (
        [there("a", 1, ON), there("b", 2, ON, flags=[1])],
        [("a", OFF), ("b", OFF)],
        {"a": "b"},
    ),
    "on": ([there("z", 1), there("a", 2, flags=[1])], [("a", ON), ("z", ON)], {"a": "z"}),
    "on, whatever the ids": (
        [there("a", 9), there("m", 5, flags=[9]), there("b", 1, flags=[5])],
        [("b", ON), ("a", ON), ("m", ON)],
        {"m": "a", "b": "m"},
    ),
    "deleted": (
        [there("a", 1, ON), there("b", 2, ON, flags=[1])],
        [("a", None), ("b", None)],
        {"a": "b"},
    ),
    "off after a delete": (
        [there("a", 1, ON), there("b", 2, ON, flags=[1])],
        [("a", OFF), ("b", None)],
        {"a": "b"},
    ),
    "freed, and off": (
        [there("a", 1, ON), there("b", 2, ON, flags=[1])],
        [("a", OFF), ("b", {"filters": on(rollout=50)})],
        {"a": "b"},
    ),
    "another dependency": (
        [there("a", 1, ON), there("b", 2, ON, flags=[1]), there("z", 3)],
        [("a", None), ("b", {"filters": on("z")}), ("z", ON)],
        {"a": "b", "b": "z"},
    ),
    "new": (
        [],
        [
            ("a", {"filters": on("z")}),
            ("z", {"filters": on("y"), "active": True}),
            ("y", {"filters": on()}),
        ],
        {"a": "z", "z": "y"},
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_one_apply_writes_flags_in_the_order_that_posthog_takes(world, name):
    """Dependencies are switched on first, dependents are switched off or deleted first."""
    flags, wishes, waits = ORDERS[name]
    repo = world(seed(*flags))
    documents = [
        gone(key)
        if wish is None
        else acme.flag(key, **(wish if isinstance(wish, dict) else {"active": wish}))
        for key, wish in wishes
    ]
    repo.write("flags.yaml", *documents)

    planned = {
        row["address"]: row["depends_on"]
        for row in repo.run("plan", "--format", "json").json["changes"]
    }
    converged(repo)

    assert {k: v for k, v in planned.items() if v} == {
        address(one): [address(other)] for one, other in waits.items()
    }
    order = list(planned)
    assert all(
        order.index(address(other)) < order.index(address(one)) for one, other in waits.items()
    )


def test_names_are_sent_as_ids_and_pulled_as_names(world, tmp_path):
    """A key as text, a cohort's id as a number; a plan of pulled files is empty."""
    repo = world(seed(there("base", 501, ON), there("old", 502, ON, flags=[501], cohorts=[7])))
    repo.write(
        "flags.yaml",
        acme.flag("new", filters=on("base", cohorts=["Beta testers"])),
        acme.flag("ids", filters=on("502", cohorts=[8])),
        acme.flag("digits", filters=on("base", cohorts=["7"])),
    )

    flags = converged(repo)

    assert [condition(flags["new"])["key"], condition(flags["new"], 1)["value"]] == ["501", 7]
    assert [condition(flags["ids"])["key"], condition(flags["ids"], 1)["value"]] == ["502", 8]
    assert condition(flags["digits"], 1)["value"] == 7
    (tmp_path / "flags.yaml").unlink()
    assert repo.run("pull", "--out", "all").code == 0
    text = "".join(path.read_text() for path in sorted((tmp_path / "all").rglob("*.yaml")))
    assert "key: base" in text
    assert "key: old" in text
    assert "value: Beta testers" in text
    assert "value: Staff" in text
    assert "id:" not in text.replace("key: id", "")
    for command in (["validate"], ["validate", "--live"], ["plan", "--detailed-exitcode"]):
        done = repo.run(*command, "all")
        assert done.code == 0, done.out + done.err


def test_ids_without_a_name_are_pulled_as_posthog_has_them(world, tmp_path):
    """What is gone would be refused: `filters` is left out. Of namesakes the id is written."""
    cohorts = [{"id": 7, "name": "Staff"}, {"id": 8, "name": "Staff"}]
    old = [{"id": 9, "name": "Old", "deleted": True}]
    repo = world(
        seed(
            there("named", 1, ON, cohorts=[7]),
            there("dead-cohort", 2, ON, cohorts=[9]),
            there("dead-flag", 3, flags=[99]),
            cohorts=[*cohorts, *old],
        )
    )

    done = repo.run("pull", "--out", "all")

    assert done.code == 0, done.err
    files = (tmp_path / "all").rglob("*.yaml")
    documents = [one for path in files for one in yaml.safe_load_all(path.read_text())]
    specs = {one["metadata"].get("key"): one.get("spec") for one in documents}
    assert condition(specs["named"])["value"] == 7
    assert "filters" not in {**specs["dead-cohort"], **specs["dead-flag"]}
    assert "no cohort has the ID 9" in done.err
    assert "no flag has the ID 99" in done.err
    for command in ("validate", "plan"):
        done = repo.run(command, *(["--detailed-exitcode"] if command == "plan" else []), "all")
        assert done.code == 0, done.out + done.err


def test_what_does_not_exist_is_an_error_at_its_place(world):
    """In the plan and in `validate --live`: names and ids, of flags and of cohorts."""
    repo = world(seed(there("base", 501, ON)))
    rows = ["bsae", '"999"', "id:5"]
    people = ["Beta tester", "77", "id:9"]
    conditions = [
        f"{{key: {row}, type: flag, operator: flag_evaluates_to, value: true}}" for row in rows
    ]
    conditions += [f"{{key: id, type: cohort, operator: in, value: {one}}}" for one in people]
    listed = "".join(f"\n        - {one}" for one in conditions)
    repo.write(
        "flags.yaml",
        "kind: FeatureFlag\nmetadata: {organization: acme, project: Web, key: new}\n"
        "spec:\n  filters:\n    groups:\n      - rollout_percentage: 5\n"
        f"        properties:{listed}\n",
    )

    plan = repo.run("plan", "--format", "json")
    validated = repo.run("validate", "--live", "--format", "json")

    wanted = [
        ('no flag is called "bsae"', (8, 17)),
        ("no flag has the ID 999", (9, 17)),
        ("no flag has the ID 5", (10, 17)),
        ('no cohort is called "Beta tester"', (11, 56)),
        ("no cohort has the ID 77", (12, 56)),
        ("no cohort has the ID 9", (13, 56)),
    ]
    assert [(message, place) for _, message, place in errors(plan)] == wanted
    assert {code for code, _, _ in errors(validated)} == {"R030"}
    assert [(message, place) for _, message, place in errors(validated)] == wanted
    fixes = [one["fix"] for one in plan.json["findings"] if one["severity"] == "error"]
    assert fixes[0] == 'did you mean "base"?'
    assert fixes[3] == 'did you mean "Beta testers"?'


def test_two_cohorts_of_one_name_need_an_id(world):
    """The error shows both; the id of the second is never taken for the first."""
    twins = [{"id": 7, "name": "Staff"}, {"id": 8, "name": "Staff"}]
    repo = world(seed(there("a", 1, ON, cohorts=[7]), cohorts=twins))
    repo.write("flags.yaml", acme.flag("a", filters=on(cohorts=["Staff"])))

    found = repo.run("plan", "--format", "json").json["findings"]
    (error,) = [one for one in found if one["severity"] == "error"]
    assert (error["code"], "7, 8" in error["why"]) == ("ambiguous-reference", True)
    repo.write("flags.yaml", acme.flag("a", filters=on(cohorts=[8])))
    assert condition(converged(repo)["a"])["value"] == 8


def cohort_reads(repo):
    return [row for row in repo.sandbox.requests() if "/cohorts/" in row["path"]]


def test_cohorts_are_listed_only_where_a_condition_needs_them(world):
    """One list for the project, and none for a plan without such a condition."""
    repo = world(
        seed(there("a", 1, ON), there("b", 2, ON, cohorts=[7]), there("c", 3, ON, flags=[1]))
    )
    repo.write("flags.yaml", acme.flag("a", active=True), acme.flag("c", filters=on("a")))
    assert repo.run("plan", "--detailed-exitcode").code == 0
    assert cohort_reads(repo) == []

    repo.write(
        "flags.yaml", acme.flag("a", active=True), acme.flag("b", filters=on(cohorts=["Staff"]))
    )
    assert repo.run("plan").code == 0
    (read,) = cohort_reads(repo)
    assert "basic=true" in read["query"]


def test_a_key_without_the_scope_is_told_which_one_is_missing(world):
    """Names are errors at their place; ids pass unchecked, with a warning."""
    world_ = seed(there("a", 1, ON, cohorts=[7]))
    scopes = [
        "feature_flag:write",
        "organization:read",
        "project:read",
        "approvals:read",
        "user:read",
    ]
    world_["users"][3]["tokens"][0]["scopes"] = [*scopes, "organization_member:read"]
    repo = world(world_)
    repo.write("flags.yaml", acme.flag("a", filters=on(cohorts=["Staff"])))

    done = repo.run("plan", "--format", "json")
    ((code, message, place),) = errors(done)
    assert (code, message) == ("unreadable-name", 'the cohort "Staff" cannot be looked up')
    assert place is not None
    assert any("cohort:read" in one["fix"] for one in done.json["findings"])
    assert repo.run("apply", "--yes").code == 1
    assert condition(stored(repo)["a"])["value"] == 7
    live = repo.run("validate", "--live", "--format", "json")
    assert [row[1] for row in errors(live)] == ['the cohort "Staff" cannot be looked up']

    repo.write("flags.yaml", acme.flag("a", filters=on(cohorts=[8])))
    done = repo.run("plan", "--format", "json")
    assert [row[0] for row in errors(done, "warning")] == ["unchecked-reference"]
    assert condition(converged(repo)["a"])["value"] == 8


REFUSED = {
    "deleted, used by a flag in no file": (
        [there("a", 1, ON), there("b", 2, ON, flags=[1])],
        [gone("a")],
        ("flag-in-use", "a cannot be deleted: b is active and depends on it"),
    ),
    "switched off, used by flags that stay on": (
        [there("a", 1, ON), there("b", 2, ON, flags=[1]), there("c", 3, ON, flags=[1])],
        [acme.flag("a", active=False), acme.flag("b", active=True)],
        ("flag-in-use", "a cannot be switched off: b, c are active and depend on it"),
    ),
    "switched on before its dependency": (
        [there("a", 1), there("b", 2, flags=[1])],
        [acme.flag("b", active=True)],
        ("dependency-off", "b depends on a, which is off"),
    ),
    "a new condition on what is off": (
        [there("a", 1), there("b", 2)],
        [acme.flag("b", filters=on("a"))],
        ("dependency-off", "b depends on a, which is off"),
    ),
    "a new condition on what goes": (
        [there("a", 1, ON), there("b", 2, ON)],
        [gone("a"), acme.flag("b", filters=on("a"))],
        ("flag-in-use", "a cannot be deleted: b is active and depends on it"),
    ),
    "a circle through a flag in no file": (
        [there("a", 1, ON), there("b", 2, ON, flags=[1]), there("c", 3, ON, flags=[2])],
        [acme.flag("a", filters=on("c"))],
        ("cycle", "these flags depend on each other: a → c → b → a"),
    ),
    "itself, by its id": (
        [there("a", 1, ON)],
        [acme.flag("a", filters=on("1"))],
        ("cycle", "a depends on itself"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_posthog_must_refuse_is_an_error_of_the_plan(world, name):
    """It says which flags depend on it, also those in no file; nothing of it is sent."""
    flags, documents, (code, message) = REFUSED[name]
    repo = world(seed(*flags))
    repo.write("flags.yaml", *documents)

    plan = repo.run("plan", "--format", "json")
    ((found, said, place),) = errors(plan)

    assert (found, said.replace("FeatureFlag/acme/Web/", "")) == (code, message)
    assert place is not None
    assert repo.run("apply", "--yes").code == 1
    assert [row for row in repo.sandbox.writes() if row["status"] == 400] == []


def test_no_advice_names_a_field_that_nobody_can_write(world):
    """PostHog refuses a delete for a reason that no answer shows: `deleted` is not in the files."""
    repo = world(seed({**there("a", 1), "experiment_set": [5]}))
    repo.write("flags.yaml", gone("a"))

    done = repo.run("apply", "--yes", "--format", "json")

    (row,) = done.json["results"]
    assert (done.code, row["outcome"]) == (1, "failed")
    assert "deleted" not in row["error"]["fix"]


def approve(repo, who="alice"):
    """Everything that is open is approved."""
    for row in repo.run("requests", "list", "--state", "pending", "--format", "json").json:
        done = repo.run("requests", "approve", row["id"], "--yes", token=f"phx_{who}")
        assert done.code == 0, done.err


def test_a_dependent_waits_while_its_dependency_waits_for_approval(world):
    """It is skipped, and a later run converges."""
    repo = world(
        seed(there("z", 1), there("a", 2, flags=[1]), policies=[acme.policy("feature_flag.enable")])
    )
    repo.write("flags.yaml", acme.flag("a", active=True), acme.flag("z", active=True))

    first = repo.run("apply", "--yes", "--format", "json")
    assert first.code == 3, first.out
    results = {row["address"]: row["outcome"] for row in first.json["results"]}
    assert results == {address("z"): "waiting", address("a"): "skipped"}
    for _ in range(2):
        approve(repo)
        last = repo.run("apply", "--yes")
    approve(repo)
    assert repo.run("apply", "--yes").code == 0, last.out
    assert all(flag["active"] for flag in stored(repo).values())


def test_requests_and_gates_are_compared_in_names(world):
    """Our own request is known again, and unchanged conditions meet no policy."""
    release = {"type": "any_change", "field": "release_conditions"}
    update = acme.policy("feature_flag.update", conditions=release)
    repo = world(
        seed(there("z", 1, ON), there("a", 2, ON, flags=[1], cohorts=[7]), policies=[update])
    )
    names = on("z", rollout=70, cohorts=["Beta testers"])
    repo.write("flags.yaml", acme.flag("a", filters=names))
    (row,) = repo.run("plan", "--format", "json").json["changes"]
    assert row["gate"]["verdict"] == "none"
    assert [field["path"] for field in row["fields"]] == ["filters.groups[0].rollout_percentage"]
    converged(repo)

    repo.write("flags.yaml", acme.flag("a", filters=on("z", rollout=70, cohorts=["Staff"])))
    assert repo.run("apply", "--yes").code == 3
    (row,) = repo.run("plan", "--format", "json").json["changes"]
    assert row["gate"]["verdict"] == "pending"
    assert repo.run("apply", "--yes").code == 3
    assert len(repo.run("requests", "list", "--state", "pending", "--format", "json").json) == 1
    approve(repo)
    assert condition(converged(repo)["a"], 1)["value"] == 8


def test_a_saved_plan_with_conditions_is_applied(world):
    """Names and ids are resolved again from the few objects that it speaks of."""
    repo = world(
        seed(there("z", 1, ON), there("a", 2, ON, flags=[1], cohorts=[7]), there("x", 3, ON))
    )
    repo.write(
        "flags.yaml",
        acme.flag("a", filters=on("3", cohorts=["Staff"])),
        acme.flag("b", filters=on("z", cohorts=["7"])),
        acme.flag("c", filters=on("b")),
    )
    repo.commit()
    assert repo.run("plan", "--out", "../plan.json").code == 0
    done = repo.run("apply", "--yes", "../plan.json")
    assert done.code == 0, done.out + done.err
    assert repo.run("plan", "--detailed-exitcode").code == 0
    flags = stored(repo)
    assert [condition(flags[key])["key"] for key in ("a", "b")] == ["3", "1"]


def test_what_no_file_can_name_is_pulled_as_an_id_and_a_circle_without_filters(world, tmp_path):
    """Names that are cut off, or read as IDs, and flags that PostHog would refuse today."""
    names = {7: "Staff", 8: " padded ", 9: "id:7", 10: "  ", 11: None}
    repo = world(
        seed(
            *(there(f"c{number}", number, cohorts=[number]) for number in names),
            there("float", 20, cohorts=[7.0]),
            there("list", 21, cohorts=[[7]]),
            there("self", 30, flags=[30]),
            there("x", 31, flags=[32]),
            there("y", 32, flags=[31]),
            cohorts=[{"id": number, "name": name} for number, name in names.items()],
        )
    )

    done = repo.run("pull", "--out", "all")

    files = (tmp_path / "all").rglob("*.yaml")
    documents = [one for path in files for one in yaml.safe_load_all(path.read_text())]
    specs = {one["metadata"].get("key"): one.get("spec", {}) for one in documents}
    values = {key: condition(one)["value"] for key, one in specs.items() if "filters" in one}
    assert {f"c{number}": number for number in (8, 9, 10, 11)}.items() <= values.items()
    assert values["c7"] == values["float"] == "Staff"
    assert {"list", "self", "x"} == {key for key in specs if key} - values.keys()
    assert done.err.count("`filters` is left out") == 3, done.err
    assert repo.run("validate", "--live").code == 0
    planned = repo.run("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out
    repo.commit()
    assert repo.run("drift").code == 0
