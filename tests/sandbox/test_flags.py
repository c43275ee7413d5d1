"""Feature flags (contract 9)."""

import copy

import pytest

from .conftest import FLAGS, FULL, ORG, REQUESTS, SEED

BASE = {"groups": [{"properties": []}]}
FIELDS = {
    "id",
    "key",
    "name",
    "filters",
    "active",
    "deleted",
    "archived",
    "created_by",
    "last_modified_by",
    "created_at",
    "updated_at",
    "version",
    "tags",
    "evaluation_contexts",
    "ensure_experience_continuity",
    "is_remote_configuration",
    "has_encrypted_payloads",
    "evaluation_runtime",
    "bucketing_identifier",
    "analytics_dashboards",
    "experiment_set",
    "experiment_set_metadata",
    "surveys",
    "features",
    "usage_dashboard",
    "has_enriched_analytics",
    "can_edit",
    "user_access_level",
    "status",
    "last_called_at",
    "is_used_in_replay_settings",
    "is_eligible_for_experiment",
}


def make(api, key, **more):
    reply = api.post(f"{FLAGS}/", {"key": key, "filters": BASE, **more})
    assert reply.status == 201, reply.body
    return reply.body


def refused(reply):
    assert reply.status == 400, reply.body
    return reply.body["code"], reply.body["attr"]


def test_a_flag_reads_back_with_all_fields_and_defaults(api):
    """Contract 9.1."""
    body = make(api, "new")

    assert body.keys() == FIELDS
    assert (body["name"], body["active"], body["deleted"], body["archived"]) == (
        "",
        True,
        False,
        False,
    )
    assert (body["version"], body["tags"], body["evaluation_runtime"]) == (1, [], "all")
    assert body["bucketing_identifier"] is None
    assert api.get(f"{FLAGS}/{body['id']}/").body == body


@pytest.mark.parametrize(
    ("change", "code", "attr"),
    [
        ({"key": "a b"}, "invalid_key", "key"),
        ({"key": "ä"}, "invalid_key", "key"),
        ({"key": ""}, "blank", "key"),
        ({"key": None}, "null", "key"),
        ({"key": "x" * 401}, "max_length", "key"),
        ({"key": "on"}, "unique", "key"),
        ({"name": None}, "null", "name"),
        ({"active": "perhaps"}, "invalid_input", "active"),
        ({"active": None}, "null", "active"),
        ({"filters": None}, "null", "filters"),
        ({"filters": []}, "not_a_dict", "filters"),
        ({"filters": {}}, "invalid_input", "filters"),
        ({"filters": {"groups": []}}, "invalid_input", "filters"),
        ({"tags": "x"}, "not_a_list", "tags"),
        ({"tags": [None]}, "null", "tags__0"),
        ({"tags": ["a\0"]}, "null_characters_not_allowed", "tags__0"),
        ({"filters": {**BASE, "x": {"a\0": 1}}}, "null_characters_not_allowed", "filters"),
        ({"evaluation_contexts": ["x"] * 51}, "invalid_input", None),
        ({"evaluation_contexts": ["x" * 256]}, "invalid_input", None),
        ({"evaluation_runtime": "moon"}, "invalid_choice", "evaluation_runtime"),
        ({"bucketing_identifier": "moon"}, "invalid_choice", "bucketing_identifier"),
        ({"has_encrypted_payloads": True}, "invalid_input", None),
        (
            {"bucketing_identifier": "device_id", "ensure_experience_continuity": True},
            "invalid_input",
            None,
        ),
        ({"archived": True}, "invalid_input", None),
        ({"analytics_dashboards": ["x"]}, "invalid_input", "analytics_dashboards__0"),
    ],
    ids=str,
)
def test_invalid_flags_are_refused_on_create(api, change, code, attr):
    """Contract 9.1."""
    reply = api.post(f"{FLAGS}/", {"key": "new", "filters": BASE, **change})

    assert refused(reply) == (code, attr)


def test_fields_that_depend_on_others(api):
    """Contract 9.1."""
    shares = [{"key": key, "rollout_percentage": 50} for key in "ab"]
    many = make(api, "many", filters={**BASE, "multivariate": {"variants": shares}})
    plain = make(api, "plain", _should_create_usage_dashboard=False)

    assert (many["is_eligible_for_experiment"], plain["is_eligible_for_experiment"]) == (
        True,
        False,
    )
    assert isinstance(many["usage_dashboard"], int)
    assert plain["usage_dashboard"] is None


