"""Payloads that PostHog encrypts reach no output and no file, whatever shows them to this key."""

import base64
import json
import shutil
from functools import cache

import pytest

from tests import acme, factories
from tests.support import Repository

CANARIES = {
    name: f"{seed}{seed[::-1]}"
    for name, seed in {
        "live": "q7Zx0Kd2mV",
        "base": "r1Wc8Lf6nB",
        "desired": "t5Yb3Hg9pJ",
        "created": "u4Xe2Mk7sD",
        "requested": "v9Ta6Ni1wF",
        "logged": "y3Pq8Ro5zC",
    }.items()
}
ENCRYPTED = {"is_remote_configuration": True, "has_encrypted_payloads": True}
SHOWN = '"********* (encrypted)"'
MODES = {
    "g1": ("--profile", "g1"),
    "g2": ("--profile", "g2"),
    "docs": ("--profile", "docs"),
    "g3": ("--profile", "g3"),
    "withheld": ("--profile", "g3", "--withhold-payloads"),
}


OLDER = {"g1", "g2", "docs"}  # they differ from g3 in gates, and not in what is concealed
PARAMS = [pytest.param(mode, marks=[pytest.mark.soak] * (mode in OLDER)) for mode in MODES]


@pytest.fixture(scope="module", params=PARAMS)
def server(request, start_sandbox):
    return start_sandbox(*MODES[request.param])


@pytest.fixture(scope="module")
def g3(start_sandbox):
    return start_sandbox(*MODES["g3"])


def payload(name):
    return json.dumps({"key": CANARIES[name], "note": f'a "quoted" {CANARIES[name]} ü'})


def filters(name, rollout=10):
    groups = [{"properties": [], "rollout_percentage": rollout}]
    return {"groups": groups, "payloads": {"true": payload(name)}}


def live(key, name="live", **more):
    return acme.live_flag(key, filters=filters(name), **{**ENCRYPTED, **more})


def declared(key, name="desired", rollout=50, **more):
    return acme.flag(key, filters=filters(name, rollout), **{**ENCRYPTED, **more})


def logged(flag, name):
    """A log entry of an encrypted flag, as a server may show it: as plain text."""
    change = {"type": "FeatureFlag", "action": "changed", "field": "filters"}
    change |= {"before": filters("live"), "after": filters(name, 30)}
    return {
        "scope": "FeatureFlag",
        "activity": "updated",
        "item_id": str(flag["id"]),
        "user": "bob@acme.test",
        "team_id": 1,
        "created_at": "2026-01-05T10:00:00Z",
        "detail": {"name": flag["key"], "changes": [change]},
    }


def world(
    server, tmp_path, *flags, policies=("feature_flag.update", "feature_flag.enable"), **more
):
    seed = factories.gated(*flags, policies=policies, **more)
    server.reset(seed)
    return Repository(tmp_path, server)


def file_request(server, number, name, rollout=60, **more):
    """File a request by somebody else; return its id."""
    path, body = f"/api/projects/1/feature_flags/{number}/", {"filters": filters(name, rollout)}
    status, answer = server.call("PATCH", path, {**body, **more}, token="phx_carol")
    assert status == 409, answer
    request = answer.get("change_request") or {}
    return request.get("id") or answer["change_request_id"]


@cache  # most files are the same after each command
def find_pieces(text):
    """Return the canaries of which a piece is in the text, also in base64."""
    found = set()
    for name, secret in CANARIES.items():
        spellings = [secret]
        for offset in range(3):
            coded = base64.b64encode(bytes(offset) + secret.encode() + bytes(3)).decode()
            spellings += [coded[4:-8], coded[4:-8].translate(str.maketrans("+/", "-_"))]
        for spelling in spellings:
            if any(spelling[at : at + 6] in text for at in range(len(spelling) - 5)):
                found.add(name)
    return frozenset(found)


