"""The endpoints, one module per resource."""

from reconciler.sandbox.api import (
    activity_log,
    approval_policy,
    change_request,
    cohort,
    feature_flag,
    member,
    organization,
    organization_domain,
    personal_api_key,
    project,
    role,
    role_membership,
    user,
)
from reconciler.sandbox.api.products import (
    access_settings,
    experiment,
    experiment_holdout,
    flag_copy,
    flag_rollout,
    project_access,
    scheduled_change,
)
from reconciler.sandbox.requests.routes import Route

_MODULES = (
    user,
    personal_api_key,
    organization,
    organization_domain,
    project,
    member,
    role,
    role_membership,
    approval_policy,
    change_request,
    cohort,
    feature_flag,
    flag_copy,
    flag_rollout,
    experiment,
    experiment_holdout,
    scheduled_change,
    project_access,
    access_settings,
    activity_log,
)


def list_routes() -> tuple[Route, ...]:
    """Return every route of the emulated API."""
    return tuple(route for module in _MODULES for route in module.ROUTES)
