"""CI builds, code hosts and webhooks: facts about the build, and results reported to the outside.

A result is final before it is reported: an error in this package is shown and changes no result.
"""
