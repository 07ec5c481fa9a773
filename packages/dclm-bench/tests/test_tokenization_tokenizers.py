"""Tokenizers, with ranks that are made here: every UTF-8 byte, a few merges, and the specials in front."""

import base64
import shutil

import numpy as np
import pytest
from dclm_bench.tokenization.tokenizers import (
    LONGEST_BLANK_RUN,
    ByteTokenizer,
    RankTokenizer,
    load_tokenizer,
    read_ranks,
)
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError

UTF8_BYTES = [*range(0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5)]
MERGES = [b"th", b"the", b" the", b"  ", b"    ", b"        ", b"\n\n", b"in", b"ing"]


def write_ranks(path):
    """Ids 0 and 1 as in GPT-NeoX, then the bytes, then merges in the order of their rank."""
    pieces = [b"<|endoftext|>", b"<|padding|>", *(bytes([byte]) for byte in UTF8_BYTES), *MERGES]
    path.write_text("".join(f"{base64.b64encode(p).decode()} {rank}\n" for rank, p in enumerate(pieces)))
    return path


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return RankTokenizer(write_ranks(tmp_path_factory.mktemp("ranks") / "small.tiktoken"))


def merged(*pieces):
    return [2 + len(UTF8_BYTES) + MERGES.index(piece) for piece in pieces]


def test_pieces_are_merged_by_rank_within_the_pattern(ranks):
    assert ranks.encode("the the").tolist() == merged(b"the", b" the")
    # by hand: the last blank belongs to the word, so the run before it has three
    assert ranks.encode("in    the").tolist() == [*merged(b"in"), *merged(b"  "), 2 + 0x20, *merged(b" the")]


def test_the_texts_of_special_tokens_are_ordinary_text(ranks):
    ids = ranks.encode("<|endoftext|><|padding|>")
    assert not {0, 1} & set(ids.tolist())
    assert ranks.decode(ids) == b"<|endoftext|><|padding|>"


def test_the_padding_id_is_two_above_the_number_of_ranks(ranks):
    assert (ranks.eot_id, ranks.pad_id) == (0, 2 + len(UTF8_BYTES) + len(MERGES) + 2)
    assert ranks.vocab_size == ranks.pad_id + 1


@given(st.text(max_size=60))
def test_every_text_comes_back_byte_by_byte(ranks, text):
    for tokenizer in (ranks, ByteTokenizer()):
        assert tokenizer.decode(tokenizer.encode(text)) == text.encode()


def test_a_lone_surrogate_becomes_a_replacement_character(ranks):
    for tokenizer in (ranks, ByteTokenizer()):
        assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb".encode()


@pytest.mark.parametrize(
    "text", [" " * 3 + "x", "a" + "\n" * 30 + "the", "the  ", "x" + " \u3000\n" * 7 + "in"]
)
def test_cutting_out_long_runs_of_blanks_changes_no_id(ranks, monkeypatch, text):
    import re

    import dclm_bench.tokenization.tokenizers as module

    whole = ranks.encode(text).tolist()
    monkeypatch.setattr(module, "LONGEST_BLANK_RUN", 1)
    monkeypatch.setattr(module, "_LONG_RUN", re.compile(module._LONG_RUN.pattern.replace("10000", "2")))
    assert ranks.encode(text).tolist() == whole


def test_a_million_blanks_do_not_end_the_process(ranks):
    for text in ("a" + " " * 1_000_000 + "the", "\n" * 1_000_000):
        ids = ranks.encode(text)
        assert ranks.decode(ids) == text.encode()
    assert LONGEST_BLANK_RUN < 1_000_000


def test_bytes_are_ids_from_one(ranks):
    tokenizer = load_tokenizer("bytes")
    assert tokenizer.encode("aé").tolist() == [98, 0xC3 + 1, 0xA9 + 1]
    assert (tokenizer.eot_id, tokenizer.pad_id, tokenizer.vocab_size) == (0, 257, 258)
    assert tokenizer.encode("").dtype == np.uint32


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("IQ==", "line 3: not base64 and a rank"),
        ("?? 7", "line 3: not base64 and a rank"),
        ("PHxlbmRvZnRleHR8Pg== 9000", "line 3: the entry comes twice"),
    ],
)
def test_a_wrong_line_of_ranks_is_named(tmp_path, line, reason):
    lines = write_ranks(tmp_path / "a.tiktoken").read_text().splitlines()
    (tmp_path / "b.tiktoken").write_text("\n".join([*lines[:2], line, *lines[2:]]))
    with pytest.raises(InputError, match=reason):
        read_ranks(tmp_path / "b.tiktoken")


def test_ranks_that_lack_a_byte_are_refused(tmp_path):
    lines = write_ranks(tmp_path / "a.tiktoken").read_text().splitlines()
    (tmp_path / "a.tiktoken").write_text("\n".join(lines[:40] + lines[41:]))
    with pytest.raises(InputError, match="no rank for the byte 38; such a file cannot encode every text"):
        read_ranks(tmp_path / "a.tiktoken")


def test_a_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file; give the ranks of GPT-NeoX"):
        load_tokenizer(tmp_path / "absent.tiktoken")


def test_a_tokenizer_json_gives_the_same_ids_as_its_ranks(tmp_path, ranks):
    import tokenizers

    vocabulary = {"<|endoftext|>": 0, "<|padding|>": 1}
    alphabet = _byte_letters()
    for byte in UTF8_BYTES:
        vocabulary[alphabet[byte]] = len(vocabulary)
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("i", "n"), ("in", "g")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    built = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    built.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = tokenizers.decoders.ByteLevel()
    built.add_special_tokens(["<|endoftext|>", "<|padding|>"])
    built.save(str(tmp_path / "tokenizer.json"))

    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    ids = loaded.encode("the thing<|endoftext|>")

    assert (loaded.eot_id, loaded.pad_id) == (0, 1)
    assert 0 not in ids
    assert loaded.decode(ids) == b"the thing<|endoftext|>"
    shutil.copy(tmp_path / "tokenizer.json", tmp_path / "broken.json")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(InputError, match=r"broken\.json: not a tokenizer\.json"):
        load_tokenizer(tmp_path / "broken.json")


def _byte_letters():
    """The letters that stand for bytes in a tokenizer.json: printable ones for themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 0
    for byte in range(256):
        if byte in printable:
            letters[byte] = chr(byte)
        else:
            letters[byte], extra = chr(256 + extra), extra + 1
    return letters
