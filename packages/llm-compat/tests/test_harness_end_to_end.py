"""A real run of lm-evaluation-harness on two tiny models, and what is read of its logs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llm_compat.cli import main
from llm_compat.data.outcomes import Outcomes
from llm_compat.data.runs import read_details, read_run

ITEMS = 24
# The harness in a process of its own, for it sets up logging and more; twice, for it is slow to import.
PROGRAM = """
import sys
from lm_eval.__main__ import cli_evaluate
options = sys.argv[3:]
for model, out in zip(sys.argv[1].split(","), sys.argv[2].split(","), strict=True):
    sys.argv = ["lm_eval", "run", "--model_args", f"pretrained={model},dtype=float32", "--output_path", out]
    sys.argv += options
    cli_evaluate()
"""
CHOICE_TASK = """
task: toy_piqa
dataset_path: json
dataset_kwargs:
  data_files: {validation: %s}
output_type: multiple_choice
validation_split: validation
doc_to_text: "Question: {{goal}}\\nAnswer:"
doc_to_target: label
doc_to_choice: "{{[sol1, sol2]}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
# Models that know nothing write a digit now and then, not `#### 18`; the filters are made for that.
TEXT_TASK = """
task: toy_gsm8k
dataset_path: json
dataset_kwargs:
  data_files: {test: %s}
output_type: generate_until
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
    regexes_to_ignore: [",", "(?s).*#### "]
generation_kwargs: {until: ["Question:"], do_sample: false, max_gen_toks: 3}
filter_list:
  - name: strict-match
    filter: [{function: regex, regex_pattern: "^([0-9])"}, {function: take_first}]
  - name: flexible-extract
    filter: [{function: regex, group_select: -1, regex_pattern: "([0-9])"}, {function: take_first}]
"""


def save_model(folder: Path, seed: int) -> None:
    """A random Llama over bytes, which likes to write digits, with its tokenizer of 259 entries."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    entries = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({entry: number for number, entry in enumerate(entries)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(entries),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=512,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3)
        for digit in "0123456789":
            model.lm_head.weight[entries.index(digit)] *= 3
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_tasks(folder: Path) -> None:
    """The data and the definitions of both tasks; words and numbers by a fixed rule."""
    folder.mkdir()
    words = ["river", "stone", "lamp", "a long wooden ladder", "tea", "the neighbour's red bicycle"]
    choices = [
        {
            "goal": f"{words[i % 6]} number {i}",
            "sol1": f"take {words[(i + 1) % 6]}",
            "sol2": f"leave {words[(i + 3) % 6]} alone",
            "label": i * 7 % 3 % 2,
        }
        for i in range(ITEMS)
    ]
    sums = [
        {"question": f"{words[i % 6]} costs {i}. And two?", "answer": f"Twice.\n#### {i % 10}"}
        for i in range(ITEMS)
    ]
    for name, rows, definition in (("toy_piqa", choices, CHOICE_TASK), ("toy_gsm8k", sums, TEXT_TASK)):
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / f"{name}.yaml").write_text(definition % json.dumps(str(data)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The output folders of the harness for an old and a new model."""
    folder = tmp_path_factory.mktemp("harness")
    names = ("old", "new")
    for seed, name in enumerate(names):
        save_model(folder / "models" / name, seed)
    write_tasks(folder / "tasks")
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    options = "--model hf --tasks toy_piqa,toy_gsm8k --log_samples --device cpu --batch_size 8 --include_path"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            ",".join(str(folder / "models" / name) for name in names),
            ",".join(str(folder / "runs" / name) for name in names),
            *options.split(),
            str(folder / "tasks"),
        ],
        env={**os.environ, **offline, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: folder / "runs" / name for name in names}


def logged_results(run: Path) -> dict[str, dict[str, float]]:
    """What the harness itself says: by task, its metrics with their filters."""
    (path,) = run.rglob("results_*.json")
    results: dict[str, dict[str, float]] = json.loads(path.read_text())["results"]
    return results


def by_name(run: Path) -> dict[str, Outcomes]:
    return {one.name: one for one in read_run(run)}


@pytest.mark.slow
def test_every_filter_is_a_table_of_all_documents_with_the_accuracy_that_the_harness_reports(
    runs: dict[str, Path],
) -> None:
    for run in runs.values():
        logged, read = logged_results(run), by_name(run)

        assert sorted(read) == [
            "toy_gsm8k (flexible-extract)",
            "toy_gsm8k (strict-match)",
            "toy_piqa",
        ]
        for one in read.values():
            assert (len(one), one.expected_items) == (ITEMS, ITEMS)
            for metric, scores in one.scores.items():
                assert scores.mean() == pytest.approx(logged[one.task][f"{metric},{one.filter}"], abs=1e-12)


@pytest.mark.slow
def test_rebuilt_choices_explain_every_logged_accuracy(runs: dict[str, Path]) -> None:
    # answers are given only where the self-check of every line holds, and something was there to check
    right: list[Any] = []
    for run in runs.values():
        one = by_name(run)["toy_piqa"]
        assert sorted(one.answers) == ["acc", "acc_norm"]
        assert one.notes == ()
        right += [one.scores["acc"], one.scores["acc_norm"]]

    assert 0 < np.concatenate(right).mean() < 1


@pytest.mark.slow
def test_extracted_answers_are_those_of_the_filters(runs: dict[str, Path]) -> None:
    right = 0.0
    for run in runs.values():
        for name, one in by_name(run).items():
            if one.task != "toy_gsm8k":
                continue
            for detail, score, code in zip(
                read_details(one, range(len(one))),
                one.scores["exact_match"],
                one.answers["exact_match"],
                strict=True,
            ):
                assert (detail.answer is None) == (code == 0)
                assert score == (
                    detail.answer is not None and detail.target.endswith(f"#### {detail.answer}")
                )
            right += one.scores["exact_match"].sum()
            assert "toy_gsm8k" in name

    assert right > 0  # else the check above says nothing


@pytest.mark.slow
def test_diff_reads_both_runs_and_its_flips_are_the_difference_in_accuracy(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["llm-compat", "diff", str(runs["old"]), str(runs["new"]), "--json"]
    monkeypatch.setattr(sys, "argv", argv)

    assert main() in (0, 1)

    tasks = json.loads(capsys.readouterr().out)["tasks"]
    assert len(tasks) >= 3
    for task in tasks:
        assert task["n"] == ITEMS
        assert task["nfr"] - task["pfr"] == pytest.approx(task["accuracy_old"] - task["accuracy_new"])
    assert any(task["nfr"] > 0 for task in tasks)
