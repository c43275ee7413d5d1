"""Fixtures: a folder a schedule, and a child that can be killed."""

import pytest


@pytest.fixture
def folder(tmp_path_factory):
    """make() -> an empty folder."""
    return lambda: tmp_path_factory.mktemp("repo")
