"""Names in a seed: people by email, roles and projects by name, levels as words.

Going in, a name becomes an id; coming out, an id becomes a name. Both ways are here, so that one
can be checked against the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.sandbox.protocol.errors import SeedError
from reconciler.sandbox.protocol.validators import as_uuid
from reconciler.sandbox.store.model import ADMIN, MEMBER, OWNER

WORDS = {"member": MEMBER, "admin": ADMIN, "owner": OWNER}
_LITERAL = "literal"  # wraps a text that only looks like a name


@dataclass(frozen=True, slots=True)
class Names:
    """Who and what a seed has named so far."""

    people: dict[str, int] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)  # of one organization

    def within(self, roles: Mapping[str, str]) -> "Names":
        """The same people, and the roles of another organization."""
        return Names(self.people, dict(roles))

    def person(self, value: Any, path: str) -> int | None:
        """A user id, from an email, an id, or a UserBasic; null stays null."""
        if isinstance(value, dict):
            value = value.get("email", value.get("id"))
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if value not in self.people:
            raise SeedError(f"{path}: no user has the email {value!r}")
        return self.people[value]

    def known_person(self, value: Any, path: str) -> int:
        """A user id that must be given."""
        found = self.person(value, path)
        if found is None:
            raise SeedError(f"{path}: a user is needed")
        return found

    def role(self, value: Any, path: str) -> str:
        """A role's id, from its name or its id."""
        if isinstance(value, str) and value in self.roles:
            return self.roles[value]
        identity = as_uuid(value)
        if identity in self.roles.values() and identity is not None:
            return identity
        raise SeedError(f"{path}: no role of this organization is called {value!r}")

    def approvers(self, config: Any, path: str) -> Any:
        """An approver config with ids; what PostHog would keep as it is stays as it is."""
        if not isinstance(config, dict):
            return config
        found = dict(config)
        if isinstance(config.get("users"), list):
            found["users"] = [
                self._approver(one, f"{path}.users[{place}]")
                for place, one in enumerate(config["users"])
            ]
        if isinstance(config.get("roles"), list):
            found["roles"] = [
                self._approving_role(one, f"{path}.roles[{place}]")
                for place, one in enumerate(config["roles"])
            ]
        return found

    def _approver(self, value: Any, path: str) -> Any:
        if isinstance(value, dict) and value.keys() == {_LITERAL}:
            return value[_LITERAL]
        if isinstance(value, str) and ("@" in value or value in self.people):
            return self.person(value, path)
        return value

    def _approving_role(self, value: Any, path: str) -> Any:
        if isinstance(value, dict) and value.keys() == {_LITERAL}:
            return value[_LITERAL]
        if isinstance(value, str) and value not in self.roles and as_uuid(value):
            return value  # a role that is gone leaves its id behind (contract 8.1)
        return self.role(value, path) if isinstance(value, str) else value


def level(value: Any) -> Any:
    """A membership level, from its word or its number."""
    return WORDS.get(value, value) if isinstance(value, str) else value


def level_word(value: int) -> Any:
    """The word of a level."""
    return next((word for word, number in WORDS.items() if number == value), value)


@dataclass(frozen=True, slots=True)
class Titles:
    """The way out: ids to the names under which a seed finds them again."""

    people: Mapping[int, str]
    roles: Mapping[str, str]  # id to name, names that are not unique left out

    def person(self, user: int | None) -> Any:
        """An email, or the id of somebody who is gone."""
        return self.people.get(user, user) if user is not None else None

    def role(self, identity: str) -> str:
        """A role's name, or its id."""
        return self.roles.get(identity, identity)

    def approvers(self, config: Any) -> Any:
        """An approver config in names."""
        if not isinstance(config, dict):
            return config
        found = dict(config)
        if isinstance(config.get("users"), list):
            found["users"] = [self._approver(one) for one in config["users"]]
        if isinstance(config.get("roles"), list):
            found["roles"] = [self._approving_role(one) for one in config["roles"]]
        return found

    def _approver(self, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return self.people.get(value, value)
        return _literal(value)

    def _approving_role(self, value: Any) -> Any:
        if isinstance(value, str) and value in self.roles:
            return self.roles[value]
        uuid = isinstance(value, str) and as_uuid(value) == value
        return value if uuid else _literal(value)


def _literal(value: Any) -> Any:
    if isinstance(value, str):
        return {_LITERAL: value}
    if isinstance(value, dict) and value.keys() == {_LITERAL}:
        return {_LITERAL: value}
    return value