def leaks(repo, done, besides=()):
    """Return what an output or a new file shows."""
    texts = {"out": done.out, "err": done.err}
    for path in repo.folder.rglob("*"):
        if path.is_file() and ".git/" not in f"{path}/" and path.name not in besides:
            texts[str(path)] = path.read_bytes().decode("utf-8", "replace")
    return {where: pieces for where, text in texts.items() if (pieces := find_pieces(text))}


KEPT = ("all.yaml",)
READS = (
    ("validate", "--format", "json"),
    ("validate",),
    *(("plan", "--format", format_) for format_ in ("text", "json", "markdown", "html")),
    ("-vvv", "plan", "--report", "plan-report", "--out", "plan.json"),
    ("--log-format", "json", "-vvv", "plan", "--drift", "all"),
    *(
        ("show", "plan.json", "--format", format_)
        for format_ in ("text", "json", "markdown", "html")
    ),
    *(
        ("-vvv", "drift", "--format", format_, "--report", f"drift-{format_}")
        for format_ in ("text", "json", "markdown", "html", "sarif")
    ),
    ("drift", "--patch"),
    ("-vvv", "requests", "list", "--state", "all", "--format", "json"),
    ("requests", "list", "--state", "all"),
    *(("requests", "inbox", "--format", format_) for format_ in ("text", "json")),
    ("-vvv", "activity", "list"),
    ("activity", "list", "--format", "json"),
    ("activity", "filters", "--format", "json"),
    ("activity", "export", "--format", "jsonl", "--out", "log.jsonl"),
    ("activity", "export", "--format", "csv", "--out", "log.csv"),
    ("activity", "export", "--format", "jsonl"),
    ("coverage", "--format", "json"),
    ("conformance", "--project", "Web", "--allow-nonempty", "--yes", "--format", "json"),
    ("-vvv", "conformance", "--project", "Web", "--allow-nonempty", "--yes"),
    ("doctor",),
    ("pull", "--out", "pulled", "--full"),
    ("pull", "--dry-run", "--format", "json"),
    ("plan", "--prune", "--format", "json"),
    ("-vvv", "apply", "--yes", "--report", "apply-report", "--format", "json"),
    ("-vvv", "apply", "--yes", "plan.json"),
    ("-vvv", "apply", "--yes"),
)


def test_no_command_shows_or_stores_an_encrypted_payload(server, tmp_path):
    """Desired, live, proposed and logged payloads; flags that are live, deleted and unknown."""
    config = live("config", id=3)
    repo = world(
        server,
        tmp_path,
        config,
        live("other", id=4),
        live("doomed", id=5),
        live("unmanaged", id=6),
        acme.live_flag("opened", id=7),  # encrypted at the base, and not any more
        activity=[logged(config, "logged")],
    )
    ids = [
        file_request(server, 3, "requested"),
        file_request(server, 5, "requested"),
        file_request(server, 4, "requested", has_encrypted_payloads=False),
    ]
    state = server.state()
    project = state["organizations"][0]["projects"][0]
    project["feature_flags"][2]["deleted"] = True
    server.reset(state)
    repo.write(
        "all.yaml",
        declared("config", "base", 10),
        declared("other", "base", 10),
        declared("opened", "base", 10),
        declared("lost", "base", 10),
    )
    repo.commit()
    repo.git("update-ref", "refs/reconciler/applied/default", "HEAD")
    new = declared("new", "created", active=True)
    opened = acme.flag("opened", filters={**filters("base", 20), "payloads": {"true": "1"}})
    lost = acme.flag("lost", filters={**filters("base", 20), "payloads": {"true": "1"}})
    repo.write("all.yaml", declared("config"), declared("other"), new, opened, lost)
    repo.commit()
    shows = [
        ("requests", "show", id_, "--format", form) for id_ in ids for form in ("text", "json")
    ]

    seen = {}
    for words in (*READS, *shows):
        done = repo.run(*words, token="phx_alice")
        assert done.code in {0, 1, 2, 3, 4}, (words, done)  # not 64: every option exists
        if found := leaks(repo, done, KEPT):
            seen[words] = found
    vote = repo.run("-vvv", "requests", "approve", ids[0], "--yes", token="phx_alice")
    if found := leaks(repo, vote, KEPT):
        seen["approve"] = found
    shutil.rmtree(repo.folder / ".git")

    assert {} == seen


