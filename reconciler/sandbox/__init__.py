"""An emulated PostHog: the API as an executable model, over HTTP and SQLite.

It is written only from the API contract (docs/posthog-api.md) and shares no code with the client,
so that tests of the client against it are meaningful. It emulates the newest generation unless
another is chosen (`store.generation`). Its public interface is `server`.
"""