def test_writes_of_contexts_are_dropped_while_the_switch_is_off(api):
    """Contract 9.1."""
    seed = copy.deepcopy(SEED)
    seed["organizations"][0]["evaluation_contexts_enabled"] = False
    stored = seed["organizations"][0]["projects"][0]["feature_flags"][0]
    stored["evaluation_contexts"] = ["old"]
    api.sandbox.reset(seed)

    assert make(api, "new", evaluation_contexts=["web"])["evaluation_contexts"] == []
    changed = api.patch(f"{FLAGS}/1/", {"evaluation_contexts": ["web"], "name": "x"}).body
    assert (changed["evaluation_contexts"], changed["name"]) == (["old"], "x")
    assert "evaluation_contexts_enabled" not in api.get(f"{ORG}/").body


def test_an_archived_flag_is_disabled(api):
    """Contract 9.1."""
    api.patch(f"{FLAGS}/2/", {"archived": True})
    for number, change in ((1, {"archived": True}), (2, {"active": True})):
        assert refused(api.patch(f"{FLAGS}/{number}/", change)) == ("invalid_input", None)
    assert api.patch(f"{FLAGS}/2/", {"active": True, "archived": False}).status == 200
    assert api.patch(f"{FLAGS}/2/", {"active": False, "archived": True}).status == 200


def test_a_key_is_needed(api):
    """Contract 9.1."""
    assert refused(api.post(f"{FLAGS}/", {})) == ("required", "key")


def test_generation_2_needs_filters(g2):
    """Contract 9.2."""
    reply = g2.post(f"{FLAGS}/", {"key": "new"})
    assert refused(reply) == ("invalid_input", "filters")
    expected = "Feature flags must have at least one condition set (group)."
    assert reply.body["detail"] == expected


def test_tags_are_trimmed_lowercase_and_unique(api):
    """Contract 9.1."""
    assert make(api, "new", tags=[" a ", "B", "A", ""])["tags"] == ["a", "b"]
    assert make(api, "in", evaluation_contexts=["App", "app "])["evaluation_contexts"] == ["app"]
    assert api.patch(f"{FLAGS}/1/", {"tags": ["c"]}).body["tags"] == ["c"]


def test_read_only_and_unknown_fields_are_ignored(api):
    """Contract 9.1."""
    change = {"id": 99, "created_by": None, "status": "x", "moon": 1, "version": 7}
    body = api.patch(f"{FLAGS}/1/", change).body

    assert (body["id"], body["version"], body["created_by"]["id"]) == (1, 2, 12)


@pytest.mark.parametrize(
    "filters",
    [
        {"groups": [{"rollout_percentage": 101}]},
        {"groups": [{"rollout_percentage": -1}]},
        {"groups": [{"rollout_percentage": "50"}]},
        {"groups": [{"rollout_percentage": True}]},
        {"groups": ["x"]},
        {"groups": [{"properties": [{"key": "a"}]}]},
        {"groups": [{"properties": [{"type": "person"}]}]},
        {"groups": [{"properties": "x"}]},
        {"multivariate": []},
        {"multivariate": {"variants": [{"rollout_percentage": 1}]}},
        {"multivariate": {"variants": [{"key": 1}]}},
        {"multivariate": {"variants": [{"key": "a", "rollout_percentage": None}]}},
        {"multivariate": {"variants": [{"key": "a", "rollout_percentage": 200}]}},
        {"payloads": {"true": "{"}},
        {"payloads": []},
        {"groups": [{"properties": [], "note": "x" * 1_000_001}]},
    ],
    ids=lambda filters: str(filters)[:60],
)
def test_invalid_filters_are_refused(api, filters):
    """Contract 9.2."""
    assert refused(api.patch(f"{FLAGS}/1/", {"filters": filters})) == ("invalid_input", "filters")


def test_the_version_of_filters_is_reserved(api):
    """Contract 9.2."""
    reply = api.patch(f"{FLAGS}/1/", {"filters": {"version": 2}})

    assert refused(reply) == ("reserved_config_version", "filters")


