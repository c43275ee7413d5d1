"""A fleet: several sandboxes, a target on each, and one repository for all of them."""

import yaml

from tests import acme, factories
from tests.support import CLEAN, Repository

NAMES = ("staging", "eu-prod", "us-prod")
GATED = factories.gated(acme.live_flag("a"), policies=("feature_flag.update",))  # a seed


class Fleet(Repository):
    """A repository with a target for each sandbox; the names of targets are keys of `sandboxes`."""

    def __init__(self, folder, sandboxes):
        super().__init__(folder, next(iter(sandboxes.values())))
        self.sandboxes = sandboxes

    def environment(self, token=None):
        """A fleet over several hosts leaves POSTHOG_HOST unset."""
        return {**CLEAN, "POSTHOG_CI_KEY": token or self.token}

    def settle(self, *documents, needs=None, **targets):
        """Write settings and documents, and commit them; `targets` have more keys."""
        every = {
            name: {
                "host": sandbox.url,
                **({"needs": list(needs[name])} if name in (needs or {}) else {}),
                **targets.pop(name.replace("-", "_"), {}),
            }
            for name, sandbox in self.sandboxes.items()
        }
        every |= targets
        defaults = {"paths": ["config"], "api_key_env": "POSTHOG_CI_KEY"}
        settings = {"version": 1, "defaults": defaults, "targets": every}
        self.write("reconciler.yaml", yaml.safe_dump(settings, sort_keys=False))
        if documents:
            self.write("config/flags.yaml", *documents)
        self.commit()

    def fleet(self, mode, *words, **options):
        """Run `fleet` with the result as JSON."""
        return self.run("fleet", mode, *words, "--format", "json", **options)


def targets(done):
    """Name -> row of a fleet's document."""
    return {row["target"]: row for row in done.json["targets"]}


def codes(done):
    """Name -> exit code."""
    return {name: row["exit_code"] for name, row in targets(done).items()}


def several_sandboxes(start_sandbox, *options, names=NAMES):
    """Name -> sandbox, each a process of its own."""
    return {name: start_sandbox(*options, number=n) for n, name in enumerate(names)}


def make_fleet(folder, sandboxes, **seeds):
    """Return the fleet in a fresh world; each sandbox has a flag `a`, or its own seed."""
    plain = acme.seed(projects=[{"name": "Web", "id": 1, "feature_flags": [acme.live_flag("a")]}])
    for name, sandbox in sandboxes.items():
        sandbox.call("POST", "/_sandbox/faults", {"faults": []})
        sandbox.reset(seeds.get(name.replace("-", "_"), plain))
    return Fleet(folder, sandboxes)
