"""docs/promotion.md, run as it stands: two targets, two servers, and no document twice."""

import copy
import re
import shlex
from pathlib import Path

import pytest

from tests import acme
from tests.support import Repository, run_in_process

PAGE = (Path(__file__).parents[2] / "docs" / "promotion.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def organization(slug, *projects):
    """A world of one organization with these projects."""
    world = acme.seed(slug=slug, projects=[{"name": name} for name in projects])
    return copy.deepcopy(world)


class Fleet:
    """The repository of the page beside two servers."""

    def __init__(self, folder, staging, production):
        self.staging, self.production = staging, production
        self.repo = Repository(folder, staging)
        hosts = {"https://us.posthog.com": staging.url, "https://eu.posthog.com": production.url}
        for name, text in FILES.items():
            for written, url in hosts.items():
                text = text.replace(written, url)  # noqa: PLW2901  one replacement after the other
            self.repo.write(name, text)
        self.repo.commit("the page")

    def run(self, *arguments):
        """Run a command with the keys of both targets, and no host in the environment."""
        environ = self.repo.environment()
        del environ["POSTHOG_HOST"], environ["POSTHOG_API_KEY"]
        names = ("POSTHOG_API_KEY_STAGING", "POSTHOG_API_KEY_PRODUCTION")
        return run_in_process(
            arguments, self.repo.folder, {**environ, **dict.fromkeys(names, "phx_ci")}
        )


@pytest.fixture
def fleet(start_sandbox, tmp_path):
    """Both servers, before anything is applied."""
    staging, production = (start_sandbox(number=number) for number in (0, 1))
    staging.reset(organization("acme-staging", "Web staging"))
    production.reset(organization("acme", "Web"))
    return Fleet(tmp_path, staging, production)


def rollouts(sandbox):
    """Project -> key of a flag -> its percentages."""
    projects = sandbox.state()["organizations"][0]["projects"]
    return {
        project["name"]: {
            flag["key"]: [group["rollout_percentage"] for group in flag["filters"]["groups"]]
            for flag in project["feature_flags"]
        }
        for project in projects
    }


def test_the_page_promotes_from_staging_to_production(fleet):
    """Every command of it, then a change that goes through both; then there is nothing to do."""
    for line in COMMANDS.splitlines():
        program, *arguments = shlex.split(line)
        done = fleet.run(*arguments)
        assert (program, done.code) == ("reconciler", 0), (line, done.out, done.err)
        assert "warning" not in done.out + done.err

    assert rollouts(fleet.staging) == {"Web staging": {"new-checkout": [100], "maintenance": [0]}}
    assert rollouts(fleet.production) == {"Web": {"new-checkout": [10], "maintenance": [0]}}

    (fleet.repo.folder / "overlays/production/web.yaml").write_text(
        FILES["overlays/production/web.yaml"].replace("10", "100")
    )
    fleet.repo.commit("the other 90 %")
    assert fleet.run("plan", "--target", "staging", "--detailed-exitcode").code == 0
    rows = fleet.run("plan", "--target", "production", "--format", "json").json["changes"]
    (change,) = [row for row in rows if row["action"] != "none"]
    assert change["address"] == "FeatureFlag/acme/Web/new-checkout"
    assert [field["cause"] for field in change["fields"]] == ["intent"]
    assert fleet.run("apply", "--target", "production", "--yes").code == 0
    assert rollouts(fleet.production)["Web"]["new-checkout"] == [100]


def test_a_target_needs_no_document_of_another(fleet):
    """Addresses have the live names, and `list` needs neither a key nor a server."""
    listed = {
        target: fleet.run("list", "--target", target).out.split("\n")[:-1]
        for target in ("staging", "production")
    }

    assert [line.split("  ")[0] for line in listed["staging"]] == [
        "FeatureFlag/acme-staging/Web staging/maintenance",
        "FeatureFlag/acme-staging/Web staging/new-checkout",
        "Project/acme-staging/Web staging",
    ]
    assert [line.split("  ")[0] for line in listed["production"]] == [
        "FeatureFlag/acme/Web/maintenance",
        "FeatureFlag/acme/Web/new-checkout",
        "Project/acme/Web",
    ]
