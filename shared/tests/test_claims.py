"""Claims on planted numbers: verdicts with hand-calculated intervals, runs that go on, result files."""

import json
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.claims import (
    Question,
    Run,
    Runs,
    answer,
    answer_all,
    answer_entries,
    answer_lines,
    complete_runs,
    gate,
    paired_order,
    run_name,
    run_path,
    write_results,
)
from toolkit_shared.errors import InputError
from toolkit_shared.results import Environment, read_result

ENVIRONMENT = Environment(cpu="any", cores=2, threads=1, ram_gib=8.0, gpu=None, load=0.1, versions={})
numbers = st.floats(0.01, 100).map(lambda value: round(value, 3))


def value_of(run: Run, _: Runs) -> float | None:
    value: float | None = run["value"]
    return value


def ask(
    form: Literal["ratio", "difference"] = "difference",
    direction: Literal["lower", "higher"] = "lower",
    **fields: Any,
) -> Question:
    standard: dict[str, Any] = {"name": "toy", "first": "method", "second": "base", "expected": "a gain"}
    return Question(
        **(standard | fields), metric="error", unit="points", value=value_of, form=form, direction=direction
    )


def planted(method: list[float | None], base: list[float | None], **others: list[float | None]) -> Runs:
    arms = {"method": method, "base": base, **others}
    return {
        (arm, seed): {"value": value} for arm, values in arms.items() for seed, value in enumerate(values)
    }


def verdict(question: Question, runs: Runs) -> str:
    found = answer(question, runs)
    assert found is not None
    return found.verdict


def test_a_clear_gain_holds_with_the_t_interval_of_the_pairs() -> None:
    found = answer(ask(), planted([3.9, 3.8, 3.7, 3.8, 3.8], [4.0] * 5))

    # Differences -0.1 -0.2 -0.3 -0.2 -0.2: mean -0.2, s = sqrt(0.02 / 4), t(4) at 97.5 % is 2.7764.
    assert found is not None
    assert found.effect == pytest.approx(-0.2)
    assert (found.low, found.high) == pytest.approx((-0.2878, -0.1122), abs=1e-4)
    assert (found.verdict, found.seeds) == ("holds", (0, 1, 2, 3, 4))


def test_a_ratio_is_the_geometric_mean_of_the_pairs() -> None:
    found = answer(ask("ratio"), planted([50.0, 80.0, 64.0], [100.0] * 3))

    assert found is not None
    assert found.effect == pytest.approx((0.5 * 0.8 * 0.64) ** (1 / 3))
    assert found.low is not None
    assert found.high is not None
    assert found.low * found.high == pytest.approx(found.effect**2)


def test_a_question_may_expect_the_first_arm_to_be_higher() -> None:
    rises = planted([1.2, 1.25, 1.3], [1.0] * 3)

    assert verdict(ask(direction="higher"), rises) == "holds"
    assert verdict(ask(direction="lower"), rises) == "fails"
    assert verdict(ask("ratio", "higher"), rises) == "holds"
    assert verdict(ask("ratio", "lower"), rises) == "fails"


def test_a_difference_within_the_noise_is_inconclusive_either_way() -> None:
    runs = planted([3.9, 4.2, 3.8], [4.0] * 3)

    for form in ("ratio", "difference"):
        for direction in ("lower", "higher"):
            assert verdict(ask(form, direction), runs) == "inconclusive"


def test_two_seeds_are_judged_by_whether_they_agree() -> None:
    base: list[float | None] = [100.0, 100.0]

    assert verdict(ask(), planted([70.0, 99.0], base)) == "holds"
    assert verdict(ask(), planted([70.0, 101.0], base)) == "inconclusive"
    assert verdict(ask(), planted([102.0, 101.0], base)) == "fails"
    assert verdict(ask(), planted([70.0, 100.0], base)) == "inconclusive"


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_exchanging_arms_and_direction_keeps_the_verdict(pairs: list[tuple[float, float]]) -> None:
    method, base = ([pair[side] for pair in pairs] for side in (0, 1))
    runs = planted(list(method), list(base))

    for form in ("ratio", "difference"):
        one = answer(ask(form, "lower"), runs)
        other = answer(ask(form, "higher", first="base", second="method"), runs)

        assert one is not None
        assert other is not None
        assert one.verdict == other.verdict
        assert one.effect is not None
        assert other.effect is not None
        expected = 1 / one.effect if form == "ratio" else -one.effect
        assert other.effect == pytest.approx(expected, abs=1e-9)


