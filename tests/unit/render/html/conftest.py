"""Fixtures: one browser for all tests of pages, and tabs that are empty at the start of a test."""

import pytest

from tests.unit.render.chromium import asked_by_pages, browser


@pytest.fixture(scope="package")
def browser_of_pages(tmp_path_factory):
    """One browser, which writes down all that it asks of a network."""
    log = tmp_path_factory.mktemp("net") / "net.json"
    with browser(f"--log-net-log={log}") as running:
        yield running
    assert asked_by_pages(log) == []


@pytest.fixture
def chromium(browser_of_pages):
    """That browser; the tabs that a test has opened are empty afterwards."""
    yield browser_of_pages
    browser_of_pages.empty_tabs()