def test_filters_are_completed_on_write(api):
    """Contract 9.2."""
    sent = {
        "groups": [
            {
                "properties": [
                    {"key": "a", "type": "person", "operator": "equals", "value": 1, "label": "x"}
                ],
                "rollout_percentage": 5,
                "variant": None,
            }
        ],
        "super_groups": [],
        "holdout_groups": None,
        "payloads": {"true": '{"a": 1}'},
    }
    read = make(api, "new", filters=sent)["filters"]

    prop = {"key": "a", "type": "person", "operator": "exact", "value": 1}
    group = {
        "properties": [prop],
        "rollout_percentage": 5,
        "variant": None,
        "aggregation_group_type_index": None,
    }
    assert read == {
        "groups": [group],
        "payloads": {"true": '{"a": 1}'},
        "aggregation_group_type_index": None,
    }


def test_the_aggregation_follows_from_the_groups(api):
    """Contract 9.2."""
    one = {"groups": [{"properties": [], "aggregation_group_type_index": 1}]}
    mixed = {"groups": [*one["groups"], {"properties": []}]}

    assert make(api, "one", filters=one)["filters"]["aggregation_group_type_index"] == 1
    assert make(api, "mixed", filters=mixed)["filters"]["aggregation_group_type_index"] is None
    outer = make(api, "outer", filters={**BASE, "aggregation_group_type_index": 2})["filters"]
    assert outer["groups"][0]["aggregation_group_type_index"] == 2


@pytest.mark.parametrize(
    ("sent", "kept"),
    [({"b": "\u00fc", "a": 1.0}, '{"b": "\\u00fc", "a": 1.0}'), (None, "null"), (" 1 ", " 1 ")],
)
def test_a_payload_that_is_not_text_becomes_json_text(api, sent, kept):
    """Contract 9.2."""
    made = make(api, "new", filters={**BASE, "payloads": {"true": sent}})

    assert {"true": kept} == made["filters"]["payloads"]


def test_a_patch_merges_top_level_keys(api):
    """Contract 9.2."""
    payloads = {"payloads": {"true": "1"}}
    kept = api.patch(f"{FLAGS}/1/", {"filters": payloads}).body["filters"]
    assert kept["groups"][0]["rollout_percentage"] == 50
    assert kept["payloads"] == {"true": "1"}

    again = api.patch(f"{FLAGS}/1/", {"filters": {}}).body
    assert (again["filters"], again["version"]) == (kept, 3)
    cleared = api.patch(f"{FLAGS}/1/", {"filters": {"groups": []}}).body["filters"]
    assert (cleared["groups"], cleared["payloads"]) == ([], {"true": "1"})


def test_empty_filters_change_nothing(api):
    """Contract 9.2."""
    assert api.patch(f"{FLAGS}/1/", {"filters": {}}).body["filters"] == FULL


def test_display_only_keys_are_shown_and_not_stored(api):
    """Contract 9.2."""
    properties = [
        {"key": "id", "type": "cohort", "value": 5},
        {"key": "1", "type": "flag", "value": True, "operator": "flag_evaluates_to"},
    ]
    filters = {"groups": [{"properties": properties}]}
    made = make(api, "new", filters=filters)["filters"]["groups"][0]["properties"]

    assert made[0]["cohort_name"] == "Beta testers"
    assert made[1]["label"] == "on"
    flags = api.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert "cohort_name" not in str(flags)


def test_filters_of_a_seed_are_shown_unchanged(api):
    """Contract 9.2."""
    assert api.get(f"{FLAGS}/1/").body["filters"] == FULL


def test_lists_contain_live_flags_newest_first(api):
    """Contract 9.3."""
    make(api, "third")
    api.patch(f"{FLAGS}/2/", {"archived": True})
    gone = make(api, "gone")
    api.patch(f"{FLAGS}/{gone['id']}/", {"deleted": True})
    make(api, "hidden", creation_context="surveys")

    def keys(query=""):
        return [one["key"] for one in api.results(f"{FLAGS}/{query}")]

    assert keys() == ["third", "on"]
    assert keys("?archived=true") == ["off"]
    assert api.get(f"{FLAGS}/{gone['id']}/").body["deleted"] is True
    assert api.get("/api/projects/2/feature_flags/1/").status == 404
    assert api.get(f"{FLAGS}/moon/").status == 404
    assert api.get(f"{FLAGS}/{'9' * 40}/").status == 404


