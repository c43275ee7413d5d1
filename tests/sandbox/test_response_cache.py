"""Cached responses of reads are never stale."""

import subprocess
import sys

from reconciler.sandbox.server.testing import Sandbox
from tests.sandbox.conftest import FLAGS, Api


def test_a_read_after_a_write_shows_the_write(api):
    assert api.get(f"{FLAGS}/1/").body["name"] == ""
    api.patch(f"{FLAGS}/1/", {"name": "new"})
    assert api.get(f"{FLAGS}/1/").body["name"] == "new"
    assert {one["name"] for one in api.results(f"{FLAGS}/")} == {"", "new"}


def test_a_cached_read_is_per_caller(api):
    api.policy()
    request = api.file()
    path = f"/api/projects/1/change_requests/{request['id']}/"
    assert api.get(path, who="max").body["is_requester"]
    assert not api.get(path, who="ada").body["is_requester"]


def test_a_reset_clears_cached_reads(api):
    assert api.get("/api/users/@me/").status == 200
    api.sandbox.reset("{}")
    assert api.get("/api/users/@me/").status == 401


def test_a_cached_read_depends_on_the_clock(api):
    seed_group = [{"properties": [], "rollout_percentage": 100}]
    api.patch(f"{FLAGS}/1/", {"filters": {"groups": seed_group}})
    assert api.get(f"{FLAGS}/1/").body["status"] == "ACTIVE"
    api.sandbox.advance("31d")
    assert api.get(f"{FLAGS}/1/").body["status"] == "STALE"


def test_a_fault_changes_one_read_and_not_the_next(api):
    path = f"{FLAGS}/?limit=1"
    whole = api.get(path).body
    api.sandbox.inject(
        {"faults": [{"match": {"route": "feature_flags.list"}, "effect": "empty_list"}]}
    )
    assert api.get(path).body["results"] == []
    assert api.get(path).body == whole


def test_a_read_shows_what_another_process_wrote(tmp_path, world_of):
    data = tmp_path / "world.db"
    here = world_of(data=data)
    assert here.get(f"{FLAGS}/1/").body["name"] == ""
    words = [sys.executable, "-m", "reconciler", "sandbox", "--port", "0", "--data", str(data)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        url = other.stdout.readline().split()[-1]
        Api(Sandbox(url)).patch(f"{FLAGS}/1/", {"name": "from there"})
        assert here.get(f"{FLAGS}/1/").body["name"] == "from there"
        other.terminate()


def test_a_page_is_kept_until_one_of_its_flags_becomes_stale(api):
    """The page itself is the same at any time before, and the clock may also be set back."""
    for_all = [{"properties": [], "rollout_percentage": 100}]
    api.post(f"{FLAGS}/", {"key": "all", "filters": {"groups": for_all}})

    def status():
        return {flag["key"]: flag["status"] for flag in api.results(f"{FLAGS}/")}["all"]

    seen = [status()]
    for step in ("29d", "2d", "-31d"):
        api.sandbox.advance(step)
        seen.append(status())
    assert seen == ["ACTIVE", "ACTIVE", "STALE", "ACTIVE"]
