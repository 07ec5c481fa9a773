"""Tokenizers: what they give, which token ends a document, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.data.tokenizer import ByteTokenizer, load_tokenizer, tokenizer_from_json, train_bpe
from tokenizers import models, pre_tokenizers
from toolkit_shared.errors import InputError

TEXTS = ["def one(x):\n    return x + 1\n", "the cat sat on the mat", "naïve café"] * 20


def word_tokenizer(path: Path, vocabulary: dict[str, int], special: list[str]) -> Path:
    """A tokenizer.json of whole words."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(path))
    return path


@given(st.text())
def test_bytes_are_decoded_to_the_text_that_was_encoded(text):
    tokenizer = ByteTokenizer()
    clean = text.encode("utf-8", "replace").decode()
    (ids,) = tokenizer.encode_batch([text])
    assert tokenizer.decode(ids.tolist()) == clean
    assert len(ids) == len(clean.encode())
    assert ids.size == 0 or (ids.min() >= 1 and ids.max() <= 256)


def test_the_byte_tokenizer_has_257_ids_and_eos_zero():
    tokenizer = load_tokenizer("bytes")
    assert (tokenizer.vocab_size, tokenizer.eos_id) == (257, 0)
    assert tokenizer.encode_batch(["a\xff"])[0].tolist() == [98, 0xC3 + 1, 0xBF + 1]


@given(st.text())
def test_a_trained_bpe_encodes_every_text_and_decodes_it_back(text):
    tokenizer = BPE
    clean = text.encode("utf-8", "replace").decode()
    ids = tokenizer.encode_batch([text])[0]
    assert tokenizer.decode(ids.tolist()) == clean
    assert tokenizer.eos_id not in ids.tolist()


BPE = train_bpe(TEXTS, 300)


def test_training_bpe_twice_gives_the_same_tokenizer():
    again = train_bpe(TEXTS, 300)
    assert again.to_json() == BPE.to_json()
    assert again.spec == BPE.spec
    assert (BPE.eos_id, BPE.eos_text) == (0, "<|endoftext|>")
    assert train_bpe(TEXTS[:1], 300).spec != BPE.spec


def test_bpe_needs_room_for_all_bytes_and_eos():
    with pytest.raises(ValueError, match=r"vocab_size: 256 is below 257 \(256 bytes and EOS\)"):
        train_bpe(TEXTS, 256)


def test_the_text_of_eos_in_a_document_does_not_become_eos(tmp_path):
    ids = BPE.encode_batch(["a <|endoftext|> b"])[0]
    assert BPE.eos_id not in ids.tolist()
    assert BPE.decode(ids.tolist()) == "a <|endoftext|> b"


def test_a_tokenizer_file_a_folder_and_its_json_give_the_same_ids(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(str(BPE.to_json()))
    expected = BPE.encode_batch(TEXTS[:3])
    for loaded in (
        load_tokenizer(path),
        load_tokenizer(str(tmp_path)),
        tokenizer_from_json(path.read_text(), ""),
    ):
        for got, wanted in zip(loaded.encode_batch(TEXTS[:3]), expected, strict=True):
            assert np.array_equal(got, wanted)
        assert loaded.vocab_size == BPE.vocab_size


def test_ids_above_the_vocabularys_count_still_fit_the_vocabulary_size(tmp_path):
    # A vocabulary with holes: two entries, the highest id 69,999, so the store needs uint32.
    path = word_tokenizer(tmp_path / "t.json", {"?": 0, "far": 69_999}, ["</s>"])
    loaded = load_tokenizer(path)
    assert loaded.vocab_size == 70_000
    assert loaded.encode_batch(["far"])[0].tolist() == [69_999]


@pytest.mark.parametrize("known", ["<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>"])
def test_eos_is_found_by_its_known_names(tmp_path, known):
    loaded = load_tokenizer(word_tokenizer(tmp_path / "t.json", {"?": 0, "cat": 1}, [known]))
    assert (loaded.eos_text, loaded.eos_id) == (known, 2)


def test_eos_is_the_token_that_is_named(tmp_path):
    path = word_tokenizer(tmp_path / "t.json", {"?": 0, "cat": 1}, ["</s>", "<stop>"])
    assert load_tokenizer(path, eos="<stop>").eos_id == 3
    with pytest.raises(InputError) as caught:
        load_tokenizer(path, eos="<stopp>")
    assert str(caught.value) == (
        f"{path}: the vocabulary has no token '<stopp>'; nearest: '<stop>'; "
        "name its end-of-text token with --read.eos"
    )


def test_a_vocabulary_without_a_known_eos_is_refused(tmp_path):
    path = word_tokenizer(tmp_path / "t.json", {"?": 0, "cat": 1}, [])
    with pytest.raises(InputError) as caught:
        load_tokenizer(path)
    assert str(caught.value) == (
        f"{path}: no end-of-text token found (tried <|endoftext|>, <|end_of_text|>, </s>, <|im_end|>, <eos>, "
        "<|eos|>, [EOS], [SEP]); name it with --read.eos TEXT"
    )


def test_what_is_no_tokenizer_is_refused_in_one_line(tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(InputError, match=re.escape(f"{broken}: not a tokenizer.json (")):
        load_tokenizer(broken)
    with pytest.raises(InputError) as caught:
        load_tokenizer(tmp_path / "none.json")
    assert str(caught.value) == (
        f"{tmp_path}/none.json: no such tokenizer file; give 'bytes', a tokenizer.json or a hub name"
    )
    with pytest.raises(InputError) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no tokenizer.json in this folder; name the file"
    (tmp_path / "gpt2.tiktoken").write_text("IQ== 0\n")
    with pytest.raises(InputError) as caught:
        load_tokenizer(tmp_path / "gpt2.tiktoken")
    assert str(caught.value) == (
        f"{tmp_path}/gpt2.tiktoken: a .tiktoken rank file lacks the pattern and special tokens of its "
        "tokenizer; convert it to a tokenizer.json and name that"
    )


def test_a_hub_name_without_a_network_fails_in_one_line():
    with pytest.raises(InputError) as caught:
        load_tokenizer("no-one/no-such-tokenizer")
    message = str(caught.value)
    assert message.startswith(
        "tokenizer 'no-one/no-such-tokenizer': neither a file here nor to be had from the hub ("
    )
    assert message.endswith("); give 'bytes' or a tokenizer.json")
    assert "\n" not in message
