"""A small PostHog: the API of generation G2 as an executable model, over HTTP and SQLite.

It is written from the API contract alone and shares nothing with the client, so that trying the
client against it means something. Sections named in docstrings are those of that contract.
"""
