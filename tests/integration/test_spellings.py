"""Whatever `validate` accepts, in whatever spelling, is applied once and then matches."""

import json
import random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import acme
from tests.effort import TIMES, effort
from tests.integration import spellings
from tests.support import Repository


@settings(
    max_examples=effort(2, 200 * TIMES),
    phases=[Phase.explicit, Phase.generate],  # shrinking costs processes; the seed replays
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 10**9))
def test_any_accepted_spelling_converges_after_one_apply(shared_sandbox, tmp_path_factory, seed):
    """Validate sorts out what is refused; apply (0), plan (0), and apply again writes nothing."""
    shared_sandbox.reset(acme.seed())
    repository = Repository(tmp_path_factory.mktemp("repo"), shared_sandbox, token="phx_alice")
    found = list(spellings.documents(random.Random(seed)))  # noqa: S311  a die, not a secret
    for number, document in enumerate(found):
        repository.write(f"{number}.yaml", spellings.as_yaml(document))
    checked = json.loads(repository.run("validate", "--format", "json").out)
    refused = {one["source"]["file"] for one in checked if one["severity"] == "error"}
    for name in refused:
        (repository.folder / name).unlink()
    assert len(refused) <= len(found) / 3, checked

    first = repository.run("apply", "--yes", "--format", "json")
    assert 0 == first.code, first.out + first.err

    again = repository.run("plan", "--detailed-exitcode")
    assert 0 == again.code, again.out + again.err
    shared_sandbox.clear()
    assert 0 == repository.run("apply", "--yes").code
    assert [] == shared_sandbox.writes()
