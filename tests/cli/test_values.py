"""Values are compared as PostHog keeps them: another spelling is not a difference."""

import pytest

from tests import acme, factories
from tests.support import Repository

GROUPS = [{"properties": [], "rollout_percentage": 10}]


def condition(**property_):
    return {"groups": [{"properties": [{"key": "plan", "type": "person", **property_}]}]}


def payload(value):
    return {"groups": GROUPS, "payloads": {"true": value}}


def by_group(*indexes, whole=None):
    groups = [{"aggregation_group_type_index": one} if one != "" else {} for one in indexes]
    return {"groups": groups, **({} if whole is None else {"aggregation_group_type_index": whole})}


# (what the file says, what PostHog has)
SPELLINGS = [
    ({"name": "Two\nlines\n"}, {"name": "Two\nlines"}),
    ({"name": "\u00a0 both ends \t"}, {"name": "both ends"}),
    ({"tags": [" Checkout", "checkout", "Q3 ", " "]}, {"tags": ["q3", "checkout"]}),
    ({"evaluation_contexts": ["App", " app "]}, {"evaluation_contexts": ["app"]}),
    ({"analytics_dashboards": [7, 7.0, 3]}, {"analytics_dashboards": [3, 7]}),
    *(
        (
            {"filters": condition(operator=alias, value="1")},
            {"filters": condition(**kept, value="1")},
        )
        for names, kept in {
            ("is", "eq", "equals", "=", "==", None, "exact"): {},
            ("neq", "!="): {"operator": "is_not"},
            (">",): {"operator": "gt"},
            ("<",): {"operator": "lt"},
            (">=",): {"operator": "gte"},
            ("<=",): {"operator": "lte"},
            ("contains",): {"operator": "icontains"},
            ("not_contains",): {"operator": "not_icontains"},
        }.items()
        for alias in names
    ),
    (
        {"filters": condition(value="1", negation=False, group_type_index=None)},
        {"filters": condition(value="1", operator="exact", label="Plan")},
    ),
    *(
        ({"filters": payload(one)}, {"filters": payload(other)})
        for one, other in (
            ({"b": 1.0, "a": ["ü", None]}, '{"a":["\\u00fc",null],"b":10e-1}'),
            ('{"a": 1, "a": 2}', '{ "a" : 2 }\n'),
            ("12345678901234567890.50", "12345678901234567890.5"),
            ('"\\u4f60 \\ud83d\\ude00"', '"你 😀"'),
            ('{"n": 1e400}', '{"n": 10E399}'),
            (True, "true"),
            (None, " null"),
        )
    ),
    ({"filters": {"groups": GROUPS, "payloads": {}}}, {"filters": {"groups": GROUPS}}),
    ({"filters": by_group(0, 0)}, {"filters": by_group("", "", whole=0)}),
    ({"filters": by_group(None, "", whole=0)}, {"filters": by_group("", 0)}),
    (
        {"filters": {"groups": [{"variant": "", "description": None}]}},
        {"filters": {"groups": [{}]}},
    ),
    (
        {"filters": {"groups": [{"rollout_percentage": 10.0}], "multivariate": {"variants": []}}},
        {"filters": {"groups": [{"rollout_percentage": 10}], "multivariate": None}},
    ),
    (
        {"filters": {"groups": GROUPS, "super_groups": GROUPS}},
        {"filters": {"groups": GROUPS, "holdout_groups": GROUPS}},
    ),
]


def documents(specs):
    return [acme.flag(f"flag-{n}", **spec) for n, spec in enumerate(specs)]


@pytest.fixture
def repository(shared_sandbox, tmp_path):
    live = [
        {"filters": {"groups": GROUPS}, **there, "key": f"flag-{n}"}
        for n, (_, there) in enumerate(SPELLINGS)
    ]
    projects = [{"name": "Web", "id": 1, "feature_flags": live}, {"name": "Mobile", "id": 2}]
    shared_sandbox.reset(acme.seed(projects=projects))
    return Repository(tmp_path, shared_sandbox)


