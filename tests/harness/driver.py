"""The console program in this process, with a clock and with chance of its own."""

import json
from random import Random

from tests.support import Repository, Time


class Driver(Repository):
    """A repository whose commands run in this process."""

    def __init__(self, folder, sandbox, token="phx_ci", seed=0):
        super().__init__(folder, sandbox, token)
        self.time, self.chance = Time(), Random(seed)

    def go(self, *arguments, token=None, **extra):
        """Run a command to its end; its exit code and what it printed."""
        done = self.run(*arguments, token=token, **extra)
        assert "has a defect" not in done.err, done.err
        return done

    def faults(self, rules, seed=0):
        """Replace the schedule of faults."""
        status, body = self.sandbox.call(
            "POST", "/_sandbox/faults", {"seed": seed, "faults": list(rules)}
        )
        assert 200 == status, (body, json.dumps(rules))

    def ledger(self):
        return self.sandbox.call("GET", "/_sandbox/ledger")[1]

    def approve_all(self):
        """People agree to everything that is open; how many votes were cast."""
        votes = 0
        for project in (1, 2):
            base = f"/api/projects/{project}/change_requests/"
            listed = self.sandbox.call("GET", f"{base}?state=pending", token="phx_alice")[1]
            for request in listed["results"]:
                for who in ("alice", "bob"):
                    path = f"{base}{request['id']}/approve/"
                    votes += 200 == self.sandbox.call("POST", path, {}, token=f"phx_{who}")[0]
        return votes
