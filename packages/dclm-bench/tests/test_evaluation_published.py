"""What the paper found, recomputed: read from names, on files with a known answer."""

import json
from pathlib import Path

import pytest
from dclm_bench.evaluation.published import (
    FASTTEXT,
    MIXING,
    REFINEDWEB,
    fasttext_gain,
    find_run,
    mixing_effects,
    mixing_flip,
    read_folder,
    read_runs,
    run_of,
    scale_transfer,
    version_shift,
)
from dclm_bench.evaluation.score_file import ScoreFile
from dclm_bench.evaluation.tasks import tasks
from toolkit_shared.errors import InputError

SETTINGS = {
    "400M": "d=1024_l=24_h=8-warm=2000-lr=0p003-wd=0p033-cd=3e-05-bs=512-mult=1-seed=124-tokens=8232325120",
    "1B": "open_lm_1b-warm=5000-lr=0p003-wd=0p033-cd=3e-05-bs=256-mult=1-seed=124-tokens=28795904000",
    "7B": "open_lm_7b_swiglutorch-warm=5000-lr=0p0003-wd=0p33-cd=3e-05-bs=2048-mult=1-seed=124",
}


def write(folder: Path, dataset: str, scale: str, level: float, tag: str = "") -> None:
    """A file in which every task is at the share `level` of the way from a guess (v1) to all right."""
    icl = {name: task.baseline("v1") + level * (1 - task.baseline("v1")) for name, task in tasks().items()}
    name = f"evaluation_{dataset}-{SETTINGS[scale]}{tag}_heavy.json"
    (folder / name).write_text(json.dumps({"eval_metrics": {"icl": icl}}))


def file_named(stem: str) -> ScoreFile:
    return ScoreFile(Path(f"{stem}.json"), "m", {}, {})


def test_a_run_is_read_from_its_name() -> None:
    run = run_of(file_named(f"evaluation_rw_v2_f0.1-{SETTINGS['7B']}_heavy"))
    assert run is not None
    assert (run.dataset, run.scale, run.tag, run.is_frozen) == ("rw_v2_f0.1", "7B", "", True)
    assert run.settings["lr"] == 0.0003
    assert run.settings["seed"] == 124
    assert run.settings["cd"] == 3e-5


def test_a_name_with_more_in_it_is_no_plain_run() -> None:
    run = run_of(file_named(f"evaluation_rw-{SETTINGS['1B']}_rho1_etash_0.6_heavy"))
    assert run is not None
    assert run.tag == "rho1_etash_0.6"
    tuned = run_of(file_named(f"evaluation_rw-{SETTINGS['7B'].replace('lr=0p0003', 'lr=0p002')}_heavy"))
    assert tuned is not None
    assert not tuned.is_frozen
    assert run_of(file_named("evaluation_llama2_7b_openlm_heavy")) is None


def test_scale_transfer_is_the_correlation_over_common_sets(tmp_path: Path) -> None:
    for index, name in enumerate(["a", "b", "c", "d", "e"]):
        write(tmp_path, name, "7B", 0.3 + 0.05 * index)
        if name != "e":
            write(tmp_path, name, "400M", 0.2 - 0.02 * index)
    write(tmp_path, "f", "400M", 0.9)
    found = scale_transfer(read_runs(tmp_path), "400M")
    assert found is not None
    assert found.datasets == ("a", "b", "c", "d")
    assert found.pearson == pytest.approx(-1)
    assert scale_transfer(read_runs(tmp_path), "1B") is None


def test_the_interval_of_a_correlation_is_fishers(tmp_path: Path) -> None:
    # r of (1,2,3,4) and (1,3,2,4) is 0.8; atanh(0.8) -+ 1.96 gives -0.697 and 0.996
    for name, small, large in (("a", 1, 1), ("b", 2, 3), ("c", 3, 2), ("d", 4, 4)):
        write(tmp_path, name, "1B", small / 10)
        write(tmp_path, name, "7B", large / 10)
    found = scale_transfer(read_runs(tmp_path), "1B")
    assert found is not None
    assert found.pearson == pytest.approx(0.8)
    assert (found.low, found.high) == (pytest.approx(-0.697, abs=1e-3), pytest.approx(0.996, abs=1e-3))


def test_of_several_runs_on_a_set_the_best_at_the_frozen_setting_counts(tmp_path: Path) -> None:
    for index, name in enumerate(["a", "b", "c", "d"]):
        write(tmp_path, name, "1B", 0.1 * index)
        write(tmp_path, name, "7B", 0.1 * index)
    write(tmp_path, "a", "1B", 0.05, tag="_copy")
    found = scale_transfer(read_runs(tmp_path), "1B")
    assert found is not None
    assert found.pearson < 0.9999


def test_the_gain_of_fasttext_is_taken_from_its_two_plain_runs(tmp_path: Path) -> None:
    write(tmp_path, REFINEDWEB, "1B", 0.275)
    assert fasttext_gain(read_runs(tmp_path)) is None
    write(tmp_path, FASTTEXT, "1B", 0.302)
    write(tmp_path, FASTTEXT, "1B", 0.9, tag="-averaged")
    found = fasttext_gain(read_runs(tmp_path))
    assert found is not None
    assert found.difference == pytest.approx(0.027)
    run = find_run(read_runs(tmp_path), FASTTEXT, "1B")
    assert run is not None
    assert run.tag == ""


def test_mixing_is_mixed_less_alone_for_the_sets_that_are_there(tmp_path: Path) -> None:
    for (_, alone, mixed), effect in zip(MIXING[1:], (0.017, 0.014, -0.016), strict=True):
        write(tmp_path, alone, "1B", 0.25)
        write(tmp_path, mixed, "1B", 0.25 + effect)
    effects = mixing_effects(read_runs(tmp_path))
    assert [effect.name for effect in effects] == ["RedPajama CC", "RefinedWeb", "fastText-filtered"]
    assert [effect.comparison.difference for effect in effects] == pytest.approx([0.017, 0.014, -0.016])
    flip = mixing_flip(effects)
    assert flip is not None
    assert flip[0] == pytest.approx((0.017 + 0.014) / 2 + 0.016)
    errors = [effect.comparison.standard_error for effect in effects]
    error = ((errors[0] ** 2 + errors[1] ** 2) / 4 + errors[2] ** 2) ** 0.5
    assert flip[1].high - flip[0] == pytest.approx(1.96 * error, rel=1e-4)
    assert mixing_flip(effects[:2]) is None
    assert mixing_flip(effects[2:]) is None


def test_the_shift_between_versions_is_their_mean_difference(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    for index in range(3):
        write(tmp_path / "evals", f"set{index}", "1B", 0.2 + 0.1 * index)
    shift, rank, number = version_shift(read_folder(tmp_path))
    assert (rank, number) == (pytest.approx(1), 3)
    # commonsense_qa 20 to 40.3, lsat_ar 20 to 25, language identification 9.1 to 25, at a level of 0.3:
    # each level l becomes (l - s) / (1 - s) with s = (b2 - b1) / (1 - b1)
    lost = sum((1 - 0.3) * s / (1 - s) for s in (0.203 / 0.8, 0.05 / 0.8, 0.159 / 0.909))
    assert shift == pytest.approx(-lost / 22)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no score file; give the folder with the published evals/"):
        read_folder(tmp_path)