def test_another_spelling_of_what_is_live_is_not_a_difference(repository):
    """Plan and drift see nothing, and apply sends nothing."""
    repository.write("all.yaml", *documents(spec for spec, _ in SPELLINGS))
    repository.commit()

    planned = repository.run("plan", "--format", "json")
    assert [] == planned.json["changes"]
    assert 0 == repository.run("drift").code

    repository.sandbox.clear()
    assert 0 == repository.run("apply", "--yes").code
    assert [] == repository.sandbox.writes()


def test_what_an_odd_spelling_writes_is_confirmed_and_not_planned_again(repository):
    """The answer to a write is held against the same normal form."""
    creates = [
        {"filters": {"groups": GROUPS}, **spec, "name": f"{n} \n"}
        for n, (spec, _) in enumerate(SPELLINGS)
    ]
    repository.write("all.yaml", *documents(creates))
    repository.run("apply", "--yes")
    moved = [acme.flag(f"new-{n}", **spec) for n, spec in enumerate(creates)]
    repository.write("all.yaml", *documents(creates), *moved)

    applied = repository.run("apply", "--yes", "--format", "json")

    assert 0 == applied.code, applied.out
    assert 0 == repository.run("plan", "--detailed-exitcode").code


def test_letters_of_a_payload_stay_letters(repository):
    """In the plan, and on the wire."""
    repository.write("all.yaml", acme.flag("hello", filters=payload({"sign": "你好", "ü": 1})))

    assert '{"sign": "你好", "ü": 1}' in repository.run("plan").out
    assert 0 == repository.run("apply", "--yes").code
    path = "/api/projects/1/feature_flags/?search=hello"
    (flag,) = repository.sandbox.call("GET", path, token="phx_ci")[1]["results"]
    assert {"true": '{"sign": "你好", "ü": 1}'} == flag["filters"]["payloads"]


def test_keys_that_the_next_save_removes_are_neither_pulled_nor_removed_in_silence(repository):
    """The plan of any write says that PostHog removes them."""
    number = len(SPELLINGS) - 1
    repository.run("pull", "--out", "pulled")
    pulled = "".join(path.read_text() for path in (repository.folder / "pulled").rglob("*.yaml"))
    assert "_groups" not in pulled
    flag = acme.flag(f"flag-{number}", name="New")
    repository.write("all.yaml", flag)

    planned = repository.run("plan", "all.yaml", "--format", "json")

    (finding,) = [one for one in planned.json["findings"] if one["code"] == "dropped-keys"]
    assert "filters.holdout_groups" in finding["message"]
    assert 0 == repository.run("apply", "all.yaml", "--yes").code


def test_a_name_of_white_space_is_an_error_at_its_line(repository):
    """PostHog would trim it and refuse what is left."""
    repository.write("all.yaml", acme.document("Organization", {"name": " \t "}))

    done = repository.run("validate")

    assert 1 == done.code
    assert "all.yaml:5:9" in done.out + done.err


def test_an_inserted_condition_is_one_change_in_every_form(shared_sandbox, tmp_path):
    """Text, markdown, the page, and the same from a saved plan; the fields keep positions."""
    groups = [
        {"properties": [{"key": "plan", "type": "person", "value": n}], "rollout_percentage": n}
        for n in range(5)
    ]
    live = [acme.live_flag("beta", filters={"groups": groups[1:]})]
    shared_sandbox.reset(factories.seed(*live))
    repository = Repository(tmp_path, shared_sandbox)
    repository.write("all.yaml", acme.flag("beta", filters={"groups": groups}))

    planned = repository.run("plan", "--out", "saved.json")
    texts = [
        planned.out,
        repository.run("show", "saved.json").out,
        repository.run("plan", "--format", "markdown").out,
        repository.run("plan", "--format", "html").out.replace("<wbr>", ""),
    ]

    for text in texts:
        assert 1 == text.count("filters.groups["), text
        assert "+ filters.groups[0]" in text
        assert "4 groups move down" in text
    document = repository.run("show", "saved.json", "--format", "json").json
    assert len(document["changes"][0]["fields"]) > 1


