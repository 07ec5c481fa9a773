import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mobileclip.cli import ABOUT, COMMANDS
from mobileclip.evaluation.datacomp_tasks import TASKS, find_task
from mobileclip.evaluation.summary import read_result_file, recomputed_score, summarize
from toolkit_shared.cli import run
from toolkit_shared.errors import InputError

# numbers of the official result files; goldens/make_published_scores.py wrote them
PUBLISHED = json.loads((Path(__file__).parent / "goldens" / "published_scores.json").read_text())


def write(path: Path, rows: Mapping[str, Any]) -> Path:
    lines = [json.dumps({"key": key, "dataset": key, "metrics": value}) for key, value in rows.items()]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def command(argv: list[str]) -> int:
    return run("mobileclip", ABOUT, COMMANDS, argv)


def full(score: float = 0.5) -> dict[str, dict[str, Any]]:
    return {task.key: {"main_metric": score} for task in TASKS}


@pytest.mark.parametrize(
    ("model", "average"), [("mobileclip_s0", 58.117), ("mobileclip_s1", 61.254), ("mobileclip2_s0", 59.673)]
)
def test_the_published_averages_come_out_to_three_decimals(
    model: str, average: float, tmp_path: Path
) -> None:
    path = write(tmp_path / f"{model}.jsonl", PUBLISHED[model])

    (summary,) = summarize([read_result_file(path)])

    assert round(100 * summary.average, 3) == average
    assert summary.num_tasks == 38


def test_the_mean_over_all_rows_is_another_number_which_the_further_rows_would_give(tmp_path: Path) -> None:
    # from the spec: 62.913 is the naive mean of MobileCLIP2-S0
    scores = [row["main_metric"] for row in PUBLISHED["mobileclip2_s0"].values()]
    known = [score for score in scores if score is not None]
    assert (len(scores), len(known)) == (50, 48)
    assert round(100 * math.fsum(known) / len(known), 3) == 62.913

    file = read_result_file(write(tmp_path / "s0.jsonl", PUBLISHED["mobileclip2_s0"]))

    assert len(file.left_out) == 12
    assert {"comp/sugarcrepe_add_att", "longclip/urban1k", "fairness/fairface"} <= set(file.left_out)


def test_published_recalls_of_both_directions_are_read(tmp_path: Path) -> None:
    # published for S0: Flickr 67.7 by text and 85.9 by image, COCO 40.4 and 58.7
    file = read_result_file(write(tmp_path / "s0.jsonl", PUBLISHED["mobileclip_s0"]))

    found = [round(100 * value, 1) for recalls in file.retrieval.values() for value in recalls.values()]
    assert found == [67.7, 85.9, 40.4, 58.7]
    assert file.mismatches == ()


def test_the_groups_are_those_of_datacomp() -> None:
    assert len({task.key for task in TASKS}) == len({task.dataset for task in TASKS}) == 38
    assert Counter(task.group for task in TASKS) == {
        "ImageNet": 1,
        "ImageNet shifts": 6,
        "VTAB": 13,
        "Retrieval": 3,
        "Others": 15,
    }


def test_a_task_is_known_by_its_whole_key_and_by_the_names_of_the_webdatasets() -> None:
    assert find_task("vtab/pets") == find_task("wds/vtab/pets") == find_task("wds_vtab-pets_test")
    assert find_task("vtab/pet") is None
    assert find_task("imagenet") is None


def test_the_order_of_the_lines_does_not_matter(tmp_path: Path) -> None:
    rows = PUBLISHED["mobileclip_s0"]
    one = summarize([read_result_file(write(tmp_path / "a.jsonl", rows))])[0]
    other = summarize([read_result_file(write(tmp_path / "b.jsonl", dict(reversed(rows.items()))))])[0]

    assert (one.average, one.groups) == (other.average, other.groups)
    assert list(one.file.scores) == list(other.file.scores)


def test_missing_tasks_are_named_and_no_average_is_given(tmp_path: Path) -> None:
    rows = full()
    del rows["vtab/svhn"], rows["cars"]

    with pytest.raises(InputError, match=r"lacks 2 of the 38 tasks \(vtab/svhn, cars\); .* --partial"):
        summarize([read_result_file(write(tmp_path / "r.jsonl", rows))])


def test_a_task_whose_score_is_null_is_missing(tmp_path: Path) -> None:
    rows = {**full(), "cars": {"main_metric": None}}

    with pytest.raises(InputError, match=r"lacks 1 of the 38 tasks \(cars\)"):
        summarize([read_result_file(write(tmp_path / "r.jsonl", rows))])


