"""Define email domains of an organization (contract 6.4): read, never declared."""

from reconciler.model import Kind, Scope, build_field_reader, keep_spec

KIND = Kind(
    name="OrganizationDomain",
    scope=Scope.ORGANIZATION,
    rank=15,
    key="domain",
    collection="/api/organizations/{organization}/domains/",
    item="/api/organizations/{organization}/domains/{id}/",
    plural="domains",
    noun="domain",
    api_scope="organization",
    to_spec=keep_spec,
    to_payload=keep_spec,
    identify=build_field_reader("domain"),
    folds_case=True,
    listed=frozenset({"id", "domain", "is_verified"}),
    declared=False,
)
