"""A model measured on task files: toy models with known answers, prompts, answers, and the score file."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dclm_bench.evaluation.answers import final_answer, is_right, normalise
from dclm_bench.evaluation.causal_lm import load_model
from dclm_bench.evaluation.harness import find_tasks
from dclm_bench.evaluation.in_context import TaskResult, ask_task, best_option, longest_answer
from dclm_bench.evaluation.lm_eval import COUNTERPARTS, scores_of_results
from dclm_bench.evaluation.prompts import few_shot_prefixes
from dclm_bench.evaluation.score_file import mismatches, read_score_file
from dclm_bench.evaluation.tasks import Task, tasks
from dclm_bench.tokenization.tokenizers import ByteTokenizer
from toolkit_shared.cli import Command, run
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Scorer
from toolkit_shared.evaluation.task_files import Question, TaskFile
from toolkit_shared.language_model import OpenLM, to_open_lm_state_dict
from torch import Tensor

COMMANDS = {
    "evaluate": Command("", "dclm_bench.commands.evaluate:evaluate"),
    "score": Command("", "dclm_bench.commands.score:score"),
}
BYTES = ByteTokenizer()


def knows(*texts: str, max_length: int = 256, batch_tokens: int = 4096) -> Scorer:
    """A model that goes on as the text does that shares the longest beginning with the end of its input."""
    known = [BYTES.encode(text).tolist() for text in texts]

    def next_token(ids: list[int]) -> int | None:
        best, found = 0, None
        for text in known:
            for length in range(min(len(ids), len(text) - 1), best, -1):
                if ids[-length:] == text[:length]:
                    best, found = length, text[length]
                    break
        return found

    def logits(ids: Tensor) -> Tensor:
        values = torch.zeros(*ids.shape, BYTES.vocab_size)
        for row, tokens in enumerate(ids.tolist()):
            for place in range(len(tokens)):
                if (token := next_token(tokens[: place + 1])) is not None:
                    values[row, place, token] = 10.0
        return values

    return Scorer(model=logits, max_length=max_length, batch_tokens=batch_tokens)


def task(name: str, **changes: Any) -> Task:
    return Task(**{**vars(tasks()[name]), "num_fewshot": 0, **changes})


def ask(model: Scorer, asked: Task, *questions: Question, **settings: Any) -> TaskResult:
    return ask_task(model, BYTES, asked, TaskFile(asked.file, asked.kind, questions), **settings)


def test_a_continuation_is_right_when_every_token_is_the_most_probable() -> None:
    model = knows("The sky is blue", "Grass is green")
    found = ask(
        model,
        task("lambada_openai"),
        Question(("The sky is",), ("blue",)),
        Question(("The sky is",), ("black",)),
        Question(("Grass is",), ("green",)),
    )
    assert found.is_right == (True, False, True)
    assert found.score == pytest.approx(2 / 3)


def test_the_choice_with_the_lowest_mean_loss_is_taken() -> None:
    model = knows("He ate an apple", "He ate a pear")
    question = Question(("He ate",), ("a house", "an apple", "the sea"), 1)
    wrong = Question(("He ate",), ("a house", "an apple", "the sea"), 0)
    assert ask(model, task("copa"), question, wrong).is_right == (True, False)


def test_a_long_choice_does_not_lose_by_its_length_and_a_tie_goes_to_the_first() -> None:
    assert best_option([np.array([1.5]), np.array([1.0, 1.0, 1.0])]) == 1
    assert best_option([np.array([1.0, 2.0]), np.array([1.5])]) == 0


def test_a_schema_takes_the_context_after_which_the_end_is_least_surprising() -> None:
    model = knows("The trophy is too large.")
    contexts = ("It does not fit since the trophy is too", "It does not fit since The trophy is too")
    assert ask(model, task("winograd"), Question(contexts, ("large.",), 1)).is_right == (True,)
    assert ask(model, task("winograd"), Question(contexts, ("large.",), 0)).is_right == (False,)


def test_a_generated_answer_is_what_follows_the_chain_of_thought() -> None:
    model = knows("step by step. 2 and 2 make 4 #### 4\n\nQ: no more", max_length=400)
    question = Question(("What is 2 and 2?",), ("4",), chain_of_thought="2 and 2 make 4")
    found = ask(model, task("gsm8k_cot"), question)
    assert found.outputs == (" 2 and 2 make 4 #### 4\n\n",)
    assert found.is_right == (True,)
    assert ask(
        model, task("gsm8k_cot"), Question(("What?",), ("5",), chain_of_thought="2 and 2 make 4")
    ).is_right == (False,)


def test_without_stop_texts_the_first_line_counts() -> None:
    model = knows("Capital of France? Paris, of course\nLondon")
    found = ask(
        model, task("triviaqa_sm_sub"), Question(("Capital of France?",), ("Paris",)), max_new_tokens=30
    )
    assert found.outputs == (" Paris, of course\n",)
    assert found.is_right == (True,)
    exact = ask(
        model,
        task("triviaqa_sm_sub"),
        Question(("Capital of France?",), ("Paris",)),
        max_new_tokens=30,
        match="exact",
    )
    assert exact.is_right == (False,)


def test_answers_are_normalised_as_in_triviaqa() -> None:
    assert normalise("The  Eiffel-Tower, (a `big_one`)!") == "eiffel tower big one"
    assert normalise("an apple\u2019s") == "apple s"
    assert final_answer("so 3 #### 3 #### 4\n\nQ: x #### 9", ("\n\n", "Q:"), " #### ") == "4"
    assert final_answer("none", ("Q:",), " #### ") == "none"
    assert is_right("Paris is", ["paris"])
    assert not is_right("Paris is", ["paris"], "exact")
    assert not is_right("it is Paris", ["paris"])
    assert not is_right("anything", ["the", "!"])


def test_the_longest_answer_sets_how_much_is_generated() -> None:
    questions = [Question(("q",), ("42", "forty-two"), chain_of_thought="6*7"), Question(("q",), ("1",))]
    assert longest_answer(BYTES, task("gsm8k_cot"), questions) == len("6*7 #### forty-two") + 10


def test_a_prompt_is_solved_examples_then_the_question() -> None:
    questions = [Question((f"q{i}",), ("no", f"a{i}"), 1) for i in range(3)]
    asked = task("arc_easy", num_fewshot=1)
    prefixes = few_shot_prefixes(asked, questions, 3, num_fewshot=1, seed=0)
    for index, prefix in enumerate(prefixes):
        assert re.fullmatch(r"q(\d)\nAnswer: a\1\n", prefix)
        assert f"q{index}" not in prefix
    assert few_shot_prefixes(asked, questions, 2, num_fewshot=1, seed=0) == prefixes[:2]


def test_more_examples_than_there_are_means_all_others() -> None:
    questions = [Question((f"q{i}",), (f"a{i}",)) for i in range(3)]
    (prefix,) = few_shot_prefixes(task("squad"), questions, 1, num_fewshot=10, seed=1)
    assert sorted(prefix.splitlines()) == ["q1 a1", "q2 a2"]


def test_examples_come_from_the_questions_own_group() -> None:
    groups = [group for group, _ in tasks()["jeopardy"].group_sizes]
    questions = [Question((f"{groups[i % 5]} {i}",), ("a",), category=groups[i % 5]) for i in range(20)]
    asked = Task(**vars(tasks()["jeopardy"]))
    for question, prefix in zip(
        questions, few_shot_prefixes(asked, questions, 20, num_fewshot=3, seed=0), strict=True
    ):
        shown = [line for line in prefix.splitlines() if not line.startswith("Answer:")]
        assert len(shown) == 3
        assert all(line.startswith(question.category) for line in shown)


def test_the_score_of_a_task_with_groups_is_the_mean_over_groups() -> None:
    flags, groups = (True, True, True, False, False), ("law", "law", "law", "law", "art")
    found = TaskResult(tasks()["mmlu_fewshot"], flags, groups, 5, 0)
    assert found.score == pytest.approx((0.75 + 0) / 2)
    assert TaskResult(tasks()["copa"], flags, groups, 5, 0).score == pytest.approx(0.6)


def tiny_openlm() -> OpenLM:
    torch.manual_seed(0)
    return OpenLM(vocab_size=260, width=16, num_layers=2, num_heads=2, max_length=64).eval()


def test_a_file_of_another_shape_or_group_is_refused() -> None:
    model = knows("x")
    with pytest.raises(
        InputError, match="copa: its questions are multiple choice, and those of the file schema"
    ):
        ask_task(model, BYTES, task("copa"), TaskFile("copa", "schema", (Question(("a", "b"), ("c",)),)))
    question = Question(("q",), ("a", "b"), category="cooking")
    with pytest.raises(InputError, match="bbq: the group 'cooking' of a question is none of Age,"):
        ask(model, Task(**vars(tasks()["bbq"])), question)


def test_files_are_known_by_their_names_and_one_may_serve_two_tasks(tmp_path: Path) -> None:
    for name in ("hellaswag", "winograd_wsc", "other"):
        (tmp_path / f"{name}.jsonl").write_text("{}")
    found = find_tasks([tmp_path])
    assert [one.name for one, _ in found] == ["hellaswag_zeroshot", "hellaswag", "winograd"]
    assert [one.name for one, _ in find_tasks([tmp_path], ["core"])] == [
        "hellaswag_zeroshot",
        "hellaswag",
        "winograd",
    ]
    assert [one.name for one, _ in find_tasks([tmp_path], ["winograd"])] == ["winograd"]
    with pytest.raises(InputError, match="'other' is the file of no task; known are"):
        find_tasks([tmp_path / "other.jsonl"])
    with pytest.raises(InputError, match="unknown task 'helaswag'; did you mean 'hellaswag'"):
        find_tasks([tmp_path], ["helaswag"])
    with pytest.raises(InputError, match="no file of a task that is asked for"):
        find_tasks([tmp_path], ["copa"])


@pytest.fixture
def task_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()

    def write(name: str, records: Sequence[dict[str, Any]]) -> None:
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))

    write("copa", [{"query": f"x{i}", "choices": ["ab", "cd"], "gold": i % 2} for i in range(8)])
    write("lambada_openai", [{"context": "a", "continuation": "b"}] * 4)
    write("winograd_wsc", [{"context_options": ["a", "b"], "continuation": "c", "gold": 1}] * 2)
    write("triviaqa_sm_sub", [{"context": "q", "answer": "a", "aliases": ["b"]}] * 2)
    return folder


def test_evaluate_writes_a_score_file_that_score_reads(
    task_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_openlm().save_pretrained(tmp_path / "model")
    given = f"evaluate {tmp_path}/model --tasks {task_folder} --tokenizer bytes --device cpu".split()
    for name in ("one.json", "two.json"):
        assert run("dclm-bench", "", COMMANDS, [*given, "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    out = capsys.readouterr().out
    assert re.search(r"^copa: \d+\.\d\d$", out, re.MULTILINE)
    file = read_score_file(tmp_path / "one.json")
    assert set(file.scores) == {"copa", "lambada_openai", "winograd", "triviaqa_sm_sub"}
    assert mismatches(file) == []
    document = json.loads((tmp_path / "one.json").read_text())
    assert document["eval_version"] == "v2"
    assert document["Core_v2"].startswith("N/A due to missing tasks: ['hellaswag_zeroshot', 'jeopardy',")
    assert document["asked"]["copa"] == {
        "num_asked": 8,
        "num_cut": 0,
        "num_in_file": 8,
        "num_right": round(8 * file.scores["copa"]),
    }
    assert run("dclm-bench", "", COMMANDS, ["score", str(tmp_path / "one.json"), "--check"]) == 0


def test_evaluate_says_when_only_a_part_was_asked(
    task_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_openlm().save_pretrained(tmp_path / "model")
    given = f"evaluate {tmp_path}/model --tasks {task_folder} --tokenizer bytes --device cpu".split()
    given += f"--only copa --limit 3 --num-fewshot 6 --max-length 20 --out {tmp_path}/part.json".split()
    assert run("dclm-bench", "", COMMANDS, given) == 0
    out = capsys.readouterr().out
    assert "only the first 3 questions of each task were asked" in out
    assert "copa: 6 prompts did not fit the model and lost their beginning" in out
    assert "asked in part, so errors are larger than shown: copa (3 of 100)" in out
    assert json.loads((tmp_path / "part.json").read_text())["asked"]["copa"]["num_asked"] == 3


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "no tokenizer.json here; give --tokenizer"),
        (
            ["--tokenizer", "bytes", "--max-length", "65"],
            "model has a context of 64; lower it",
        ),
        (
            ["--tokenizer", "bytes", "--precision", "bfloat16"],
            "--precision bfloat16: only on CUDA, not on cpu",
        ),
        (["--tokenizer", "bytes", "--limit", "0"], "--limit: 0 is not positive"),
        (["--tokenizer", "bytes", "--seed", "-1"], "--seed: -1 is negative"),
    ],
)
def test_evaluate_refuses_what_cannot_work(
    extra: list[str], message: str, task_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_openlm().save_pretrained(tmp_path / "model")
    given = ["evaluate", str(tmp_path / "model"), "--tasks", str(task_folder), "--device", "cpu"]
    assert run("dclm-bench", "", COMMANDS, [*given, *extra, "--out", str(tmp_path / "x.json")]) == 2
    assert message in capsys.readouterr().err


def test_a_checkpoint_file_of_open_lm_scores_as_the_model_in_it(tmp_path: Path) -> None:
    model = tiny_openlm()
    torch.save(
        {"epoch": 1, "state_dict": to_open_lm_state_dict(model, prefix="module.")}, tmp_path / "epoch_1.pt"
    )
    model.save_pretrained(tmp_path / "folder")
    losses = [
        load_model(tmp_path / name, tokenizer="bytes", device="cpu", max_length=64)[0]
        .score_all([BYTES.encode("hello world")], [6])[0]
        .losses
        for name in ("epoch_1.pt", "folder")
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


@pytest.mark.slow
def test_a_folder_of_transformers_scores_as_the_model_in_it(tmp_path: Path) -> None:
    import transformers

    torch.manual_seed(0)
    model = transformers.GPTNeoXForCausalLM(
        transformers.GPTNeoXConfig(
            vocab_size=300,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=128,
        )
    ).eval()
    model.save_pretrained(tmp_path)
    scorer, tokenizer = load_model(tmp_path, tokenizer="bytes", device="cpu")
    assert scorer.max_length == 128
    row = tokenizer.encode("hello world").astype(np.int64)
    ids = torch.from_numpy(row[None])
    with torch.inference_mode():
        logits = torch.log_softmax(model(ids[:, :-1]).logits[0].double(), -1)
    expected = -logits[torch.arange(ids.shape[1] - 1), ids[0, 1:]][-5:]
    np.testing.assert_allclose(scorer.score_all([row], [5])[0].losses, expected.numpy(), rtol=1e-4)


def test_a_model_with_fewer_ids_than_its_tokenizer_is_refused(tmp_path: Path) -> None:
    OpenLM(vocab_size=200, width=16, num_layers=1, num_heads=2, max_length=16).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="knows 200 token ids, and the tokenizer has 257"):
        load_model(tmp_path, tokenizer="bytes", device="cpu")


def lm_eval_document(shots: int) -> dict[str, Any]:
    subjects = [group for group, _ in tasks()["mmlu_fewshot"].group_sizes]
    results: dict[str, Any] = {
        f"mmlu_{name}": {"acc,none": 0.25 if i else 0.82} for i, name in enumerate(subjects)
    }
    results |= {
        "mmlu": {"acc,none": 0.9},
        "hellaswag": {"alias": "hellaswag", "acc,none": 0.4, "acc_norm,none": 0.55},
        "piqa": {"acc,none": 0.7, "acc_norm,none": 0.71},
        "boolq": {"f1,none": 0.5},
        "something_else": {"acc,none": 1.0},
    }
    return {
        "results": results,
        "n-shot": {"hellaswag": shots, "mmlu_anatomy": shots, "piqa": shots, "boolq": shots},
    }


def test_results_of_lm_eval_are_taken_under_our_names() -> None:
    scores, notes = scores_of_results(lm_eval_document(10))
    assert scores == {"mmlu_fewshot": pytest.approx(0.26), "hellaswag": 0.55, "piqa": 0.71}
    assert notes == [
        "mmlu_fewshot: with 10 examples, where the leaderboard has 5",
        "boolq: boolq has none of acc,none; missing",
    ]
    scores, notes = scores_of_results(lm_eval_document(0))
    assert set(scores) == {"mmlu_zeroshot", "hellaswag_zeroshot", "piqa"}
    assert notes[0] == "piqa: with 0 examples, where the leaderboard has 10"


def test_every_counterpart_is_one_of_the_tasks() -> None:
    assert set(COUNTERPARTS) <= set(tasks())
    with pytest.raises(InputError, match="the document has no 'results'"):
        scores_of_results({})


def test_evaluate_takes_the_results_json_of_lm_eval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(lm_eval_document(10)))
    given = [
        "evaluate",
        str(tmp_path / "results.json"),
        "--backend",
        "lm-eval",
        "--out",
        str(tmp_path / "eval.json"),
    ]
    assert run("dclm-bench", "", COMMANDS, given) == 0
    assert "lm-eval asks in its own words" in capsys.readouterr().out
    assert read_score_file(tmp_path / "eval.json").scores["hellaswag"] == 0.55