def test_every_list_filter(api):
    """Contract 9.3."""
    variants = {"variants": [{"key": "a", "rollout_percentage": 100}]}
    prop = {"key": "plan", "type": "person", "value": 1}
    make(api, "Multi", filters={**BASE, "multivariate": variants}, tags=["x", "y"])
    make(api, "remote", is_remote_configuration=True, evaluation_runtime="server")
    make(api, "with-context", name="The ON flag", evaluation_contexts=["web"])
    make(api, "paid", filters={"groups": [{"properties": [prop]}]}, tags=["y"])

    def keys(query):
        return {one["key"] for one in api.results(f"{FLAGS}/?{query}")}

    everything = keys("")
    assert keys("active=false") == {"off"}
    assert keys("active=true") == everything - {"off"}
    assert keys("search=ON") == {"on", "with-context"}
    assert keys("key=MULTI") == {"Multi"}
    assert keys("type=multivariant") == {"Multi"}
    assert keys("type=remote_config") == {"remote"}
    assert keys("type=experiment") == set()
    assert keys("created_by_id=12") == {"on"}
    assert keys("evaluation_runtime=server") == {"remote"}
    assert keys('tags=["x"]') == {"Multi"}
    assert keys('excluded_tags=["x"]') == everything - {"Multi"}
    assert keys("has_evaluation_contexts=true") == {"with-context"}
    assert keys('excluded_properties=["plan"]') == everything - {"paid"}
    ordered = [one["key"] for one in api.results(f"{FLAGS}/?order=key")]
    assert ordered == sorted(everything)
    assert api.get(f"{FLAGS}/?tags=moon").status == 400
    assert api.get(f"{FLAGS}/?created_by_id=moon").status == 400


def test_a_flag_for_everybody_is_stale_after_a_month(api):
    """Contract 9.3."""
    make(api, "all")
    assert api.results(f"{FLAGS}/?active=STALE") == []
    api.sandbox.advance("31d")

    (stale,) = api.results(f"{FLAGS}/?active=STALE")
    assert (stale["key"], stale["status"]) == ("all", "STALE")
    assert api.get(f"{FLAGS}/1/").body["status"] == "ACTIVE"


def test_every_patch_increments_the_version(api):
    """Contract 9.4."""
    versions = [
        api.patch(f"{FLAGS}/1/", change).body["version"] for change in ({"name": "x"}, {}, {})
    ]

    assert versions == [2, 3, 4]


def test_a_field_that_both_changed_is_a_conflict(api):
    """Contract 9.4."""
    original = api.get(f"{FLAGS}/1/").body
    api.patch(f"{FLAGS}/1/", {"name": "theirs"}, who="mia")

    sent = {"name": "mine", "version": 1, "original_flag": original}
    reply = api.patch(f"{FLAGS}/1/", sent, who="max")

    assert (reply.status, reply.body) == (
        409,
        {
            "type": "server_error",
            "code": "conflict",
            "detail": "The feature flag was updated by mia@acme.test since you started editing it."
            " Please refresh and try again.",
            "attr": None,
        },
    )
    assert api.get(f"{FLAGS}/1/").body["version"] == 2


def test_changes_of_different_fields_do_not_conflict(api):
    """Contract 9.4."""
    original = api.get(f"{FLAGS}/1/").body
    api.patch(f"{FLAGS}/1/", {"name": "theirs"}, who="mia")

    sent = {**original, "tags": ["mine"], "version": 1, "original_flag": original}
    body = api.patch(f"{FLAGS}/1/", sent, who="max").body

    assert (body["name"], body["tags"], body["version"]) == ("theirs", ["mine"], 3)


@pytest.mark.parametrize(
    "control",
    [{}, {"version": 1}, {"version": 2, "original_flag": {"name": ""}}, {"original_flag": {}}],
    ids=str,
)
def test_without_both_controls_the_last_write_wins(api, control):
    """Contract 9.4."""
    api.patch(f"{FLAGS}/1/", {"name": "theirs"})

    assert api.patch(f"{FLAGS}/1/", {"name": "mine", **control}).body["name"] == "mine"


