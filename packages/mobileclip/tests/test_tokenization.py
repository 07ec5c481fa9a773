"""CLIP's tokenizer, and the file that gives the same tokens in other runtimes."""

import pickle
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
import torch
from mobileclip.tokenization import ClipTokenizer, write_tokenizer_json
from tokenizers import Tokenizer

START, END = 49406, 49407
# Letters of several scripts, digits, signs, emoji, and the pieces that the rules treat apart.
ALPHABET = st.sampled_from(
    [
        *"abcdefghijklmnopqrstuvwxyz     0123456789.,;:!?'\"-_/()[]&<>#%*+=@~^|$",
        *("é", "ß", "ñ", "ø", "ł", "я", "ж", "λ", "ش", "日", "本", "한", "글", "½", "€", "😀", "🐶", "👍🏽"),
        *("'s", "'re", "n't", "a photo of "),
    ]
)
TOKENIZER = ClipTokenizer()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer_json(path)
    return path


def test_a_row_is_start_text_end_and_zeros() -> None:
    tokens = ClipTokenizer()("a photo of a cat")
    assert tokens.dtype == torch.int64
    assert tokens.shape == (1, 77)
    assert tokens[0, :8].tolist() == [START, 320, 1125, 539, 320, 2368, END, 0]  # CLIP's published numbers
    assert not tokens[0, 7:].any()


def test_rows_are_those_of_open_clip() -> None:
    import open_clip

    texts = ["", "A Photo of 2 CATS!", "&lt;b&gt; caf\u00c3\u00a9", "word " * 200, "日本 😀"]
    assert torch.equal(ClipTokenizer()(texts), open_clip.get_tokenizer("MobileCLIP-S1")(texts))


def test_a_text_that_is_too_long_still_ends() -> None:
    tokens = ClipTokenizer(context_length=8)(["one two three four five six seven eight nine"])
    assert tokens.shape == (1, 8)
    assert tokens[0, -1] == END
    assert int(tokens.argmax()) == 7


def test_numbers_go_back_to_words() -> None:
    tokenizer = ClipTokenizer()
    assert tokenizer.decode(tokenizer("A photo, of a Cat")[0].tolist()).strip() == "a photo , of a cat"
    assert tokenizer.encode("a cat") == [320, 2368]
    assert (tokenizer.vocabulary, tokenizer.start_of_text, tokenizer.end_of_text) == (49408, START, END)


def test_it_goes_to_worker_processes_without_its_vocabulary() -> None:
    tokenizer = ClipTokenizer(context_length=9)
    tokenizer("a cat")
    packed = pickle.dumps(tokenizer)
    assert len(packed) < 1000
    assert torch.equal(pickle.loads(packed)("a cat"), tokenizer("a cat"))


def test_a_row_needs_room_for_start_and_end() -> None:
    with pytest.raises(ValueError, match="context_length must hold the start and the end of a text"):
        ClipTokenizer(context_length=1)


@hypothesis.given(st.lists(ALPHABET, max_size=60).map("".join))
@hypothesis.example("")
@hypothesis.example("the cat's   whiskers aren't 1234 long!!! 'LL")
def test_the_file_gives_the_same_rows_for_clean_text(file: Path, text: str) -> None:
    from open_clip.tokenizer import get_clean_fn

    clean = get_clean_fn("lower")(text)
    expected = TOKENIZER(clean)[0].tolist()
    assert _from_file(file).encode(clean).ids == expected


def test_the_file_cuts_and_pads_like_the_tokenizer(tmp_path: Path) -> None:
    write_tokenizer_json(tmp_path / "short.json", context_length=6)
    peer, ours = _from_file(tmp_path / "short.json"), ClipTokenizer(context_length=6)
    for text in ("a", "a b c d", "a b c d e f g h"):
        assert peer.encode(text).ids == ours(text)[0].tolist()


def test_the_file_cleans_white_space_and_case_but_no_html(file: Path) -> None:
    tokenizer, peer = ClipTokenizer(), _from_file(file)
    for text in ("  A\tPhoto \n of\u3000CATS ", "Cafe\u0301"):
        assert peer.encode(text).ids == tokenizer(text)[0].tolist()
    assert peer.encode("salt &amp; pepper").ids != tokenizer("salt &amp; pepper")[0].tolist()


def test_the_file_is_the_same_each_time(file: Path, tmp_path: Path) -> None:
    write_tokenizer_json(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()


_LOADED: dict[Path, Tokenizer] = {}


def _from_file(path: Path) -> Tokenizer:
    if path not in _LOADED:
        _LOADED[path] = Tokenizer.from_file(str(path))
    return _LOADED[path]
