"""Responses have the sandbox's own time, as PostHog's have PostHog's."""

import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime


def test_responses_have_the_sandboxs_date(world):
    """A client that goes by the server's clock sees it stand, and jump."""
    repo = world({"now": "2026-01-05T09:00:00Z", "users": [], "organizations": []})

    def date():
        request = urllib.request.Request(f"{repo.sandbox.url}/api/organizations/")
        try:
            urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            with error:
                return parsedate_to_datetime(error.headers["Date"]).isoformat()

    before = date()
    repo.sandbox.call("POST", "/_sandbox/clock", {"advance": "3d"})

    assert ("2026-01-05T09:00:00+00:00", "2026-01-08T09:00:00+00:00") == (before, date())