def test_the_same_new_value_does_not_conflict(api):
    """Contract 9.4."""
    original = api.get(f"{FLAGS}/1/").body
    api.patch(f"{FLAGS}/1/", {"name": "same"})

    sent = {"name": "same", "version": 1, "original_flag": original}
    assert api.patch(f"{FLAGS}/1/", sent).status == 200


def test_filters_are_compared_without_what_the_server_adds(api):
    """Contract 9.4."""
    original = api.get(f"{FLAGS}/1/").body
    api.patch(f"{FLAGS}/1/", {"filters": FULL})

    new = {"groups": [{"properties": [], "rollout_percentage": 60}]}
    sent = {"filters": new, "version": 1, "original_flag": original}
    assert api.patch(f"{FLAGS}/1/", sent).status == 200


def test_delete_is_405_with_a_string(api):
    """Contract 9."""
    reply = api.delete(f"{FLAGS}/1/")

    assert reply.status == 405
    assert isinstance(reply.body, str)


def test_a_deleted_flag_frees_its_key(api):
    """Contract 9.5."""
    body = api.patch(f"{FLAGS}/1/", {"deleted": True}).body
    assert (body["deleted"], body["version"], body["key"]) == (True, 2, "on")

    again = make(api, "on")
    assert again["id"] != 1
    assert api.get(f"{FLAGS}/1/").status == 404


def test_a_restored_flag_gets_a_free_key(api):
    """Contract 9.5."""
    api.patch(f"{FLAGS}/1/", {"deleted": True})
    assert api.patch(f"{FLAGS}/1/", {"deleted": False}).body["key"] == "on"

    api.patch(f"{FLAGS}/1/", {"deleted": True})
    api.patch(f"{FLAGS}/2/", {"key": "on"})
    assert api.patch(f"{FLAGS}/1/", {"deleted": False}).body["key"] == "on-2"


@pytest.mark.parametrize(
    ("use", "status"),
    [
        ({"features": [{"id": "x"}]}, 400),
        ({"experiment_set": [4]}, 400),
        ({"is_used_in_replay_settings": True}, 400),
        (
            {
                "experiment_set": [4],
                "experiment_set_metadata": [{"id": 4, "end_date": "2026-01-01"}],
            },
            200,
        ),
    ],
    ids=str,
)
def test_a_flag_in_use_is_not_deleted(api, use, status):
    """Contract 9.5."""
    api.reset(lambda seed: seed["organizations"][0]["projects"][0]["feature_flags"][0].update(use))

    reply = api.patch(f"{FLAGS}/1/", {"deleted": True})

    assert reply.status == status
    if status == 200:
        assert reply.body["key"] == "on:deleted:1"
        assert api.patch(f"{FLAGS}/1/", {"deleted": False}).body["key"] == "on"


def test_flags_that_others_depend_on_cannot_be_disabled(api):
    """Contract 9.5."""
    needs = [{"key": "1", "type": "flag", "value": True, "operator": "flag_evaluates_to"}]
    make(api, "user", filters={"groups": [{"properties": needs}]})

    assert refused(api.patch(f"{FLAGS}/1/", {"active": False})) == ("invalid_input", None)
    assert refused(api.patch(f"{FLAGS}/1/", {"deleted": True})) == ("invalid_input", None)
    api.patch(f"{FLAGS}/2/", {"active": True})
    needs[0]["key"] = "2"
    sleeper = make(api, "sleeper", active=False, filters={"groups": [{"properties": needs}]})
    api.patch(f"{FLAGS}/2/", {"active": False})
    reply = api.patch(f"{FLAGS}/{sleeper['id']}/", {"active": True})
    assert refused(reply) == ("invalid_input", None)


def test_the_gate_comes_before_the_question_who_uses_a_flag(api):
    """Contract 9.5: such a write is filed, and fails when it is applied."""
    needs = [{"key": "1", "type": "flag", "value": True, "operator": "flag_evaluates_to"}]
    user = make(api, "user", filters={"groups": [{"properties": needs}]})
    api.policy("feature_flag.disable")

    request = api.file(flag=1, active=False)
    done = api.post(f"{REQUESTS}/{request['id']}/approve/", who="ada").body

    assert done["status"] == "failed"
    assert f"other flags depend on it: user (ID: {user['id']})" in done["message"]
    assert api.get(f"{FLAGS}/1/").body["active"] is True


