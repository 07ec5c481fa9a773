"""seqdecomp stats: figures of a corpus that nothing is built of."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from seqdecomp import cli
from seqdecomp.corpus_statistics import bar, corpus_statistics
from seqdecomp.documents import Documents

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def seqdecomp(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["seqdecomp", *line.split()])
        code = cli.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_lengths_from_a_file_give_the_exact_counts(seqdecomp: Run) -> None:
    # The arithmetic of test_decomposition, through the command line.
    np.save("lengths.npy", np.arange(1, 65_537))

    code, out, _ = seqdecomp("stats --lengths lengths.npy --json --arm concat")

    found = json.loads(out)
    assert code == 0
    assert found["buckets"] == {
        "256": 32_768, "512": 32_768, "1024": 32_768, "2048": 32_768, "4096": 32_768, "8192": 229_384
    }  # fmt: skip
    assert (found["documents"], found["tokens"], found["dropped_tokens"]) == (
        65_536,
        2_147_516_416,
        8_355_840,
    )
    # One in 256 lengths has nothing left over.
    assert found["eos_survival"] == 1 / 256
    assert found["arms"]["concat"]["average_sequence_length"] == 8192
    assert found["average_context_length"] < found["arms"]["concat"]["average_context_length"] == 4095.5

    anchored = json.loads(seqdecomp("stats --lengths lengths.npy --json --tail anchor-end")[1])
    assert anchored["dropped_tokens"] == 8_355_840
    assert anchored["eos_survival_of_kept"] == 1


def test_text_is_tokenised_and_nothing_is_written(seqdecomp: Run) -> None:
    Path("docs.jsonl").write_text(json.dumps({"text": "x" * 20}) + "\n" + json.dumps({"text": ""}) + "\n{\n")

    code, out, _ = seqdecomp("stats docs.jsonl --tokenizer bytes --min-length 4 --max-length 16 --json")

    found = json.loads(out)
    assert (code, found["tokens"], found["buckets"]) == (0, 21, {"4": 1, "8": 0, "16": 1})
    assert (found["skipped_records"], found["empty_documents"]) == (1, 1)
    assert [path.name for path in Path().iterdir()] == ["docs.jsonl"]
    text = seqdecomp("stats docs.jsonl --tokenizer bytes --min-length 4 --max-length 16")[1]
    assert text.endswith(
        "skipped records 1; empty documents 1\n"
        "  docs.jsonl, line 3: no JSON: Expecting property name enclosed in double quotes at column 2\n"
    )
    assert found["examples"] == [text.splitlines()[-1].strip()]
    assert "dropped 1 (4.76%)" in text


def test_token_files_are_read_as_the_reading_options_say(seqdecomp: Run) -> None:
    # 16 bytes: 7 ids and the end as uint16; as uint32, 3 and the end.
    Path("ids.data").write_bytes(np.array([1, 2, 3, 4, 5, 6, 0, 7], "<u2").tobytes())
    line = "stats ids.data --min-length 1 --max-length 2 --json --read.eos-id 7"

    assert json.loads(seqdecomp(f"{line} --format olmo --read.dtype uint16")[1])["tokens"] == 8
    Path("c.yaml").write_text("read: {format: jsonl, dtype: uint32}")
    found = json.loads(seqdecomp(f"{line} --config c.yaml --format olmo")[1])
    assert (found["tokens"], found["documents_without_eos"]) == (4, 1)
    code, _, err = seqdecomp("stats ids.data --format olmo --read.dtype uint16")
    assert (code, err) == (
        2,
        "seqdecomp stats: error: ids.data: flat token files are split at EOS, and its id is not known; "
        "pass --read.eos-id N\n",
    )


def test_predicted_time_is_told_by_law_and_by_step_times(seqdecomp: Run) -> None:
    # Equal tokens of 256 to 8192: 0.745 and 0.844 by the cost law, 160M and 1B.
    lengths = np.concatenate([np.full(2**13 // n, n) for n in (256, 512, 1024, 2048, 4096, 8192)])
    np.save("lengths.npy", lengths)

    found = json.loads(seqdecomp("stats --lengths lengths.npy --json --step-times paper-1b-h100")[1])

    assert found["cost_ratio"]["160m"] == pytest.approx(0.745, abs=0.0005)
    assert found["cost_ratio"]["1b"] == pytest.approx(0.844, abs=0.0005)
    # By the paper's measured times: mean of 412, 417, 426, 445, 487, 566 ms over 566 ms.
    assert found["time_ratio"] == pytest.approx(0.81, abs=0.005)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("stats x.jsonl --lengths l.npy", "--lengths: inputs are given as well; give only one of them"),
        ("stats --lengths none.npy", "none.npy: no such file; give a .npy file of document lengths"),
        ("stats --lengths text.npy", "text.npy: is not a .npy file of numbers; write one with numpy.save"),
        (
            "stats --lengths wide.npy",
            "wide.npy: does not hold one row of whole numbers;",
        ),
        ("stats --lengths minus.npy", "minus.npy: holds a negative length at place 1; correct it"),
        ("stats --lengths good.npy --max-length 128", "min_length: 256 is above max_length 128; lower it"),
        ("stats --lengths good.npy --arm bst", "arm: 'bst' is not one of dd, concat,"),
        ("stats --lengths good.npy --arm semantic", "arm: 'semantic' needs the tokens; build a store"),
        ("stats good.jsonl", "good.jsonl: holds text, and there is no tokenizer;"),
        ("stats good.jsonl --tokenizer bytes --workers 0", "workers: 0 is not positive; give 1 or more"),
        (
            "stats good.jsonl --tokenizer bytes --read.eos END",
            "eos: 'END' is not in the tokenizer 'bytes', whose EOS is id 0; leave it out",
        ),
        (
            "stats empty.jsonl --tokenizer bytes",
            "empty.jsonl: no document in it; give files that hold text or tokens",
        ),
        (
            "stats empty.jsonl empty.txt --tokenizer bytes",
            "empty.jsonl and 1 more file: no document in it; give files that hold text or tokens",
        ),
        (
            "stats good.jsonl --tokenizer bytes --text-field body",
            "good.jsonl, line 1: field 'body' is missing; no record can be used: name the field that holds "
            "the text or the ids with --text-field or --read.ids-field",
        ),
        (
            "stats latin.txt --tokenizer bytes",
            "latin.txt: not UTF-8 at byte 3; no record can be used: mend the input, or pass --format",
        ),
        (
            "stats --lengths good.npy --step-times t",
            "--step-times: there is no file 't'; give one,",
        ),
    ],
)
def test_a_mistake_gives_one_line_and_exit_code_two(seqdecomp: Run, line: str, error: str) -> None:
    Path("text.npy").write_text("lengths")
    np.save("wide.npy", np.ones((2, 2)))
    np.save("minus.npy", np.array([3, -1]))
    np.save("good.npy", np.array([300]))
    Path("good.jsonl").write_text('{"text": "abc"}\n')
    Path("empty.jsonl").write_text("")
    Path("empty.txt").write_text("")
    Path("latin.txt").write_bytes(b"caf\xe9")

    code, out, err = seqdecomp(line)

    assert (code, out) == (2, "")
    assert err.startswith(f"seqdecomp stats: error: {error}")
    assert err.count("\n") == 1


def test_pickled_lengths_are_not_loaded(seqdecomp: Run) -> None:
    np.save("object.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "is not a .npy file of numbers" in seqdecomp("stats --lengths object.npy")[2]


def test_an_empty_corpus_has_a_report() -> None:
    text = corpus_statistics(Documents.of_lengths(np.zeros(0, np.int64))).to_text()
    assert "documents 0; tokens 0" in text


@pytest.mark.parametrize(("share", "expected"), [(0, ""), (1, "█" * 8), (0.5, "████"), (1 / 64, "▏")])
def test_bars_have_eighths(share: float, expected: str) -> None:
    assert bar(share, 8) == expected
