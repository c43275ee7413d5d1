"""Checks the contract of PostHog's API (docs/posthog-api.md) against a server.

`statements` is the one list of what is checked. The command `conformance` checks it against any
server, the tests of the sandbox against each of its profiles.
"""
