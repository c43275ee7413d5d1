"""Repositories with rules: files, a commit that was applied, and what a plan says then."""

import yaml

from tests import acme, factories

SETTINGS = "version: 1\ntargets:\n  production:\n    paths: [config]\n    rules: [rules]\n"
FULL = 'change.fields.exists(f, f.path.endsWith("rollout_percentage") && f.desired == 100)'
_LISTS = 12


def rule(id_="no-full", when=FULL, **changes):
    """A rule that denies, unless `changes` say otherwise."""
    effect = {} if changes.keys() & {"deny", "warn"} else {"deny": f"reason of {id_}"}
    return {"id": id_, "when": when, **effect, **changes}


def rules(*written):
    """The text of a file of rules."""
    return yaml.safe_dump({"rules": list(written)}, sort_keys=False, width=1000)


def endless():
    """An expression without a long loop that would take minutes, and all memory."""
    text = "size(v0) > 0"
    for number in range(_LISTS):
        doubled = "+".join([f"v{number + 1}"] * 4)
        text = f"[{doubled}].all(v{number}, {text})"
    return f"[[{','.join('1' * 90)}]].all(v{_LISTS}, {text})"


def applied(world, *written, settings=SETTINGS, flags=("a", "b"), **seed):
    """A repository of flags at 10 %, with rules, that was applied."""
    repo = world(factories.seed(*(acme.live_flag(key, 10) for key in flags), **seed))
    repo.write("config/flags.yaml", *(acme.flag(key, 10) for key in flags))
    if written:
        repo.write("rules/all.yaml", rules(*written))
    without = settings.replace("    rules: [rules]\n", "")
    repo.write("reconciler.yaml", settings if written else without)
    repo.commit()
    done = repo.run("apply", "--yes")
    assert 0 == done.code, done.out + done.err
    repo.sandbox.clear()
    return repo


def roll_out(repo, **percentages):
    """Commit other percentages."""
    percentages = {"a": 10, "b": 10, **percentages}
    repo.write("config/flags.yaml", *(acme.flag(key, p) for key, p in percentages.items()))
    repo.commit()


def edit_live(repo, key, **fields):
    """Change a flag in PostHog by hand."""
    flags = repo.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_ci")[1]["results"]
    (id_,) = [flag["id"] for flag in flags if flag["key"] == key]
    path = f"/api/projects/1/feature_flags/{id_}/"
    assert 200 == repo.sandbox.call("PATCH", path, fields, token="phx_alice")[0]
    repo.sandbox.clear()


def groups(percentage):
    """The filters of a flag at a percentage."""
    return {"groups": [{"properties": [], "rollout_percentage": percentage}]}


def planned(repo, *options, **environ):
    """The exit code of a plan, and its findings by rules: (code, address, message)."""
    done = repo.run("plan", "--format", "json", *options, **environ)
    rows = [found for found in done.json["findings"] if found["code"].startswith("rule")]
    return done.code, rows


def codes(repo, *options, **environ):
    """The exit code of a plan, and code and name of each change that a rule has judged."""
    code, rows = planned(repo, *options, **environ)
    return code, [(row["code"], (row["address"] or "").split("/")[-1]) for row in rows]
