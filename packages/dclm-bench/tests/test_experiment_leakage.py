"""Thirteen words in a row of a held-out page: found whatever stands between them, and refused."""

import numpy as np
import pytest
from dclm_bench.experiment.leakage import find_sharing, ngrams_of, refuse_leaks
from toolkit_shared.errors import InputError

WORDS = [f"word{number}" for number in range(30)]
HELD_OUT = {"page-a": " ".join(WORDS), "page-b": "another text " * 3}


def test_thirteen_words_are_found_and_twelve_are_not():
    thirteen, twelve = (" ".join(["before", *WORDS[5 : 5 + n], "after"]) for n in (13, 12))
    assert find_sharing(HELD_OUT, [thirteen, twelve]) == [("page-a",), ()]


def test_marks_and_line_ends_between_the_words_hide_nothing():
    assert find_sharing(HELD_OUT, ["\n".join(WORDS[:13]), ", ".join(WORDS[:13])]) == [("page-a",)] * 2


def test_a_text_of_fewer_words_has_no_ngram():
    assert len(ngrams_of(" ".join(WORDS[:12]))) == 0
    assert len(ngrams_of("")) == 0
    assert len(ngrams_of(" ".join(WORDS))) == 30 - 12


def test_hashes_are_sorted_and_each_once():
    hashes = ngrams_of(" ".join(["a"] * 40))
    assert len(hashes) == 1
    assert (np.diff(ngrams_of(" ".join(WORDS))) > 0).all()


def test_nothing_is_held_out_and_nothing_is_shared():
    assert find_sharing({}, ["text", "more"]) == [(), ()]


def test_training_text_that_holds_a_held_out_page_is_refused_by_name():
    arms = {"clean": b"nothing of it", "leaky": " ".join(["x", *WORDS[:13]]).encode()}
    with pytest.raises(InputError, match=r"arm 'leaky': its training text holds 13 words .* 'page-a'"):
        refuse_leaks(arms, HELD_OUT)
    refuse_leaks({"clean": arms["clean"]}, HELD_OUT)
