"""Names in a seed: people by email, roles and projects by name, levels as words.

Loading turns names into ids, exporting turns ids into names. Both directions are here, so that they
stay consistent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.sandbox.protocol.errors import SeedError
from reconciler.sandbox.protocol.validators import parse_uuid
from reconciler.sandbox.store.model import ADMIN, MEMBER, OWNER

LEVEL_WORDS = {"member": MEMBER, "admin": ADMIN, "owner": OWNER}
_LITERAL = "literal"  # wraps a text that is not a name


@dataclass(frozen=True, slots=True)
class SeedNames:
    """The people and roles that a seed has named so far."""

    people: dict[str, int] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)  # of one organization

    def with_roles(self, roles: Mapping[str, str]) -> "SeedNames":
        """Return the same people, and the roles of another organization."""
        return SeedNames(self.people, dict(roles))

    def find_person(self, value: Any, path: str) -> int | None:
        """Return a user id, from an email, an id, or a UserBasic; null stays null."""
        if isinstance(value, dict):
            value = value.get("email", value.get("id"))
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if value not in self.people:
            raise SeedError(f"{path}: no user has the email {value!r}")
        return self.people[value]

    def require_person(self, value: Any, path: str) -> int:
        """Return a user id that must be given."""
        user = self.find_person(value, path)
        if user is None:
            raise SeedError(f"{path}: a user is needed")
        return user

    def find_role(self, value: Any, path: str) -> str:
        """Return a role's id, from its name or its id."""
        if isinstance(value, str) and value in self.roles:
            return self.roles[value]
        identity = parse_uuid(value)
        if identity in self.roles.values() and identity is not None:
            return identity
        raise SeedError(f"{path}: no role of this organization is called {value!r}")

    def find_approvers(self, config: Any, path: str) -> Any:
        """Return an approver config with ids; what PostHog stores unchanged stays unchanged."""
        if not isinstance(config, dict):
            return config
        converted = dict(config)
        if isinstance(config.get("users"), list):
            converted["users"] = [
                self._find_approver(user, f"{path}.users[{place}]")
                for place, user in enumerate(config["users"])
            ]
        if isinstance(config.get("roles"), list):
            converted["roles"] = [
                self._find_approving_role(role, f"{path}.roles[{place}]")
                for place, role in enumerate(config["roles"])
            ]
        return converted

    def _find_approver(self, value: Any, path: str) -> Any:
        if isinstance(value, dict) and value.keys() == {_LITERAL}:
            return value[_LITERAL]
        if isinstance(value, str) and ("@" in value or value in self.people):
            return self.find_person(value, path)
        return value

    def _find_approving_role(self, value: Any, path: str) -> Any:
        if isinstance(value, dict) and value.keys() == {_LITERAL}:
            return value[_LITERAL]
        if isinstance(value, str) and value not in self.roles and parse_uuid(value):
            return value  # a deleted role leaves its id behind (contract 8.1)
        return self.find_role(value, path) if isinstance(value, str) else value


def parse_level(value: Any) -> Any:
    """Return a membership level, from its word or its number."""
    return LEVEL_WORDS.get(value, value) if isinstance(value, str) else value


def format_level(value: int) -> Any:
    """Return the word of a level."""
    return next((word for word, number in LEVEL_WORDS.items() if number == value), value)


@dataclass(frozen=True, slots=True)
class ExportNames:
    """The names under which a seed finds ids again."""

    people: Mapping[int, str]
    roles: Mapping[str, str]  # id to name, names that are not unique left out

    def name_person(self, user: int | None) -> Any:
        """Return an email, or the id of a deleted user."""
        return self.people.get(user, user) if user is not None else None

    def name_role(self, identity: str) -> str:
        """Return a role's name, or its id."""
        return self.roles.get(identity, identity)

    def name_approvers(self, config: Any) -> Any:
        """Return an approver config in names."""
        if not isinstance(config, dict):
            return config
        converted = dict(config)
        if isinstance(config.get("users"), list):
            converted["users"] = [self._name_approver(user) for user in config["users"]]
        if isinstance(config.get("roles"), list):
            converted["roles"] = [self._name_approving_role(role) for role in config["roles"]]
        return converted

    def _name_approver(self, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return self.people.get(value, value)
        return _escape_literal(value)

    def _name_approving_role(self, value: Any) -> Any:
        if isinstance(value, str) and value in self.roles:
            return self.roles[value]
        uuid = isinstance(value, str) and parse_uuid(value) == value
        return value if uuid else _escape_literal(value)


def _escape_literal(value: Any) -> Any:
    if isinstance(value, str):
        return {_LITERAL: value}
    if isinstance(value, dict) and value.keys() == {_LITERAL}:
        return {_LITERAL: value}
    return value