# --- the warning ---


def gated_world(g3, tmp_path, **more):
    return world(g3, tmp_path, live("config", id=3, **more))


def warnings(done):
    return [f for f in done.json["findings"] if f["code"] == "payload-in-request"]


def test_plan_and_apply_warn_before_a_gated_write(g3, tmp_path):
    """With file and line, in every format; apply shows it before it asks and when it is done."""
    repo = gated_world(g3, tmp_path)
    repo.write("all.yaml", declared("config"))

    (found,) = warnings(repo.run("plan", "--format", "json"))
    assert ("warning", "FeatureFlag/acme/Web/config") == (found["severity"], found["address"])
    line = (repo.folder / "all.yaml").read_text().split("payloads:")[0].count("\n") + 2
    assert ("all.yaml", line) == (found["source"]["file"], found["source"]["line"])
    for words in (
        *(("plan", "--format", format_) for format_ in ("text", "markdown", "html")),
        ("apply", "--yes"),
    ):
        shown = repo.run(*words)
        assert "approvals:read" in shown.out + shown.err, words


@pytest.mark.parametrize(
    ("rollout", "spec"),
    [
        (10, {"active": True}),  # the call that waits holds `active` only
        (50, {"has_encrypted_payloads": False, "is_remote_configuration": True}),
    ],
)
def test_nothing_is_said_where_no_secret_is_sent(g3, tmp_path, rollout, spec):
    repo = gated_world(g3, tmp_path, **{k: v for k, v in spec.items() if k != "active"})
    repo.write("all.yaml", declared("config", "live", rollout, **spec))

    done = repo.run("plan", "--format", "json")

    assert "approval" in {row["gate"]["verdict"] for row in done.json["changes"]}
    assert [] == warnings(done)


def test_payloads_that_no_file_writes_are_kept_without_a_warning(g3, tmp_path):
    repo = gated_world(g3, tmp_path)
    repo.write("all.yaml", acme.flag("config", 50))

    assert [] == warnings(repo.run("plan", "--format", "json"))
    assert 3 == repo.run("apply", "--yes").code
    (row,) = repo.run("requests", "list", "--format", "json").json
    assert 0 == repo.run("requests", "approve", row["id"], "--yes", token="phx_alice").code
    (flag,) = g3.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert payload("live") == flag["filters"]["payloads"]["true"]


def test_a_new_flag_under_a_gate_is_warned_of(g3, tmp_path):
    repo = world(g3, tmp_path, live("config", id=3))
    repo.write("all.yaml", declared("new", "created", active=True))

    assert 1 == len(warnings(repo.run("plan", "--format", "json")))


# --- what a gated write of such a payload does ---


def test_a_payload_is_still_planned_filed_and_applied(server, tmp_path):
    """The request is recognized as the same while it is open, whatever it shows."""
    repo = world(server, tmp_path, live("config", id=3))
    repo.write("all.yaml", declared("config"))

    assert 3 == repo.run("apply", "--yes").code
    again = repo.run("apply", "--yes", "--format", "json")
    assert 3 == again.code, again.out
    (row,) = repo.run("requests", "list", "--format", "json").json
    assert 0 == repo.run("requests", "approve", row["id"], "--yes", token="phx_alice").code
    (flag,) = server.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert json.loads(payload("desired")) == json.loads(flag["filters"]["payloads"]["true"])
    assert 0 == repo.run("apply", "--yes").code


