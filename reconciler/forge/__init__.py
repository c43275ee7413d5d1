"""Code hosts and webhooks: where results are told. Gets finished text, knows nothing of plans.

What is told here was decided before: an error in this room is told and changes no result.
"""
