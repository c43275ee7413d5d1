"""An emulated PostHog: the API of generation G2 as an executable model, over HTTP and SQLite.

It is written only from the API contract (docs/posthog-api.md) and shares no code with the client,
so that tests of the client against it are meaningful. Its public interface is `server`.
"""