def test_a_payload_that_no_file_writes_stays_as_long_as_its_variant(shared_sandbox, tmp_path):
    """Only what is written is managed, also below `payloads`; what nobody gets is not sent."""
    shares = {"a": 30, "b": 30, "c": 40}
    variants = [{"key": key, "rollout_percentage": share} for key, share in shares.items()]
    payloads = {"a": '"of a"', "b": '"of b"', "c": '"of c"'}
    there = {"groups": GROUPS, "multivariate": {"variants": variants}, "payloads": payloads}
    live = [acme.live_flag("beta", filters=there)]
    shared_sandbox.reset(factories.seed(*live))
    repository = Repository(tmp_path, shared_sandbox)
    two = [{"key": key, "rollout_percentage": 50} for key in "ab"]
    wanted = {"multivariate": {"variants": two}, "payloads": {"a": '"new"'}}
    repository.write("all.yaml", acme.flag("beta", filters=wanted))

    planned = repository.run("plan", "--format", "json").json
    (finding,) = [one for one in planned["findings"] if one["code"] == "dropped-keys"]
    assert "remove filters.payloads.c," in finding["message"]
    assert 0 == repository.run("apply", "--yes").code

    (flag,) = shared_sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert {"a": '"new"', "b": '"of b"'} == flag["filters"]["payloads"]
    assert 0 == repository.run("plan", "--detailed-exitcode").code


def test_drift_of_a_list_says_what_happened_to_it(shared_sandbox, tmp_path):
    """Somebody inserted one condition in PostHog: one entry, one act, the others moved down."""
    groups = [
        {"properties": [{"key": "plan", "type": "person", "value": n}], "rollout_percentage": n}
        for n in range(4)
    ]
    live = [acme.live_flag("beta", filters={"groups": groups[1:]})]
    shared_sandbox.reset(factories.seed(*live))
    repository = Repository(tmp_path, shared_sandbox)
    repository.write("all.yaml", acme.flag("beta", filters={"groups": groups[1:]}))
    repository.commit()
    path = "/api/projects/1/feature_flags/"
    (flag,) = shared_sandbox.call("GET", path, token="phx_alice")[1]["results"]
    body = {"filters": {"groups": [groups[3], groups[0], *groups[1:3]]}}
    assert 200 == shared_sandbox.call("PATCH", f"{path}{flag['id']}/", body, "phx_alice")[0]

    for form in ("text", "markdown"):
        out = repository.run("drift", "--format", form).out
        assert "+ filters.groups[1]" in out
        assert "2 groups move down" in out
        assert "moved up to [0]" in out
        assert 1 == out.count("Changed by alice")
        assert "1 without approval" in out, "as many as resources have changed"


def test_a_server_without_an_archive(start_sandbox, tmp_path):
    """What is not archived needs no field for it; to archive there is an error beforehand."""
    old = start_sandbox("--profile", "g1")
    old.reset(acme.seed(projects=[{"name": "Web", "feature_flags": [acme.live_flag("a")]}]))
    repository = Repository(tmp_path, old)
    repository.write("b.yaml", acme.flag("b", 5, archived=False), acme.flag("a", archived=False))
    assert 0 == repository.run("apply", "--yes").code
    assert 0 == repository.run("plan", "--detailed-exitcode").code

    wishes = [acme.flag(key, 5, active=False, archived=True) for key in ("b", "c")]
    repository.write("b.yaml", *wishes)
    planned = repository.run("plan", "--format", "json")

    found = [one["message"] for one in planned.json["findings"] if one["severity"] == "error"]
    assert 1 == planned.code
    assert 2 == sum("too old to archive flags" in message for message in found)
