import gzip
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.data.examples import split_rows, tokenize_examples
from llm_compat.data.token_rows import TokenRows
from toolkit_shared.errors import InputError

TOKENIZER = tiny_models.make_tokenizer()


def written(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def answers_of(rows, index=0):
    """The text that is predicted, position by position; a dot where nothing is trained."""
    tokens, trained = rows.row(index)
    texts = [TOKENIZER.decode([token]) for token in tokens[1:]]
    return "".join(text if here else "." for text, here in zip(texts, trained, strict=False))


def test_everything_after_the_first_token_is_trained_as_in_the_paper(tmp_path):
    path = written(tmp_path / "d.jsonl", {"prompt": "2+2=", "completion": "4"}, {"text": "hello"})
    rows, counts = tokenize_examples(path, TOKENIZER)
    assert answers_of(rows) == "+2=4</s>"
    assert answers_of(rows, 1) == "ello</s>"
    assert (counts.records, counts.rows, counts.dropped) == (2, 2, {})
    assert rows.trained_offsets.tolist() == [0, 5, 10]


def test_only_the_answer_and_its_end_are_trained_when_asked(tmp_path):
    path = written(tmp_path / "d.jsonl", {"prompt": "2+2=", "completion": "4"})
    rows, _ = tokenize_examples(path, TOKENIZER, loss_on="answer")
    assert answers_of(rows) == "...4</s>"


def test_every_turn_of_the_assistant_is_an_answer(tmp_path):
    turns = [("user", "hi"), ("assistant", "yo"), ("user", "so"), ("assistant", "ok")]
    path = written(
        tmp_path / "d.jsonl", {"messages": [{"role": role, "content": text} for role, text in turns]}
    )
    rows, _ = tokenize_examples(path, TOKENIZER, loss_on="answer")
    # <u>hi / <a>yo / <u>so / <a>ok, a line each; the first token is never predicted
    assert answers_of(rows) == "." * 8 + "yo\n" + "." * 9 + "ok\n"


def test_a_token_that_spans_the_border_belongs_to_the_answer(tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, "</s>": 3}, [("a", "b")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>")
    path = written(tmp_path / "d.jsonl", {"prompt": "ba", "completion": "bb"})

    rows, counts = tokenize_examples(path, tokenizer, loss_on="answer")

    assert rows.tokens.tolist() == [1, 2, 1, 3]
    assert rows.trained.tolist() == [True, True, True, False]
    assert counts.merged == 1


@pytest.mark.parametrize("name", ["d.jsonl", "d.jsonl.gz", "d.jsonl.zst", "d.parquet"])
def test_all_kinds_of_files_give_the_same_rows(tmp_path, name):
    records = [{"prompt": f"{i}+1=", "completion": str(i + 1)} for i in range(5)]
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(text))
    elif name.endswith("zst"):
        import zstandard

        path.write_bytes(zstandard.compress(text))
    elif name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        path.write_bytes(text)

    rows, _ = tokenize_examples(path, TOKENIZER, loss_on="answer")

    assert [answers_of(rows, i) for i in range(5)] == [f"...{i + 1}</s>" for i in range(5)]


def test_long_rows_lose_their_end_and_are_counted(tmp_path):
    path = written(
        tmp_path / "d.jsonl",
        {"prompt": "12345", "completion": "6789"},
        {"prompt": "123456789", "completion": "no room"},
        {"prompt": "1", "completion": "2"},
    )
    rows, counts = tokenize_examples(path, TOKENIZER, loss_on="answer", max_length=8)

    assert [answers_of(rows, i) for i in range(len(rows))] == ["....678", "2</s>"]
    assert (counts.records, counts.rows, counts.truncated) == (3, 2, 1)
    assert counts.dropped == {"no token to train on within max_length": 1}
    kept, counts = tokenize_examples(path, TOKENIZER, loss_on="answer", max_length=8, too_long="drop")
    assert (len(kept), counts.dropped) == (1, {"longer than max_length": 2})


def test_bad_records_are_told_counted_and_skipped(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"text": "fine"}\n{"text": \n{"prompt": "a"}\n{"completion": "b"}\n{"text": 3}\n')
    told = []

    rows, counts = tokenize_examples(path, TOKENIZER, on_bad=told.append)

    assert len(rows) == 1
    assert counts.records == 5
    assert counts.dropped == {
        "not readable": 1,
        "none of the fields prompt and completion, text, or messages": 1,
        "'prompt' is missing": 1,
        "'text' is no text": 1,
    }
    assert [bad.place for bad in told] == ["line 2", "line 3", "line 4", "line 5"]


def test_what_cannot_be_used_is_refused_in_one_line(tmp_path):
    path = written(tmp_path / "d.jsonl", {"text": "a long text"})
    cases = [
        (
            {"path": tmp_path / "gone.jsonl"},
            f"{tmp_path / 'gone.jsonl'}: no such file; check the path",
        ),
        ({"path": tmp_path}, f"{tmp_path}: is a folder; name a JSONL or parquet file"),
        (
            {"path": tmp_path / "d.csv"},
            f"{tmp_path / 'd.csv'}: not a .jsonl (plain, .gz or .zst) or .parquet file",
        ),
        (
            {"loss_on": "answer"},
            f"{path}: no example in 1 records (1 x 'text' has no answer, and loss_on is 'answer'); "
            "give records with prompt and completion, text, or messages",
        ),
        (
            {"loss_on": "answer", "strict": True},
            f"{path}, line 1: 'text' has no answer, and loss_on is 'answer'; mend the record",
        ),
        (
            {"max_length": 5, "too_long": "refuse"},
            f"{path}, line 1: 12 tokens, more than max_length 5; raise it, or let too_long be 'truncate' or "
            "'drop'",
        ),
        ({"max_length": 1}, "max_length: 1 is below 2; a row needs a token and its next"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            tokenize_examples(**{"path": path, "tokenizer": TOKENIZER, **options})
    empty = written(tmp_path / "empty.jsonl")
    with pytest.raises(InputError, match=r"no example in 0 records \(the file is empty\)"):
        tokenize_examples(empty, TOKENIZER)
    (tmp_path / "d.parquet").write_text("no table")
    with pytest.raises(InputError, match="not a readable parquet file"):
        tokenize_examples(tmp_path / "d.parquet", TOKENIZER)


def test_conversations_need_a_chat_template(tmp_path):
    path = written(tmp_path / "d.jsonl", {"messages": [{"role": "assistant", "content": "a"}]})
    with pytest.raises(
        InputError, match=r"^tokenizer: has no chat template, so 'messages' cannot be laid out"
    ):
        tokenize_examples(path, tiny_models.make_tokenizer(chat=False))


@given(st.integers(5, 60), st.integers(0, 5))
def test_the_split_keeps_every_row_once_and_depends_on_the_seed_alone(number, seed):
    rows = TokenRows.from_rows([(np.array([i, i], np.int32), np.array([True, False])) for i in range(number)])
    training, validation = split_rows(rows, seed=seed)
    again, _ = split_rows(rows, seed=seed)

    first = [part.tokens[::2].tolist() for part in (training, validation)]
    assert sorted(first[0] + first[1]) == list(range(number))
    assert len(validation) == round(0.2 * number)
    assert training.fingerprint == again.fingerprint != rows.fingerprint


def test_a_split_without_validation_is_refused():
    rows = TokenRows.from_rows([(np.array([1, 2], np.int32), np.array([True, False]))] * 2)
    with pytest.raises(InputError, match="leaves training or validation empty; give more examples"):
        split_rows(rows, validation_fraction=0.1)