def test_a_partial_average_is_over_what_all_files_have(tmp_path: Path) -> None:
    # given one file without the task on which the other scores 1
    first, second = full(), {**full(), "cars": {"main_metric": 1.0}}
    del first["cars"]
    files = [
        read_result_file(write(tmp_path / f"{name}.jsonl", rows))
        for name, rows in (("a", first), ("b", second))
    ]

    one, other = summarize(files, partial=True)

    assert (one.num_tasks, one.average) == (other.num_tasks, other.average) == (37, 0.5)


def test_the_own_metric_of_a_task_stands_in_where_a_row_has_no_main_metric(tmp_path: Path) -> None:
    rows = full()
    rows["vtab/pets"] = {"acc1": 0.1, "mean_per_class_recall": 0.9}

    assert read_result_file(write(tmp_path / "r.jsonl", rows)).scores["vtab/pets"] == 0.9


@pytest.mark.parametrize(
    ("key", "metrics", "message"),
    [
        ("vtab/pets", {"acc1": 0.5, "mean_per_class_recall": 0.9}, "mean_per_class_recall is 0.9"),
        ("cars", {"acc1": 0.75}, "acc1 is 0.75"),
        (
            "retrieval/flickr_1k_test_image_text_retrieval",
            {"image_retrieval_recall@1": 0.2, "text_retrieval_recall@1": 0.4},
            "its parts give 0.3",
        ),
        (
            "fairness/geode",
            {
                **{f"count_region:{r}": 10.0 for r in range(6)},
                **{f"acc_region:{r}": 0.9 - r / 10 for r in range(6)},
            },
            "its parts give 0.4",
        ),
    ],
)
def test_a_score_that_its_row_does_not_give_is_named(
    key: str, metrics: dict[str, float], message: str, tmp_path: Path
) -> None:
    rows = {**full(), key: {**metrics, "main_metric": 0.5}}
    path = write(tmp_path / "r.jsonl", rows)

    (line,) = read_result_file(path).mismatches

    assert line.startswith(f"{path}: {key}: main_metric is 0.5, but {message}")


def test_the_worst_region_is_over_those_with_images_and_fmows_rest_competes() -> None:
    # given MobileCLIP-S1's published FMoW: region 5 has four images, none right, and the score is 0
    fmow = find_task("wilds/fmow")
    assert fmow is not None
    metrics: dict[str, float | None] = {f"acc_region:{r}": 0.2 for r in range(6)}
    metrics |= {f"count_region:{r}": 100.0 for r in range(6)}
    assert recomputed_score(fmow, {**metrics, "acc_region:5": 0.0, "count_region:5": 4.0}) == 0.0
    # a region without images does not compete; NaN of the files is None here
    assert recomputed_score(fmow, {**metrics, "acc_region:2": 0.0, "count_region:2": 0.0}) == 0.2
    assert recomputed_score(fmow, {**metrics, "acc_region:2": None, "count_region:2": 0.0}) == 0.2
    assert recomputed_score(fmow, {**metrics, "acc_region:2": None}) is None


@pytest.mark.parametrize(
    ("score", "message"), [(58.1, "divide percent by 100"), (-0.5, "no score from 0 to 1")]
)
def test_scores_that_are_none_are_refused(score: float, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_result_file(write(tmp_path / "r.jsonl", {**full(), "cars": {"main_metric": score}}))


def test_a_task_under_two_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds cars twice, under two names"):
        read_result_file(write(tmp_path / "r.jsonl", {**full(), "wds/cars": {"main_metric": 0.5}}))


def test_a_file_of_other_datasets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has none of the 38 tasks"):
        read_result_file(write(tmp_path / "r.jsonl", {"my/data": {"main_metric": 0.5}}))


def test_the_command_compares_files_in_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("mobileclip_s0", "mobileclip2_s0"):
        write(tmp_path / f"{model}.jsonl", PUBLISHED[model])

    assert command(["eval", "summarize", str(tmp_path)]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["percent", "mobileclip2_s0", "mobileclip_s0"]
    assert printed[1].split() == ["average", "59.673", "58.117"]
    assert printed[2].split() == ["ImageNet", "71.534", "67.786"]


def test_the_command_gives_json_and_fails_a_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "r.jsonl", {**full(), "cars": {"main_metric": 0.5, "acc1": 0.75}})

    assert command(["eval", "summarize", str(path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["files"]
    assert command(["eval", "summarize", str(path), "--check"]) == 1

    assert found["average"] == 0.5
    assert len(found["mismatches"]) == 1
    assert "acc1 is 0.75" in capsys.readouterr().out


def test_the_command_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "r.jsonl", {"cars": {"main_metric": 0.5}})

    assert command(["eval", "summarize", str(path)]) == 2

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "lacks 37 of the 38 tasks" in error
