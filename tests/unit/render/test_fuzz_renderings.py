"""50,000 hostile inputs through every rendering. `make soak TIMES=N` tries N times as many."""

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from reconciler.model import Verdict
from tests.effort import TIMES
from tests.unit.render import test_hostile_texts as sinks
from tests.unit.render.strategies import hostile, plans

pytestmark = pytest.mark.soak
SHARDS, EACH = 10, 720  # 7 properties: 50,400 inputs
PROPERTIES = {
    sinks.test_no_word_changes_the_lines_of_a_terminal: (sinks.short,),
    sinks.test_plans_of_any_shape: (plans,),
    sinks.test_no_word_changes_the_tree_of_a_comment: (hostile,),
    sinks.test_no_word_changes_what_github_makes_of_a_comment: (hostile,),
    sinks.test_a_comment_of_any_plan_holds_no_markup_of_its_words: (plans,),
    sinks.test_no_word_changes_the_elements_of_a_page: (sinks.short, st.sampled_from(Verdict)),
    sinks.test_a_page_of_any_plan_is_well_formed_and_runs_nothing_of_it: (plans,),
}


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", [one.__name__ for one in PROPERTIES])
def test_no_string_changes_the_shape_of_a_rendering(name, shard):
    """The properties of tests/unit/render, with other and with more inputs each time."""
    prove, inputs = next(one for one in PROPERTIES.items() if one[0].__name__ == name)
    often = settings(
        max_examples=EACH * TIMES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    seed(1_000 + shard)(often(given(*inputs)(prove.hypothesis.inner_test)))()
