"""The eval command: every kind of file in one report, and one line for each wrong input."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from seqdecomp.build import build_store
from seqdecomp.cli import ABOUT, COMMANDS
from seqdecomp.settings import DecompositionSettings, ReadSettings
from toolkit_shared.cli import run
from toolkit_shared.language_model import OpenLM, to_open_lm_state_dict

PIQA = [{"query": "Question: How to sit?\n", "choices": ["On a chair.", "On a nail."], "gold": 0}] * 3
ORACLE = [
    {
        "question": f"what is number {n}",
        "answers": [f"n{n}"],
        "ctxs": [{"title": str(n), "text": f"Number {n} is n{n}.", "isgold": True, "hasanswer": True}],
    }
    for n in range(4)
]
KEY_VALUES = [{"ordered_kv_records": [["a", "1"], ["b", "2"], ["c", "3"]], "key": "b", "value": "2"}]
LECTURE = {
    "input": "a lecture",
    "instructions": ["what is it\nA. a talk\nB. a song"],
    "outputs": ["A"],
    "source": "toefl_tpo",
}


def seqdecomp(*arguments: object) -> int:
    return run("seqdecomp", ABOUT, COMMANDS, [str(argument) for argument in arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    folder = tmp_path / "model"
    OpenLM(vocab_size=257, width=16, num_layers=1, num_heads=2, max_length=256).save_pretrained(folder)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number, size in enumerate((40, 300, 90)):
        (texts / f"{number}.txt").write_text("abcdefghij" * (size // 10))
    out = tmp_path / "store"
    settings = DecompositionSettings(min_length=8, max_length=64)
    build_store([str(texts)], out, tokenizer="bytes", settings=settings, read=ReadSettings())
    return out


def test_every_kind_of_file_comes_into_one_report(model, store, write_records, tmp_path, capsys):
    write_records("data/piqa.jsonl", PIQA)
    write_records("data/oracle.jsonl.gz", ORACLE)
    write_records("data/kv.jsonl", KEY_VALUES)
    write_records("data/tpo.jsonl", [LECTURE])
    write_records("data/records.jsonl", [{"text": "some text"}, {"text": "more of it"}])
    (tmp_path / "data/notes.txt").write_text("a note")
    out = tmp_path / "report.json"
    arguments = ("eval", model, "--data", tmp_path / "data", "--store", store, "--bands", "0:64")
    more = ("--protocol.mdqa-documents", 3, "--protocol.max-new-tokens", 2, "--out", out, "--json")
    assert seqdecomp(*arguments, *more) == 0
    report = json.loads(capsys.readouterr().out)
    assert json.loads(out.read_text()) == report
    assert set(report["perplexity"]) == {
        str(store),
        str(tmp_path / "data/records.jsonl"),
        str(tmp_path / "data/notes.txt"),
    }
    # 40, 300 and 90 bytes and EOS each: 40 + 256 (of 300) + 90 predictions
    whole = report["perplexity"][str(store)]
    assert (whole["tokens"], whole["cut_tokens"], whole["documents"]) == (386, 44, 3)
    assert [(band["start"], band["stop"], band["tokens"]) for band in whole["bands"]] == [
        (0, 64, 168),
        (64, 256, 218),
    ]
    assert report["tasks"]["piqa"]["questions"] == 3
    assert report["regular"]["present"] == ["piqa"]
    assert report["regular"]["average"] is None
    assert report["mdqa"]["3 random-distractor"]["positions"].keys() == {"0", "1", "2"}
    assert report["closed_ended"]["toefl"]["is_whole_set"] is False
    assert report["key_value"][str(tmp_path / "data/kv.jsonl")]["num_pairs"] == 3
    assert report["tokenizer"] == "bytes"


def test_the_text_names_what_is_missing_and_labels_the_partial_average(model, write_records, capsys):
    path = write_records("piqa.jsonl", PIQA)
    assert seqdecomp("eval", model, "--data", path, "--tokenizer", "bytes", "--limit", 2) == 0
    text = capsys.readouterr().out
    assert text.endswith("Only the first 2 questions or documents of each file (--limit).\n")
    assert "Partial average of 1 of 14 tasks: " in text
    assert "Missing tasks: copa, openbookqa, lambada, hellaswag, winograd" in text
    assert "Regular average of 14" not in text


def test_published_files_of_several_positions_are_one_row(model, write_records, capsys):
    for place in (0, 1):
        passages = [{"title": "t", "text": "x", "isgold": n == place} for n in range(2)]
        write_records(f"qa/gold_at_{place}.jsonl.gz", [{**ORACLE[0], "ctxs": passages}])
    path = write_records("qa/gold_at_0.jsonl.gz", [{**ORACLE[0], "ctxs": passages[::-1]}]).parent
    options = ("--tokenizer", "bytes", "--protocol.max-new-tokens", 2, "--json")
    assert seqdecomp("eval", model, "--data", path, *options) == 0
    report = json.loads(capsys.readouterr().out)["mdqa"]
    assert report.keys() == {"2 retrieved-distractor"}
    assert report["2 retrieved-distractor"]["positions"].keys() == {"0", "1"}


def test_a_store_lends_its_tokenizer_to_the_tasks(model, store, write_records, capsys):
    path = write_records("piqa.jsonl", PIQA)
    assert seqdecomp("eval", model, "--data", path, "--store", store, "--tasks", "piqa", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tokenizer"] == "bytes"
    assert "perplexity" not in report


def test_only_the_named_tasks_are_run(model, write_records, capsys):
    paths = [write_records("piqa.jsonl", PIQA), write_records("copa.jsonl", PIQA)]
    arguments = (
        "eval",
        model,
        "--data",
        *paths,
        "--tasks",
        "copa",
        "--tokenizer",
        "bytes",
        "--limit",
        1,
        "--json",
    )
    assert seqdecomp(*arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tasks"].keys() == {"copa"}
    assert report["tasks"]["copa"]["questions"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to evaluate: give files with --data or a store with --store"),
        (
            ("--data", "piqa.jsonl"),
            "model: no tokenizer.json here; give --tokenizer bytes, a tokenizer.json or a hub name",
        ),
        (("--data", "piqa.jsonl", "--tasks", "pika"), "--tasks: unknown task 'pika'; did you mean 'piqa'?"),
        (
            ("--data", "piqa.jsonl", "--tasks", "openbookqa"),
            "--tasks openbookqa: no file of this task among --data; give its file (openbook_qa.jsonl, "
            "openbookqa.jsonl) with --data",
        ),
        (("--data", "odd.jsonl"), "odd.jsonl: first record has the fields a, b; expected text, "),
        (("--data", "empty.jsonl"), "empty.jsonl: holds no record; give a file with one object a line"),
        (("--data", "piqa.jsonl", "--limit", "0"), "--limit 0: is not positive; give 1 or more"),
        (("--data", "piqa.jsonl", "--bands", "1:2"), "--bands 1:2: the first border is not 0; "),
        (("--data", "piqa.jsonl", "--bands", "a"), "--bands 'a': a border is not a whole number; "),
        (
            ("--data", "piqa.jsonl", "--device", "abacus"),
            "--device 'abacus': no such device; use auto, cpu, ",
        ),
        (
            ("--data", "piqa.jsonl", "--device", "cpu", "--precision", "bfloat16"),
            "--precision bfloat16: only on CUDA, not on cpu; use float32",
        ),
        (
            ("--data", "piqa.jsonl", "--max-length", "999"),
            "--max-length 999: the model model has a context of 256; lower it",
        ),
        (("--store", "piqa"), "piqa: no store here (manifest.json is missing)"),
        (
            ("--data", "kv.jsonl", "--tokenizer", "bytes", "--protocol.key-value-pairs", "9"),
            "num_pairs: 9 pairs asked for; the questions have 3",
        ),
        (
            ("--data", "oracle.jsonl", "--tokenizer", "bytes", "--protocol.mdqa-prompt", "bad.prompt"),
            "bad.prompt: lacks {question} or {documents}; write both into the prompt file",
        ),
        (
            ("--data", "oracle.jsonl", "--tokenizer", "bytes"),
            "mdqa: only 3 distractors for question 1 where 9 are needed; ",
        ),
        (("--data", "broken.jsonl", "--tokenizer", "bytes"), "broken.jsonl, line 1: no JSON: "),
        (
            ("--data", "texts.jsonl", "--tokenizer", "bytes"),
            "texts.jsonl, line 2: field 'text' is missing or no text; mend or remove the record",
        ),
        (("--data", "latin.txt", "--tokenizer", "bytes"), "latin.txt: not UTF-8 at byte 3; convert the file"),
        (("--data", "empty.txt", "--tokenizer", "bytes"), "empty.txt: is empty; give a file that holds text"),
        (
            ("--data", "oracle.jsonl", "--tokenizer", "bytes", "--protocol.mdqa-prompt", "none.prompt"),
            "none.prompt: cannot be read (No such file or directory); give a text file with the prompt",
        ),
        (("--data", "piqa.jsonl", "--out", "model"), "model: is a folder; name a file in it"),
        (
            ("--data", "piqa.jsonl", "piqa.jsonl.gz", "--tokenizer", "bytes"),
            "piqa.jsonl.gz: task 'piqa' is also ",
        ),
    ],
)
def test_each_wrong_input_is_one_line_and_exit_code_2(
    model, write_records, tmp_path, monkeypatch, capsys, arguments, message
):
    write_records("piqa.jsonl", PIQA)
    write_records("piqa.jsonl.gz", PIQA)
    write_records("odd.jsonl", [{"a": 1, "b": 2}])
    write_records("empty.jsonl", [])
    write_records("texts.jsonl", [{"text": "abc"}, {"body": "abc"}])
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty.txt").write_text("")
    write_records("kv.jsonl", KEY_VALUES)
    write_records("oracle.jsonl", ORACLE)
    (tmp_path / "broken.jsonl").write_text('{"query": "a"\n')
    (tmp_path / "bad.prompt").write_text("{documents}")
    monkeypatch.chdir(tmp_path)
    assert seqdecomp("eval", "model", *arguments) == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr.startswith(f"seqdecomp eval: error: {message}")
    assert stderr.count("\n") == 1


def test_a_folder_without_a_model_and_a_vocabulary_too_small_are_one_line(
    model, write_records, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_records("piqa.jsonl", PIQA)
    assert seqdecomp("eval", "nowhere", "--data", "piqa.jsonl") == 2
    assert capsys.readouterr().err == (
        "seqdecomp eval: error: nowhere: no model here (config.json is missing); "
        "give a folder with it and the weights\n"
    )
    shutil.rmtree(model)
    OpenLM(vocab_size=200, width=16, num_layers=1, num_heads=2, max_length=256).save_pretrained(model)
    assert seqdecomp("eval", "model", "--data", "piqa.jsonl", "--tokenizer", "bytes") == 2
    assert capsys.readouterr().err == (
        "seqdecomp eval: error: model: knows 200 token ids, but tokenizer bytes has 257; "
        "give the tokenizer that the model was trained with\n"
    )


def test_an_open_lm_checkpoint_is_evaluated_as_the_model_that_it_holds(model, store, tmp_path, capsys):
    torch.save({"state_dict": to_open_lm_state_dict(OpenLM.from_pretrained(model))}, tmp_path / "open_lm.pt")
    losses = []
    for name in (model, tmp_path / "open_lm.pt"):
        assert seqdecomp("eval", name, "--store", store, "--max-length", 256, "--json") == 0
        (found,) = json.loads(capsys.readouterr().out)["perplexity"].values()
        losses.append(found["loss"])
    assert losses[0] == losses[1]
