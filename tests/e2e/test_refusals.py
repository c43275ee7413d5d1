"""What PostHog would refuse is an error before anything is sent: `validate` against the sandbox."""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.e2e import acme
from tests.support import Repository

VALUES = st.sampled_from(
    [
        5, 5.5, True, None, "", "5", "a", "(", "[a", "a{2", "^a.*$", ["a"], [], {"a": 1}, "1", "v1",
        "1.2.3", "1.2", "1.*", "1.2.3-rc.1", "1.x", "1..2", "latest", "2026-01-31", "2026-02-30",
        "2026-13-01", "2026-1-5", "2026/01/31", "31.12.2026", "20260131", "20261331",
        "202601311230", "12345", "1700000000",
        "0000", "45", "0", "-7d", "30d", "7q", "12345d", "tomorrow", "Monday",
        "5 March 2026", "2026-01-31T10:00:00Z", "2026-01-31T25:00", "2026-01-31 10:00 CET", "10pm",
        "2026-01-31?", "5th of june", "1e5", "a\u00e9",
    ]
)  # fmt: skip
OPERATORS = st.sampled_from(
    [
        None, "exact", "is_not", "is_set", "is_not_set", "gt", "gte", "lt", "lte", "regex",
        "not_regex", "icontains", "not_icontains", "icontains_multi", "not_icontains_multi",
        "starts_with", "in", "not_in", "is_date_exact", "is_date_after", "is_date_before",
        "semver_eq", "semver_tilde", "semver_wildcard", "between", "not_between", "is", "eq", ">=",
        "min", "max", "contains", "!=", "nearly", "",
    ]
)  # fmt: skip
TYPES = st.sampled_from(["person", "person", "person", "group", "event", "person_metadata"])
INDEX = st.sampled_from([None, None, 0, 1])
PROPERTY = st.fixed_dictionaries(
    {"key": st.just("plan"), "type": TYPES},
    optional={
        "operator": OPERATORS,
        "value": VALUES,
        "group_type_index": INDEX,
        "negation": st.sampled_from([True, None, "no"]),
    },
)
VARIANT = st.fixed_dictionaries(
    {"key": st.sampled_from(["a", "b", "c"])},
    optional={"rollout_percentage": st.sampled_from([0, 30, 50, 50, 100, 33.33, 33.34])},
)
GROUP = st.fixed_dictionaries(
    {"properties": st.lists(PROPERTY, max_size=1)},
    optional={
        "rollout_percentage": st.sampled_from([None, 0, 50, 100, 101]),
        "variant": st.sampled_from([None, "", "a", "z", 5]),
        "aggregation_group_type_index": INDEX,
    },
)
FILTERS = st.fixed_dictionaries(
    {"groups": st.lists(GROUP, min_size=1, max_size=2)},
    optional={
        "multivariate": st.none()
        | st.fixed_dictionaries({"variants": st.lists(VARIANT, max_size=3)}),
        "payloads": st.dictionaries(
            st.sampled_from(["true", "a"]), st.sampled_from(['"x"', "x", 5, {"a": 1}]), max_size=1
        ),
        "aggregation_group_type_index": INDEX,
        "early_exit": st.sampled_from([True, None, "yes"]),
        "holdout": st.sampled_from([None, {"id": 3, "exclusion_percentage": 10}, {"id": "x"}]),
    },
)


@settings(
    max_examples=4,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(several=st.lists(FILTERS, min_size=60, max_size=120))
def test_validate_refuses_the_filters_that_the_server_refuses_and_no_others(
    shared_sandbox, tmp_path_factory, several
):
    """Two implementations of one contract: one run of `validate`, one POST for each flag."""
    shared_sandbox.reset(acme.seed())
    repo = Repository(tmp_path_factory.mktemp("repo"), shared_sandbox)
    keys = [f"flag-{number}" for number in range(len(several))]
    repo.write(
        "a.yaml", *(acme.flag(key, filters=one) for key, one in zip(keys, several, strict=True))
    )
    found = repo.run("validate", "--format", "json").json
    refused = {row["address"].rpartition("/")[2] for row in found if row["severity"] == "error"}
    for key, filters in zip(keys, several, strict=True):
        status, body = shared_sandbox.call(
            "POST", "/api/projects/1/feature_flags/", {"key": key, "filters": filters}, "phx_ci"
        )
        told = [row for row in found if row["address"].endswith(f"/{key}")]
        assert (status == 400) is (key in refused), (filters, body, told)
