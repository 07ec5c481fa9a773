"""The benchmarks of seqdecomp run at their smallest scale, without peers, and judge as they say."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.measurement import Sample, alternate
from benchmarks.peers import Peer, PeerUnavailable
from benchmarks.question import Finding, Options, Question, answer, judge

QUESTIONS = run.questions_of("seqdecomp")


def test_all_questions_are_found() -> None:
    names = {name.removeprefix("seqdecomp.") for name in QUESTIONS}
    assert names == {
        "batch_fetch",
        "batch_fetch_released_layout",
        "best_fit_packing",
        "decompose_scanning",
        "decompose_with_offsets",
        "gpu_throughput",
        "gpu_throughput_masked",
        "step_cost",
    }


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_runs_at_the_smallest_scale(
    question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"benchmarks.{question}")

    code = module.main(["--scale", "smoke", "--no-peers", "--repeats", "1", "--out", str(tmp_path)])

    printed = capsys.readouterr().out
    assert code == 0
    assert "seqdecomp: " in printed or "decomposed, " in printed
    for path in tmp_path.glob("*.json"):  # where no peer is needed, there is a result
        assert json.loads(path.read_text())["question"] == module.QUESTION.name


def test_a_question_about_gpus_is_skipped_at_another_scale(capsys: pytest.CaptureFixture[str]) -> None:
    module = import_module("benchmarks.seqdecomp.gpu_throughput")
    assert module.main(["--scale", "cpu"]) == 0
    assert capsys.readouterr().out == "gpu-throughput: skipped, it is asked at --scale gpu\n"


def test_arms_take_turns_after_the_warm_up() -> None:
    turns: list[str] = []

    def arm(name: str) -> Sample:
        turns.append(name)
        return Sample(1.0, 1.0, 1.0)

    samples = alternate({name: lambda name=name: arm(name) for name in "ab"}, repeats=2, warm_up=1)  # type: ignore[misc]

    assert "".join(turns) == "ababab"
    assert {name: len(taken) for name, taken in samples.items()} == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("ratios", "verdict"), [([2.0, 3.0], "holds"), ([1.9, 3.0], "inconclusive"), ([1.0, 1.9], "fails")]
)
def test_a_verdict_needs_every_round(ratios: list[float], verdict: str) -> None:
    assert judge(ratios, lambda ratio: ratio >= 2) == verdict


def test_a_result_compares_rounds_by_the_questions_clock(tmp_path: Path) -> None:
    # given two arms that differ by 4 on the clock and by 2 in processor time, and a question about the latter
    question = Question(
        name="cost-of-nothing",
        toolkit="seqdecomp",
        expected="half",
        holds=lambda ratio: ratio == 0.5,
        packages=["numpy"],
        metric="cost",
        clock="cpu",
    )
    samples = {"a": [Sample(2e6, 1.0, 3.0)] * 2, "b": [Sample(2e6, 4.0, 6.0)] * 2}

    def measure(options: Options) -> Finding:
        return Finding(samples, "a", "b", "nothing", {"other": "1.0"})

    code = answer(question, measure, ["--scale", "smoke", "--out", str(tmp_path)])

    [path] = tmp_path.glob("*.json")
    result = json.loads(path.read_text())
    assert code == 0
    assert result["comparison"]["ratio_median"] == 0.5
    assert result["verdict"] == "holds"
    assert [(arm["name"], arm["unit"], arm["values"][0]) for arm in result["arms"]] == [
        ("a", "CPU s / million tokens", 1.5),
        ("b", "CPU s / million tokens", 3.0),
        ("a (wall time)", "s / million tokens", 0.5),
        ("b (wall time)", "s / million tokens", 2.0),
    ]
    assert result["environment"]["versions"]["peer other"] == "1.0"


def test_a_missing_peer_is_a_printed_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("benchmarks.peers.find_uv", lambda: None)
    module = import_module("benchmarks.seqdecomp.decompose_scanning")

    code = module.main(["--scale", "smoke", "--out", str(tmp_path)])

    assert code == 0
    expected = "decompose-scanning: skipped, the peer cannot run here: uv is not installed\n"
    assert capsys.readouterr().out == expected
    assert list(tmp_path.iterdir()) == []


def test_a_peer_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # given a uv that cannot resolve what is asked for
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'no solution found for nothing==0' >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setattr("benchmarks.peers.find_uv", lambda: str(uv))

    with pytest.raises(PeerUnavailable, match="nothing==0: no solution found for nothing==0"):
        Peer(["nothing==0"], tmp_path / "worker.py")
