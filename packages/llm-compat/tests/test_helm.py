"""Runs of HELM, written as its runner and its page builder write them, read with every pitfall they have."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llm_compat.data.formats import helm
from llm_compat.data.runs import read_details, read_run
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError

HELM = ReadSettings(format="helm")
TYPOS = {"name": "typos", "robustness": True, "fairness": False, "computed_on": "perturbed", "prob": 0.1}
RUN = "mmlu:subject=law,method=multiple_choice_joint,model=toy_one"


def stat(name: str, value: float | None, **context: Any) -> dict[str, Any]:
    if value is None:
        return {"name": {"name": name, **context}, "count": 0, "sum": 0, "sum_squared": 0}
    rest = {"min": value, "max": value, "mean": value, "variance": 0, "stddev": 0.0}
    return {"name": {"name": name, **context}, "count": 1, "sum": value, "sum_squared": value**2, **rest}


def instance(number: int, **more: Any) -> dict[str, Any]:
    references = [
        {"output": {"text": f"{word} {number}"}, "tags": ["correct"] * (word == "right")}
        for word in ("right", "wrong", "odd")
    ]
    return {
        "input": {"text": f"Question {number}?"},
        "references": references,
        "split": "test",
        "id": f"id{number}",
        **more,
    }


class Run:
    """A run folder: one row of statistics, one prediction and one instance an item."""

    def __init__(self, folder: Path, name: str = RUN) -> None:
        self.folder, self.name = folder, name
        self.rows: list[dict[str, Any]] = []
        self.predictions: list[dict[str, Any]] = []
        self.instances: list[dict[str, Any]] = []

    def add(self, number: int, answer: str, score: float | None = None, **more: Any) -> "Run":
        right = float(answer == "right") if score is None else score
        trial, perturbation = more.pop("trial", 0), more.pop("perturbation", None)
        key = {"instance_id": f"id{number}", "train_trial_index": trial}
        if perturbation:
            key["perturbation"] = perturbation
        # two metric classes, so two rows
        self.rows.append({**key, "stats": [stat("exact_match", right), stat("num_references", 3)]})
        self.rows.append({**key, "stats": [stat("inference_runtime", 0.1 * number)]})
        mapped = {} if answer == "?" else {"mapped_output": f"{answer} {number}"}
        self.predictions.append({**key, "predicted_text": " B", **mapped, "stats": {"exact_match": right}})
        document = instance(number, **more) | ({"perturbation": perturbation} if perturbation else {})
        if document not in self.instances:
            self.instances.append(document)
        return self

    def write(self, *left_out: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {
            "run_spec": {"name": self.name, "scenario_spec": {"class_name": "x"}},
            "per_instance_stats": self.rows,
            "display_predictions": self.predictions,
            "instances": self.instances,
        }
        for name, value in files.items():
            if name not in left_out:
                (self.folder / f"{name}.json").write_text(json.dumps(value, indent=2))
        return self.folder


def five(folder: Path, answers: tuple[str, ...] = ("right", "wrong", "right", "odd", "?")) -> Run:
    run = Run(folder)
    for number, answer in enumerate(answers):
        run.add(number, answer)
    return run


def test_scores_are_gathered_from_the_rows_of_all_metric_classes_and_bookkeeping_is_left_out(
    tmp_path: Path,
) -> None:
    (outcomes,) = read_run(five(tmp_path / "run").write(), HELM)

    assert outcomes.name == "mmlu:subject=law,method=multiple_choice_joint"
    assert list(outcomes.scores) == ["exact_match"]
    assert outcomes.scores["exact_match"].tolist() == [1, 0, 1, 0, 0]
    assert outcomes.expected_items == 5
    assert outcomes.higher_is_better == {"exact_match": True}


def test_bookkeeping_is_read_where_it_is_named_and_less_time_is_better(tmp_path: Path) -> None:
    settings = ReadSettings(format="helm", metrics=("inference_runtime",))

    (outcomes,) = read_run(five(tmp_path / "run").write(), settings)

    assert outcomes.scores["inference_runtime"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert outcomes.higher_is_better["inference_runtime"] is False


def test_two_runs_have_the_same_keys_for_the_same_texts_whatever_their_order_and_ids(tmp_path: Path) -> None:
    one, two = five(tmp_path / "one"), five(tmp_path / "two")
    names = {f"id{n}": f"id{n + 100}" for n in range(5)}
    for row in (*two.rows, *two.predictions):
        row["instance_id"] = names[row["instance_id"]]
    for document in two.instances:
        document["id"] = names[document["id"]]
    random.Random(0).shuffle(two.rows)
    two.name = RUN.replace("toy_one", "toy_two")

    (first,), (second,) = read_run(one.write(), HELM), read_run(two.write(), HELM)

    assert first.task == second.task
    assert sorted(first.keys.tolist()) == sorted(second.keys.tolist())
    order = [second.keys.tolist().index(key) for key in first.keys.tolist()]
    assert second.scores["exact_match"][order].tolist() == first.scores["exact_match"].tolist()
    assert second.answers["exact_match"][order].tolist() == first.answers["exact_match"].tolist()


def test_an_answer_that_maps_to_no_choice_is_no_answer_and_wrong_choices_differ(tmp_path: Path) -> None:
    run = five(tmp_path / "run", ("right", "wrong", "wrong", "odd", "?"))

    (outcomes,) = read_run(run.write(), HELM)

    codes = outcomes.answers["exact_match"].tolist()
    assert codes[4] == 0
    assert 0 not in codes[:4]
    assert len(set(codes)) == 5  # "wrong 1" and "wrong 2" are texts of different questions


def test_quasi_exact_matches_compare_answers_without_case_articles_and_punctuation(tmp_path: Path) -> None:
    runs = []
    for name, text in (("one", "The answer, Paris."), ("two", "answer paris")):
        run = Run(tmp_path / name)
        run.add(0, "?")
        run.rows[0]["stats"] = [stat("quasi_exact_match", 0), stat("exact_match", 0), stat("f1_score", 0)]
        run.predictions[0]["predicted_text"] = text
        runs.append(read_run(run.write(), HELM)[0])

    first, second = runs
    assert first.answers["quasi_exact_match"].tolist() == second.answers["quasi_exact_match"].tolist()
    assert first.answers["exact_match"].tolist() != second.answers["exact_match"].tolist()
    assert "f1_score" not in first.answers  # it looks inside the text


def test_each_perturbation_is_a_table_of_its_own(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    for number in range(3):
        run.add(number, "wrong", perturbation=TYPOS, input={"text": f"Qestion {number}?"})

    plain, perturbed = read_run(run.write(), HELM)

    assert (plain.filter, len(plain), plain.expected_items) == ("none", 5, 5)
    assert (perturbed.filter, len(perturbed), perturbed.expected_items) == ("typos", 3, 3)
    assert perturbed.scores["exact_match"].tolist() == [0, 0, 0]


def test_two_strengths_of_one_perturbation_are_told_apart(tmp_path: Path) -> None:
    run = Run(tmp_path / "run").add(0, "right", perturbation=TYPOS)
    run.add(0, "wrong", perturbation=TYPOS | {"prob": 0.5})

    assert [one.filter for one in read_run(run.write(), HELM)] == ["typos (prob=0.1)", "typos (prob=0.5)"]


def test_trials_are_averaged_and_no_item_is_counted_twice(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    for trial, answers in enumerate((("right", "wrong"), ("wrong", "wrong"), ("right", "right"))):
        for number, answer in enumerate(answers):
            run.add(number, answer, trial=trial)

    (outcomes,) = read_run(run.write(), HELM)

    assert outcomes.scores["exact_match"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert not outcomes.answers
    assert outcomes.notes == ("scores are means over 3 trials of each document",)


def test_a_statistic_without_a_count_is_no_score(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    run.rows[2]["stats"][0] = stat("exact_match", None)

    (outcomes,) = read_run(run.write(), HELM)

    assert np.isnan(outcomes.scores["exact_match"]).tolist() == [False, True, False, False, False]


def test_chosen_references_are_answers_and_their_requests_are_no_prompts(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    for number, prediction in enumerate(run.predictions):
        prediction.pop("mapped_output", None)
        prediction["reference_index"] = (0, 1, 0, 2, 2)[number]
    folder = run.write()
    keyed = [{k: p[k] for k in ("instance_id", "train_trial_index")} for p in run.predictions]
    (folder / "display_requests.json").write_text(
        json.dumps([{**one, "request": {"prompt": f"{i} and its choice"}} for i, one in enumerate(keyed)])
    )

    (outcomes,) = read_run(folder, HELM)

    assert read_details(outcomes, [0, 1])[1].answer == "wrong 1"
    assert outcomes.prompts is None
    assert len(set(outcomes.answers["exact_match"].tolist())) == 5


def test_prompts_come_from_the_requests_of_written_answers(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    folder = run.write()
    keyed = [{k: p[k] for k in ("instance_id", "train_trial_index")} for p in run.predictions]
    (folder / "display_requests.json").write_text(
        json.dumps([{**one, "request": {"prompt": "the same for all"}} for one in keyed])
    )

    (outcomes,) = read_run(folder, HELM)

    assert outcomes.prompts is not None
    assert len(set(outcomes.prompts.tolist())) == 1


def state(run: Run, **more: Any) -> dict[str, Any]:
    mapping = {"A": "right", "B": "wrong"}
    return {
        "adapter_spec": {"method": "multiple_choice_joint", **more},
        "request_states": [
            {
                "instance": document,
                "train_trial_index": 0,
                "output_mapping": {key: f"{word} {number}" for key, word in mapping.items()},
                "request": {"prompt": f"Question {number}? A, B"},
                "result": {"success": True, "completions": [{"text": (" A\n", " B", "A", "C", "D")[number]}]},
                "num_train_instances": 5,
            }
            for number, document in enumerate(run.instances)
        ],
    }


def test_without_the_files_of_the_pages_the_scenario_state_has_documents_and_answers(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    (whole,) = read_run(run.write(), HELM)
    folder = Run.write(five(tmp_path / "bare"), "instances", "display_predictions")
    (folder / "scenario_state.json").write_text(json.dumps(state(run)))

    (bare,) = read_run(folder, HELM)

    assert bare.keys.tolist() == whole.keys.tolist()
    assert bare.targets is not None
    assert whole.targets is not None
    assert bare.targets.tolist() == whole.targets.tolist()
    codes = bare.answers["exact_match"].tolist()
    assert codes[:3] == whole.answers["exact_match"].tolist()[:3]
    assert codes[3:] == [0, 0]  # C and D are no choices here


def test_in_the_scenario_state_only_the_chosen_reference_and_no_calibration_counts(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    for row in run.rows[::2]:
        row["stats"].append(stat("predicted_index", 2))
    whole = state(run)
    requests = []
    for one in whole["request_states"]:
        one.pop("output_mapping")
        for index in range(3):
            for mode in ("original", "calibration"):
                requests.append({**one, "reference_index": index, "request_mode": mode})
    example = {**requests[0], "instance": instance(99, split="train")}
    folder = run.write("instances", "display_predictions")
    (folder / "scenario_state.json").write_text(json.dumps({**whole, "request_states": [*requests, example]}))

    (outcomes,) = read_run(folder, HELM)

    assert (len(outcomes), outcomes.expected_items) == (5, 5)
    assert [detail.answer for detail in read_details(outcomes, range(5))] == [f"odd {n}" for n in range(5)]
    assert outcomes.prompts is None


def test_of_calibration_requests_alone_no_answer_is_made(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    whole = state(run)
    for one in whole["request_states"]:
        one["request_mode"] = "calibration"
    folder = run.write("instances", "display_predictions")
    (folder / "scenario_state.json").write_text(json.dumps(whole))

    assert not read_run(folder, HELM)[0].answers


def test_of_two_predictions_for_one_instance_neither_is_the_answer(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    run.predictions.append({**run.predictions[0], "mapped_output": "odd 0"})

    assert not read_run(run.write(), HELM)[0].answers


def test_answers_behind_a_pattern_are_not_guessed(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    folder = run.write("display_predictions", "instances")
    (folder / "scenario_state.json").write_text(json.dumps(state(run, output_mapping_pattern="is ([A-D])")))

    (outcomes,) = read_run(folder, HELM)

    assert not outcomes.answers
    assert "no display_predictions.json: predicted answers are not known" in outcomes.notes


def test_answers_of_several_completions_are_given_where_they_explain_every_exact_match(
    tmp_path: Path,
) -> None:
    run = five(tmp_path / "run")
    run.rows[0]["stats"].append(stat("exact_match@5", 1))

    (outcomes,) = read_run(run.write(), HELM)

    assert "exact_match" in outcomes.answers
    assert outcomes.notes == ()


def test_answers_that_do_not_explain_a_score_are_not_given(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    run.predictions[2]["mapped_output"] = "wrong 2"  # another completion was likelier, and right

    (outcomes,) = read_run(run.write(), HELM)

    assert not outcomes.answers
    assert outcomes.notes == (
        "the answer of instance id2 does not explain its exact_match: predicted answers are not known",
    )


def test_answers_of_several_completions_that_cannot_be_checked_are_not_given(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    run.rows[0]["stats"].append(stat("exact_match@5", 1))

    (outcomes,) = read_run(run.write("instances"), HELM)

    assert not outcomes.answers
    assert "several completions were scored: predicted answers are not known" in outcomes.notes


def test_without_documents_the_ids_are_the_keys_and_that_is_told(tmp_path: Path) -> None:
    (outcomes,) = read_run(five(tmp_path / "run").write("instances"), HELM)

    assert outcomes.notes == ("no instances.json: documents are told apart by their ids alone",)
    assert outcomes.targets is None
    assert len(set(outcomes.keys.tolist())) == 5


def test_equal_documents_stay_apart_and_meet_their_own_twins(tmp_path: Path) -> None:
    def run(name: str, numbers: tuple[int, ...]) -> Any:
        made = Run(tmp_path / name)
        for number in numbers:
            made.add(number, "right" if number == 0 else "wrong", input={"text": "Which is true?"})
            for reference in made.instances[-1]["references"]:
                reference["output"]["text"] = reference["output"]["text"].split()[0]
        return read_run(made.write(), HELM)[0]

    first, second = run("one", (0, 1, 2)), run("two", (2, 1, 0))

    assert len(set(first.keys.tolist())) == 3
    assert second.keys.tolist() == first.keys.tolist()[::-1]


def test_texts_of_older_runs_are_plain_strings(tmp_path: Path) -> None:
    new, old = five(tmp_path / "new"), five(tmp_path / "old")
    for document in old.instances:
        document["input"] = document["input"]["text"]
        for reference in document["references"]:
            reference["output"] = reference["output"]["text"]

    assert read_run(old.write(), HELM)[0].keys.tolist() == read_run(new.write(), HELM)[0].keys.tolist()


def test_a_field_becomes_slices_and_an_unknown_one_is_refused_by_name(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    for number, document in enumerate(run.instances):
        document["extra_data"] = {"topic": {"name": "torts" if number < 2 else "tax"}}
    folder = run.write()

    (outcomes,) = read_run(folder, ReadSettings(format="helm", fields=("topic.name", "split")))

    assert outcomes.slices["topic.name"].names == ("tax", "torts")
    assert outcomes.slices["topic.name"].codes.tolist() == [1, 1, 0, 0, 0]
    assert outcomes.slices["split"].names == ("test",)
    with pytest.raises(InputError, match=r"--by 'topik' matches nothing; did you mean 'topic'\?"):
        read_run(folder, ReadSettings(format="helm", fields=("topik",)))


def test_similarities_take_the_nearest_correct_reference(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    for number, answer in enumerate(("right", "wrong", "right", "odd", "odd")):
        run.add(number, answer, float(answer != "odd"))
    for document in run.instances:
        document["references"][1]["tags"] = ["correct"]

    (outcomes,) = read_run(run.write(), ReadSettings(format="helm", similarity=("exact",)))

    assert outcomes.scores["exact"].tolist() == [100, 100, 100, 0, 0]
    assert outcomes.targets is not None


def test_details_show_question_answer_and_what_was_written(tmp_path: Path) -> None:
    (outcomes,) = read_run(five(tmp_path / "run").write(), HELM)

    third, first = read_details(outcomes, [3, 0])

    assert (third.id, third.question, third.target) == ("id3", "Question 3?", "right 3")
    assert (third.answer, third.raw, third.fields) == ("odd 3", " B", {"split": "test"})
    assert first.id == "id0"


def test_a_folder_of_runs_is_read_whole_and_two_models_in_it_are_refused(tmp_path: Path) -> None:
    five(tmp_path / "suite" / "a").write()
    other = five(tmp_path / "suite" / "b")
    other.name = "boolq:model=toy_one"
    other.write()

    assert helm.recognises(tmp_path / "suite")
    assert [one.task for one in read_run(tmp_path / "suite", HELM)] == [
        "boolq",
        "mmlu:subject=law,method=multiple_choice_joint",
    ]

    other.name = RUN.replace("toy_one", "toy_two")
    other.write()
    with pytest.raises(InputError) as caught:
        read_run(tmp_path / "suite", HELM)
    assert str(caught.value) == f"{tmp_path}/suite: a and b have the same task; give one of them"


def test_runs_are_recognised_by_their_files(tmp_path: Path) -> None:
    folder = five(tmp_path / "run").write()

    assert helm.recognises(folder)
    assert helm.recognises(folder / "per_instance_stats.json")
    assert not helm.recognises(folder / "instances.json")
    assert not helm.recognises(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[{"instance_id": "id0", "train_trial',
            "no JSON: Input data was truncated; mend or replace the file",
        ),
        ("{}", "expected array, got object; mend or replace the file"),
        (
            '[{"instance_id": "id0", "stats": []}]',
            "field $[0]: object missing required field train_trial_index; mend or replace the file",
        ),
        (
            json.dumps(
                [
                    {
                        "instance_id": "i",
                        "train_trial_index": 0,
                        "stats": [{"name": {"name": "f"}, "mean": "1"}],
                    }
                ]
            ),
            "field $[0].stats[0].mean: expected float | null, got str; mend or replace the file",
        ),
        (
            '[{"instance_id": "i", "train_trial_index": 0, "stats": [{"name": {"name": "f"}, "mean": NaN}]}]',
            "no JSON: NaN is no JSON number; mend or replace the file",
        ),
    ],
)
def test_statistics_that_cannot_be_get_one_line(tmp_path: Path, text: str, message: str) -> None:
    folder = five(tmp_path / "run").write()
    (folder / "per_instance_stats.json").write_text(text)

    with pytest.raises(InputError) as caught:
        read_run(folder, HELM)

    assert str(caught.value) == f"{folder}/per_instance_stats.json: {message}"


def test_two_values_of_one_metric_are_refused(tmp_path: Path) -> None:
    run = five(tmp_path / "run")
    run.rows.append({**run.rows[0], "stats": [stat("exact_match", 0.0)]})
    folder = run.write()

    with pytest.raises(InputError) as caught:
        read_run(folder, HELM)

    assert str(caught.value) == (
        f"{folder}/per_instance_stats.json: instance id0 has two values of exact_match, 1 and 0; "
        "run HELM again, or leave the metric out with --metric"
    )


def test_what_helm_does_not_log_cannot_be_rescored(tmp_path: Path) -> None:
    folder = five(tmp_path / "run").write()

    with pytest.raises(
        InputError, match=r"HELM logs no log-probabilities of choices; leave --read\.rescore out"
    ):
        read_run(folder, ReadSettings(format="helm", rescore=("acc",)))