def test_the_four_actions_of_a_flag(api):
    """Contract 9."""
    assert api.post(f"{FLAGS}/2/enable/").body["active"] is True
    assert api.post(f"{FLAGS}/2/enable/").body["version"] == 2
    assert api.post(f"{FLAGS}/2/archive/").body["archived"] is True
    assert api.get(f"{FLAGS}/2/").body["active"] is False
    assert api.post(f"{FLAGS}/2/unarchive/").body["archived"] is False
    assert api.post(f"{FLAGS}/1/disable/").body["active"] is False
    api.patch(f"{FLAGS}/1/", {"deleted": True})
    reply = api.post(f"{FLAGS}/1/enable/")
    assert (reply.status, reply.body) == (
        400,
        {
            "success": False,
            "error": "This feature flag has been deleted. Restore it before enabling it.",
        },
    )


def test_a_put_needs_the_key(api):
    """Contract 9."""
    assert refused(api.call("PUT", f"{FLAGS}/1/", {"name": "x"})) == ("required", "key")
    reply = api.call("PUT", f"{FLAGS}/1/", {"key": "on", "name": "x"})
    assert (reply.status, reply.body["filters"]) == (200, FULL)


REDACTED = '"********* (encrypted)"'


@pytest.fixture
def secret(api):
    """A flag with an encrypted payload."""
    filters = {**BASE, "payloads": {"true": '"secret"'}}
    return make(
        api, "new", filters=filters, is_remote_configuration=True, has_encrypted_payloads=True
    )


def test_a_personal_key_reads_encrypted_payloads(api, secret):
    """Contract 9.1: a session does not; the log has ciphertext only."""
    path = f"{FLAGS}/{secret['id']}/"
    read = [
        secret,
        api.get(path).body,
        api.patch(path, {"name": "x"}).body,
        api.post(f"{path}disable/").body,
        api.results(f"{FLAGS}/")[0],
    ]
    assert {row["filters"]["payloads"]["true"] for row in read} == {'"secret"'}

    api.patch(path, {"filters": {**BASE, "payloads": {"true": '"other secret"'}}})
    assert "secret" not in str(api.results(f"{ORG}/advanced_activity_logs/"))


@pytest.mark.parametrize("payloads", [{"true": REDACTED}, {}], ids=str)
def test_an_encrypted_payload_need_not_be_repeated(api, secret, payloads):
    """Contract 9.1."""
    reply = api.patch(f"{FLAGS}/{secret['id']}/", {"filters": {**BASE, "payloads": payloads}})

    assert (reply.status, reply.body["filters"]["payloads"]) == (200, {"true": '"secret"'})


@pytest.mark.parametrize("filters", [{}, {"filters": {**BASE, "payloads": {"true": REDACTED}}}])
def test_the_end_of_encryption_drops_the_payload(api, secret, filters):
    """Contract 9.1: no ciphertext becomes an ordinary payload."""
    body = {"has_encrypted_payloads": False, **filters}
    reply = api.patch(f"{FLAGS}/{secret['id']}/", body)
    assert (reply.status, reply.body["filters"]["payloads"]) == (200, {})

    fresh = {"has_encrypted_payloads": False, "filters": {**BASE, "payloads": {"true": "1"}}}
    reply = api.patch(f"{FLAGS}/{secret['id']}/", fresh)
    assert reply.body["filters"]["payloads"] == {"true": "1"}


def test_writes_are_logged_with_before_and_after(api):
    """Contract 9.6."""
    make(api, "new")
    api.patch(f"{FLAGS}/1/", {"name": "x"})
    api.patch(f"{FLAGS}/1/", {})
    api.patch(f"{FLAGS}/1/", {"deleted": True})

    entries = api.results(f"{ORG}/advanced_activity_logs/")
    assert [one["activity"] for one in entries] == ["deleted", "updated", "created"]
    assert (entries[1]["item_id"], entries[1]["detail"]["name"]) == ("1", "on")
    assert entries[1]["detail"]["changes"] == [
        {"type": "FeatureFlag", "action": "changed", "field": "name", "before": "", "after": "x"}
    ]
