"""200,000 mutated files through the whole loader. `make soak TIMES=N` tries N times as many."""

from pathlib import Path

import pytest

from tests.effort import TIMES
from tests.unit.config import fuzzing, twice

pytestmark = pytest.mark.soak
SHARDS, EACH = 100, 2_000


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_input_escapes_the_loader(shard, tmp_path):
    """What fails is written down: move it to tests/unit/config/corpus."""
    kept = Path(tmp_path / "failing.yaml")
    for number, data in enumerate(fuzzing.mutants(1_000 + shard, EACH * TIMES)):
        kept.write_bytes(data)  # a crash of the whole process leaves it behind as well
        try:
            fuzzing.check(data)
            if number % 5 == 0:
                fuzzing.check_layers(data, data)
        except BaseException as error:
            raise AssertionError(f"see {kept}: {error!r}") from error


@pytest.mark.parametrize("shard", range(SHARDS))
def test_both_readers_agree(shard):
    """Half of them are nearly ordinary texts, half of them mutants of the corpus."""
    for text in twice.generated(shard, EACH // 2):
        twice.agree(text.encode("utf-8", "surrogatepass"))
    for data in fuzzing.mutants(5_000 + shard, EACH // 2):
        twice.agree(data)
