"""Data files of other versions: migrated, or refused and not changed."""

import json
import sqlite3

import pytest

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store import tables
from reconciler.sandbox.world import StartOptions, World


def written_by(tmp_path, version):
    data = tmp_path / "world.db"
    World(StartOptions(data=data, seed_text="{}")).close()
    connection = sqlite3.connect(data)
    connection.execute(f"PRAGMA user_version={version}")
    connection.commit()
    connection.close()
    return data


def test_a_file_of_a_newer_schema_is_not_changed(tmp_path):
    data = written_by(tmp_path, 99)
    before = data.read_bytes()

    with pytest.raises(SandboxError, match=r"a newer version of the sandbox \(schema 99, this one"):
        World(StartOptions(data=data))
    assert data.read_bytes() == before


def test_a_file_of_an_older_schema_is_migrated_step_by_step(tmp_path, monkeypatch):
    data = written_by(tmp_path, 1)
    monkeypatch.setattr(tables, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(tables, "MIGRATIONS", {})
    with pytest.raises(SandboxError, match="another version"):
        World(StartOptions(data=data))

    steps = {1: ("CREATE TABLE extra (x)",), 2: ("INSERT INTO extra VALUES (7)",)}
    monkeypatch.setattr(tables, "MIGRATIONS", steps)
    for _ in range(2):  # the second time there is nothing left to do
        world = World(StartOptions(data=data))
        assert world.export_state()["users"] == []
        world.close()
    connection = sqlite3.connect(data)
    assert connection.execute("SELECT x FROM extra").fetchall() == [(7,)]
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    connection.close()


def test_a_failed_migration_leaves_the_file_unchanged(tmp_path, monkeypatch):
    data = written_by(tmp_path, 1)
    monkeypatch.setattr(tables, "SCHEMA_VERSION", 2)
    monkeypatch.setattr(tables, "MIGRATIONS", {1: ("CREATE TABLE extra (x)", "moon")})

    with pytest.raises(SandboxError):
        World(StartOptions(data=data))

    connection = sqlite3.connect(data)
    names = json.dumps(connection.execute("SELECT name FROM sqlite_schema").fetchall())
    assert "extra" not in names
    connection.close()


def test_a_migrated_file_has_the_tables_and_indexes_of_a_new_one(tmp_path):
    data = tmp_path / "world.db"
    World(StartOptions(data=data, seed_text="{}")).close()
    connection = sqlite3.connect(data)
    listing = "SELECT name, type FROM sqlite_schema ORDER BY name"
    new = connection.execute(listing).fetchall()
    for name in (
        *("holdouts", "experiments", "surveys", "product_tours", "early_access_features"),
        "scheduled_changes",
    ):
        connection.execute(f"DROP TABLE {name}")
    connection.execute("PRAGMA user_version=2")
    connection.commit()
    connection.close()

    World(StartOptions(data=data)).close()

    connection = sqlite3.connect(data)
    assert connection.execute(listing).fetchall() == new
    connection.close()
