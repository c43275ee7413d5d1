"""A fleet on one sandbox: four targets, each with a project and a key of its own."""

import yaml

from tests import acme

TARGETS = ("eu-1", "eu-2", "us-1", "us-2")
KEYS = {f"POSTHOG_KEY_{number}": "phx_ci" for number in range(1, 40)}


def project(name, number, *flags, **more):
    return {"name": name, "id": number, "feature_flags": list(flags), **more}


def settings(targets=TARGETS, **own):
    """Each target has a project of the same name, and its own variable for the key."""
    return {
        "version": 1,
        "defaults": {"paths": ["config"], "organization": "acme"},
        "targets": {
            name: {
                "projects": {"Web": name},
                "api_key_env": f"POSTHOG_KEY_{number}",
                **own.get(name.replace("-", "_"), {}),
            }
            for number, name in enumerate(targets, 1)
        },
    }


class ProjectFleet:
    """A repository with several targets on one sandbox."""

    def __init__(self, repo):
        self.repo, self.folder, self.sandbox = repo, repo.folder, repo.sandbox

    def run(self, *arguments, **extra):
        return self.repo.run(*arguments, **{**KEYS, **extra})

    def edit(self, project, rollout, person):
        """Somebody changes the flag of a project."""
        path = f"/api/projects/{project}/feature_flags/"
        (flag,) = self.sandbox.call("GET", path, token="phx_ci")[1]["results"]
        filters = {"groups": [{"properties": [], "rollout_percentage": rollout}]}
        status, _ = self.sandbox.call(
            "PATCH", f"{path}{flag['id']}/", {"filters": filters}, token=f"phx_{person}"
        )
        assert 200 == status

    def document(self, *arguments, code=None):
        done = self.run(*arguments, "--format", "json")
        assert code is None or done.code == code, (done.code, done.out, done.err)
        return done.json


def build_fleet(world, rollouts=(50, 50, 10, 10), policies=(), **own):
    """Four targets with one flag; as it is, two of them differ from the files.

    `own` are keys of single targets, such as `us_1={"needs": ["eu-1"]}`.
    """
    projects = [
        project(name, number, acme.live_flag("a", rollout), approval_policies=list(policies))
        for number, (name, rollout) in enumerate(zip(TARGETS, rollouts, strict=True), 1)
    ]
    repo = world(acme.seed(projects=projects))
    repo.write("reconciler.yaml", yaml.safe_dump(settings(**own)))
    document = acme.flag("a", 50)
    del document["metadata"]["organization"]
    repo.write("config/flags.yaml", document)
    repo.commit()
    return ProjectFleet(repo)


def without_times(document):
    """The document of a fleet as two runs of it have in common."""
    for result in document["targets"]:
        result.pop("seconds")
    return document


def results(document):
    """Target -> exit code."""
    return {row["target"]: row["exit_code"] for row in document["targets"]}