def test_only_seeds_of_both_arms_are_pairs() -> None:
    runs = {**planted([1.0, 1.0, 1.0], [2.0, 2.0])}

    found = answer(ask(), runs)

    assert found is not None
    assert found.seeds == (0, 1)
    assert answer(ask(second="absent"), runs) is None


def test_a_seed_without_a_value_keeps_a_claim_from_holding_but_not_from_failing() -> None:
    gains = answer(ask(), planted([1.0, 1.1, None, 1.0], [2.0] * 4))
    losses = answer(ask(), planted([3.0, 3.1, None, 3.0], [2.0] * 4))

    assert gains is not None
    assert losses is not None
    assert (gains.verdict, gains.seeds, gains.missing) == ("inconclusive", (0, 1, 3), (2,))
    assert losses.verdict == "fails"


def test_an_arm_that_never_has_a_value_fails_and_two_have_no_answer() -> None:
    found = answer(ask(), planted([None, None], [2.0, 2.5]))

    assert found is not None
    assert (found.verdict, found.effect, found.seeds, found.missing) == ("fails", None, (), (0, 1))
    assert found.values == {"base": (2.0, 2.5)}
    assert answer(ask(), planted([None], [None])) is None


def test_the_gate_asks_that_gated_questions_hold_and_that_there_are_some() -> None:
    runs = planted([1.0, 1.0], [2.0, 2.0])
    good, bad = ask(gated=True), ask(direction="higher", name="other", gated=True)
    free = ask(direction="higher", name="free")

    assert gate(answer_all([good, free], runs))
    assert not gate(answer_all([good, bad], runs))
    assert not gate(answer_all([free], runs))
    assert not gate([])


def test_the_table_tells_intervals_missing_seeds_and_the_gate() -> None:
    runs = planted([1.0, 1.1, None], [2.0, 2.0, 2.0], never=[None] * 3)
    questions = [ask(gated=True), ask("ratio", name="toy-ratio"), ask(first="never", name="nothing")]

    lines = answer_lines(answer_entries(answer_all(questions, runs)))

    assert lines == [
        "question   compared       effect  95 % interval                           verdict       gated",
        "toy        method - base  -0.950  -1.000 to -0.900 (no value in 1 seeds)  inconclusive  yes",
        "toy-ratio  method / base   0.524  0.500 to 0.550 (no value in 1 seeds)    inconclusive",
        "nothing    never - base        -  never has no value in any of 3 seeds    fails",
        "",
        "Fewer than 3 seeds: intervals are ranges, and a verdict asks that all seeds agree.",
        "",
        "gated claims: NOT all hold",
    ]


def test_a_result_file_has_every_arm_the_side_that_is_good_and_the_seeds(tmp_path: Path) -> None:
    runs = planted([0.9, 0.8, None], [0.7, 0.7, 0.7], other=[0.5, 0.6, 0.7])
    found = answer_all([ask(direction="higher", higher_is_better=True)], runs)

    paths = write_results(
        found,
        tmp_path,
        toolkit="toy-kit",
        environment=ENVIRONMENT,
        command="toy claims",
        started="2026-01-31T00:00:00Z",
        seconds=2.0,
        variant="gap",
        note="small",
    )

    (result,) = map(read_result, paths)
    assert (result.toolkit, result.question, result.kind) == ("toy-kit", "claims-gap-toy", "claim")
    assert [(arm.name, arm.values, arm.higher_is_better) for arm in result.arms] == [
        ("base", (0.7, 0.7), True),
        ("method", (0.9, 0.8), True),
        ("other", (0.5, 0.6), True),
    ]
    assert result.verdict == "inconclusive"
    assert result.note == "small; seeds 0, 1; no value of method in seeds 2"
    assert result.comparison is not None
    assert (result.comparison.numerator, result.comparison.denominator) == ("method", "base")


