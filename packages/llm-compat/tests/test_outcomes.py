"""Keys and codes of the contract between readers and comparison."""

import hashlib
from pathlib import Path

import numpy as np
from llm_compat.data.outcomes import NO_ANSWER, Outcomes, code_of, key_of, keys_array


def outcomes(**more: object) -> Outcomes:
    keys = keys_array([key_of("a"), key_of("b")])
    values: dict[str, object] = {
        "task": "t",
        "source": Path("x"),
        "format": "table",
        "keys": keys,
        "places": np.arange(2),
        "scores": {"acc": np.array([1.0, 0.0])},
    }
    return Outcomes(**(values | more))  # type: ignore[arg-type]


def test_keys_and_codes_are_prefixes_of_known_digests() -> None:
    assert key_of("doc") == hashlib.blake2b(b"doc", digest_size=16).digest() == key_of(b"doc")
    assert code_of("x") == int.from_bytes(hashlib.blake2b(b"x", digest_size=8).digest(), "little")


def test_no_text_has_the_code_of_no_answer() -> None:
    assert NO_ANSWER not in {code_of(str(number)) for number in range(1000)}


def test_keys_with_zero_bytes_stay_apart() -> None:
    one, other = b"a" * 15 + b"\x00", b"a" * 14 + b"\x00\x00"
    keys = keys_array([one, other, b"b" * 16])
    assert len(keys) == 3
    assert keys.tobytes() == one + other + b"b" * 16
    joined = keys_array(one + other)
    assert joined.tobytes() == one + other


def test_the_name_shows_the_filter_only_where_there_is_one() -> None:
    assert outcomes().name == "t"
    assert outcomes(filter="strict-match").name == "t (strict-match)"
    assert len(outcomes()) == 2