def test_a_payload_that_only_the_files_have_changed_is_planned_and_applied(server, tmp_path):
    """By the base, because the live one is not shown; from a saved plan, too; and only once."""
    repo = world(server, tmp_path, live("config", id=3))
    repo.write("all.yaml", declared("config", "live", 10))
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    repo.write("all.yaml", declared("config", "desired", 10))
    repo.commit()

    done = repo.run("plan", "--out", "plan.json", "--format", "json")

    (row,) = done.json["changes"]
    (field,) = row["fields"]
    assert ("filters.payloads", "intent") == (field["path"], field["cause"])
    assert {"(encrypted)"} == {field["base"], field["live"], field["desired"]}
    assert {} == leaks(repo, done, KEPT)
    assert 0 == repo.run("apply", "plan.json", "--yes").code
    (flag,) = server.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert json.loads(payload("desired")) == json.loads(flag["filters"]["payloads"]["true"])
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_a_request_of_a_plain_flag_shows_its_payload(server, tmp_path):
    """People decide on what they see; nothing of it is secret."""
    plain = {"is_remote_configuration": True, "has_encrypted_payloads": False}
    repo = world(server, tmp_path, live("config", id=3, **plain))
    id_ = file_request(server, 3, "requested")

    for format_ in ("text", "json"):
        assert CANARIES["requested"] in repo.run("requests", "show", id_, "--format", format_).out


def test_a_plain_payload_that_somebody_else_proposes_is_another_change(g3, tmp_path):
    """Concealed payloads are compared: a request with another payload is not this change."""
    plain = {"is_remote_configuration": True, "has_encrypted_payloads": False}
    repo = world(g3, tmp_path, live("config", id=3, **plain))
    file_request(g3, 3, "requested", 50)
    repo.write("all.yaml", declared("config", "desired", 50, **plain))
    (row,) = repo.run("plan", "--format", "json").json["changes"]
    assert "blocked" == row["gate"]["verdict"]

    repo.write("all.yaml", declared("config", "requested", 50, **plain))
    (row,) = repo.run("plan", "--format", "json").json["changes"]
    assert "pending" == row["gate"]["verdict"]


# --- texts that quote ---


DOCUMENT = """\
kind: FeatureFlag
metadata: {{organization: acme, project: Web, key: config}}
spec:
  is_remote_configuration: true
  has_encrypted_payloads: true
  filters:
    groups: [{{properties: [], rollout_percentage: 10}}]
    payloads: {}
"""
SECRET = CANARIES["desired"]


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        f"[{SECRET}]",
        f"{{true: {SECRET}}}",
        f"{{true: '{{{SECRET}'}}",
        f"{{false: '\"{SECRET}\"'}}",
        f"\n      true: {SECRET}",
        f"\n      true: !x {SECRET}",
        f"\n      true: {SECRET}: {SECRET}: [",
        f"\n      true: |\n        {SECRET}\n       {SECRET}\n      \t{SECRET}",
        f"\n      true: *{SECRET}",
        f"\n      true: &{SECRET} '1'\n      {SECRET}: '{SECRET}'",
        f'\n      true: "{SECRET}',
        f"\n      true: '1'\n      true: {SECRET}",
        f"\n      true: {{a: '{SECRET}', <<: {SECRET}}}",
        f"\n      true: '\u200b{SECRET}\u0007{SECRET}'",
    ],
)
def test_no_finding_quotes_a_payload(g3, tmp_path, value):
    """Neither its line nor its message; syntax errors included."""
    repo = world(g3, tmp_path, live("config", id=3))
    repo.write("all.yaml", DOCUMENT.format(value))

    for words in (("validate",), ("validate", "--format", "json"), ("-vvv", "apply", "--yes")):
        done = repo.run(*words)
        assert 0 != done.code, (words, done)
        assert "all.yaml" in done.out + done.err
        assert {} == leaks(repo, done, KEPT), (words, done)
