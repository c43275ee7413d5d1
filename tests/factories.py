"""Worlds that many tests begin with: a project with flags and policies, whose writes may wait."""

from tests import acme


def project(*flags, policies=(), **more):
    """Return the project Web of a seed."""
    return {
        "name": "Web",
        "id": 1,
        "feature_flags": list(flags),
        "approval_policies": list(policies),
        **more,
    }


def seed(*flags, policies=(), more=(), **organization):
    """Return a world with the project Web, and `more` projects beside it."""
    return acme.seed(projects=[project(*flags, policies=policies), *more], **organization)


def gated(*flags, policies=("feature_flag.enable",), rule=None, **organization):
    """Return the same, with a policy for each of these actions; `rule` is what they say."""
    rules = [acme.policy(action, **(rule or {})) for action in policies]
    return seed(*flags, policies=rules, **organization)
