"""The numbers of the released planning script."""

import json
from pathlib import Path
from typing import Any

import pytest
from seqdecomp.released_planner import released_plan

GOLDEN = json.loads((Path(__file__).parent / "goldens" / "released_planner.json").read_text())


def test_the_published_example_gives_the_released_helpers_numbers() -> None:
    # Obtained by running the script that was released with the paper.
    plan = released_plan(
        tokens=28_795_904_000,
        epochs=8,
        gpus=8,
        lengths=[256, 512, 1024, 2048, 4096, 8192],
        shards=[3560, 5996, 7410, 6309, 5157, 4513],
        sequences_per_shard=[4096, 2048, 1024, 512, 256, 128],
        odds=[32, 16, 8, 4, 2, 1],
        batch_size=64,
    )

    assert plan.tokens == 28_856_811_520
    assert plan.tokens_per_epoch == 3_607_101_440
    assert plan.factors == (46, 78, 97, 82, 67, 60)
    assert plan.sequences_per_epoch == (1_507_328, 1_277_952, 794_624, 335_872, 137_216, 61_440)
    assert plan.weights == (1472, 1248, 776, 328, 134, 60)
    assert (plan.steps_per_epoch, 8 * plan.steps_per_epoch) == (6_880, 55_040)


def test_a_number_of_tokens_that_whole_shards_can_give_is_kept() -> None:
    plan = released_plan(
        tokens=2 * 4 * 96 * 16,
        epochs=2,
        gpus=4,
        lengths=[16, 32],
        shards=[32, 32],
        sequences_per_shard=[32, 16],
        odds=[2, 1],
        batch_size=4,
    )
    assert plan.tokens == 2 * 4 * 96 * 16


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['run']['tokens']:.3g}")
def test_other_runs_have_the_released_helpers_numbers_too(case: dict[str, Any]) -> None:
    # The golden comes from the script itself, run by goldens/make_released_planner_golden.py.
    plan = released_plan(**case["run"])

    found = {name: getattr(plan, name) for name in case["printed"]}
    assert json.loads(json.dumps(found)) == case["printed"]