def test_one_seed_has_a_ratio_but_no_difference_with_an_interval(tmp_path: Path) -> None:
    runs = planted([1.0], [2.0])

    ratio, difference = (
        read_result(path)
        for path in write_results(
            answer_all([ask("ratio", name="r"), ask(name="d")], runs),
            tmp_path,
            toolkit="toy",
            environment=ENVIRONMENT,
            command="toy claims",
            started="2026-01-31T00:00:00Z",
            seconds=1.0,
        )
    )

    assert ratio.comparison is not None
    assert difference.comparison is None
    assert difference.question == "claims-d"


class Toy(NamedTuple):
    arm: str
    seed: int
    fails: bool = False


def measure(task: Toy) -> dict[str, Any]:
    if task.fails:
        raise InputError("toy: fails")
    return {"arm": task.arm, "value": math.sqrt(task.seed + len(task.arm))}


def toy_tasks(*, fails: tuple[str, ...] = ()) -> dict[str, Toy]:
    return {
        run_name(arm, seed): Toy(arm, seed, run_name(arm, seed) in fails)
        for arm, seed in paired_order(["a", "bb"], [0, 1])
    }


def toy_runs(out: Path, tasks: dict[str, Toy], **options: Any) -> dict[str, dict[str, Any]]:
    given = {"kind": "toy-claims", "config": {"width": 4}, "toolkit_version": "1.2.3"} | options
    return complete_runs(out, tasks=tasks, run=measure, **given)


def test_every_seed_starts_with_another_arm() -> None:
    assert list(paired_order("xyz", [0, 1])) == [
        ("x", 0),
        ("y", 0),
        ("z", 0),
        ("y", 1),
        ("z", 1),
        ("x", 1),
    ]


def test_runs_are_named_by_scenario_arm_and_seed() -> None:
    assert run_name("muscle", 3) == "muscle-seed3"
    assert run_path(Path("out"), run_name("muscle", 3, "gap")) == Path("out/runs/gap-muscle-seed3.json")


def test_an_interrupted_experiment_goes_on_and_does_no_finished_run_again(tmp_path: Path) -> None:
    prepared: list[Path] = []
    with pytest.raises(InputError, match="toy: fails"):
        toy_runs(tmp_path / "out", toy_tasks(fails=("a-seed1",)))
    kept = run_path(tmp_path / "out", "a-seed0")
    kept.write_text('{"kept": true}')
    done: list[int] = []

    runs = toy_runs(tmp_path / "out", toy_tasks(), progress=done.append, prepare=prepared.append)

    # seed 1 began with bb, which was written before a failed
    assert sum(done) == 1
    assert prepared == [tmp_path / "out"]
    assert runs["a-seed0"] == {"kept": True}
    assert runs["a-seed1"]["value"] == math.sqrt(2)
    assert list(runs) == ["a-seed0", "bb-seed0", "bb-seed1", "a-seed1"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["kind"], manifest["toolkit_version"]) == ("toy-claims", "1.2.3")
    assert sorted(manifest["runs"]) == ["a-seed0.json", "a-seed1.json", "bb-seed0.json", "bb-seed1.json"]


def test_a_finished_experiment_is_read_and_another_configuration_refused(tmp_path: Path) -> None:
    first = toy_runs(tmp_path / "out", toy_tasks())

    again = toy_runs(tmp_path / "out", toy_tasks(fails=("a-seed0", "bb-seed0")))

    assert again == first
    with pytest.raises(InputError, match="width 4 there, 8 here"):
        toy_runs(tmp_path / "out", toy_tasks(), config={"width": 8})
    toy_runs(tmp_path / "out", toy_tasks(), config={"width": 8}, overwrite=True)


def test_two_workers_write_what_one_does(tmp_path: Path) -> None:
    # the task is the measurement: `dict` is a function that worker processes can import
    tasks = {name: {"arm": task.arm, "seed": task.seed} for name, task in toy_tasks().items()}

    one, two = (
        complete_runs(
            tmp_path / str(workers),
            kind="toy-claims",
            config={},
            toolkit_version="1",
            tasks=tasks,
            run=dict,
            workers=workers,
        )
        for workers in (1, 2)
    )

    assert one == two == tasks
    for path in (tmp_path / "1").rglob("*.json"):
        assert path.read_bytes() == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes()
