"""From the bytes of a line to rows, against the definition written out in plain Python."""

import numpy as np
import pytest
from dclm_bench.fasttext.lines import END_OF_LINE, LABEL_PREFIX, hash_bytes, rows_of_line
from dclm_bench.fasttext.losses import huffman_tree
from dclm_bench.fasttext.vocabulary import Vocabulary, count_vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st


def hash_of(letters: bytes) -> int:
    return int(hash_bytes(np.frombuffer(letters, np.uint8), 0, len(letters)))


def vocabulary_of(*lines: bytes, min_count: int = 1) -> Vocabulary:
    bounds = np.cumsum([0, *(len(line) + 1 for line in lines)])
    text = np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8)
    return count_vocabulary(text, bounds, ["a", "b"], [1, 1], min_count=min_count)


def rows_of(line: bytes, vocabulary: Vocabulary, n: int, minn: int, maxn: int, bucket: int) -> list[int]:
    v = vocabulary
    array = np.frombuffer(line, np.uint8)
    tables = (v.table, v.hashes, v.letters, v.starts, v.num_words)
    rows, _ = rows_of_line(
        array, 0, len(array), *tables, n, bucket, minn, maxn, v.pruned, LABEL_PREFIX, END_OF_LINE
    )
    return [int(row) for row in rows]


def plain_hash(letters: bytes) -> int:
    value = 2166136261
    for byte in letters:
        value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) % 2**32
    return value


def plain_rows(line: bytes, words: list[bytes], n: int, minn: int, maxn: int, bucket: int) -> list[int]:
    rows, hashes = [], []
    tokens = bytes(32 if byte in b"\t\v\f\r\n\0" else byte for byte in line).split(b" ")
    for token in [*(token for token in tokens if token), b"</s>"]:
        if token.startswith(b"__label__"):
            continue
        rows += [words.index(token)] if token in words else []
        if maxn and token != b"</s>":
            marked = f"<{token.decode()}>"
            for first in range(len(marked)):
                for length in range(minn, maxn + 1):
                    gram = marked[first : first + length]
                    whole = len(gram) == length > 0
                    if whole and not (length == 1 and first in (0, len(marked) - 1)):
                        rows.append(len(words) + plain_hash(gram.encode()) % bucket)
        hashes.append(plain_hash(token))
        if token == b"</s>":
            break
    signed = [value - 2**32 if value >= 2**31 else value for value in hashes]
    for index in range(len(signed)):
        chain = signed[index] % 2**64
        for other in signed[index + 1 : index + n]:
            chain = (chain * 116049371 + other) % 2**64
            rows.append(len(words) + chain % bucket)
    return rows


@pytest.mark.parametrize(
    ("letters", "value"), [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968)]
)
def test_ascii_words_have_the_published_fnv_hash(letters: bytes, value: int) -> None:
    assert hash_of(letters) == value


def test_a_byte_above_127_counts_as_signed() -> None:
    assert hash_of(b"\xc3") == ((0x811C9DC5 ^ 0xFFFFFFC3) * 16777619) % 2**32
    assert hash_of(b"\xc3") != ((0x811C9DC5 ^ 0xC3) * 16777619) % 2**32


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet="ab é水\t\x00<", max_size=30),
    st.integers(1, 3),
    st.sampled_from([(0, 0), (1, 1), (2, 4), (3, 3)]),
)
def test_rows_are_those_of_the_definition(text: str, n: int, lengths: tuple[int, int]) -> None:
    vocabulary = vocabulary_of("a a b é水 ab".encode(), b"a </s> </s>")
    words = [vocabulary.entry(index) for index in range(vocabulary.num_words)]

    found = rows_of(text.encode(), vocabulary, n, *lengths, 17)

    assert found == plain_rows(text.encode(), words, n, *lengths, 17)


@pytest.mark.parametrize("line", [b"a __label__x b", b"a </s> b", b"", b"  \t", b"b unknown a"])
def test_labels_ends_of_line_and_unknown_words_give_the_rows_of_the_definition(line: bytes) -> None:
    vocabulary = vocabulary_of(b"a b")
    words = [vocabulary.entry(index) for index in range(vocabulary.num_words)]

    assert rows_of(line, vocabulary, 2, 0, 0, 9) == plain_rows(line, words, 2, 0, 0, 9)


def test_words_come_by_falling_count_and_ties_as_they_came() -> None:
    vocabulary = vocabulary_of(b"z b c c __label__x", b"c a b", b"\xff\xfe")

    assert [vocabulary.entry(index) for index in range(vocabulary.num_words)] == [
        b"</s>", b"c", b"b", b"z", b"a", b"\xff\xfe",
    ]  # fmt: skip
    assert list(vocabulary.counts) == [3, 3, 2, 1, 1, 1, 1, 1]
    assert vocabulary.labels == ["a", "b"]
    assert vocabulary.num_tokens == 11


def test_rare_words_are_left_out_and_all_tokens_are_counted() -> None:
    vocabulary = vocabulary_of(b"a b b", b"b a c", min_count=2)

    assert vocabulary.words == ["b", "</s>", "a"]
    assert vocabulary.num_tokens == 8


def test_many_words_are_found_again_though_the_tables_grow() -> None:
    lines = [" ".join(f"w{number}" for number in range(first, first + 500)).encode() for first in (0, 250)]

    vocabulary = vocabulary_of(*lines * 40)

    assert vocabulary.num_words == 751
    for index in range(0, 751, 50):
        word = vocabulary.entry(index)
        assert rows_of(word, vocabulary, 1, 0, 0, 0)[0] == index


def test_the_tree_joins_the_two_lightest_nodes_and_prefers_the_inner_one_of_equals() -> None:
    # 1 + 1 = 2 (node 4); the leaf of 2 is not lighter than node 4, so node 4 is taken first
    assert huffman_tree(np.array([4, 2, 1, 1])).tolist() == [[3, 2], [4, 1], [5, 0]]
