"""Text similarities by hand: counts of shared words and pairs, as their papers define them."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.data.similarity import NAMES, best_similarity, scorer
from toolkit_shared.errors import InputError, MissingExtra

words = st.lists(st.sampled_from("the cat sat on a mat dog".split()), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("name", "answer", "target", "score"),
    [
        # 3 shared words of 4 and of 6: precision 3/4, recall 3/6, F = 2 * 3 / (4 + 6)
        ("rouge1", "the cat is here", "the cat sat on the here", 60.0),
        # "the" counts as often as in both: 1 of 3 and of 1
        ("rouge1", "the the the", "the", 50.0),
        # shared pairs "the cat" of 3 and of 4: F = 2 * 1 / (3 + 4)
        ("rouge2", "the cat is here", "the cat sat here now", 200 / 7),
        # longest common subsequence "a c d" of 4 and of 5: F = 2 * 3 / (4 + 5)
        ("rougeL", "a x c d", "a b c e d", 200 / 3),
        # no stemming: "cats" is not "cat"; case and punctuation do not count
        ("rouge1", "cats", "cat", 0.0),
        ("rouge1", "The CAT!", "the cat", 100.0),
        ("exact", " Paris\n", "Paris", 100.0),
        ("exact", "paris", "Paris", 0.0),
        ("exact", "", "", 100.0),
        ("rouge1", "", "cat", 0.0),
        ("bleu", "", "cat", 0.0),
        ("chrf", "cat", " ", 0.0),
        ("bleu", "the cat sat on the mat", "the cat sat on the mat", 100.0),
        ("chrf", "abcdefgh", "abcdefgh", 100.0),
    ],
)
def test_scores_by_hand(name: str, answer: str, target: str, score: float) -> None:
    assert scorer(name)(answer, target) == pytest.approx(score)


def test_bleu_is_the_geometric_mean_of_precisions_with_a_penalty_for_short_answers() -> None:
    # 4 of 5 words, 2 of 4 pairs, 0 of 3 triples and 0 of 2 fours, smoothed to 1/2 and 1/4 of a count;
    # 5 words against 6
    precisions = [4 / 5, 2 / 4, (1 / 2) / 3, (1 / 4) / 2]
    expected = 100 * math.prod(precisions) ** 0.25 * math.exp(1 - 6 / 5)

    assert scorer("bleu")("the cat x on the", "the cat sat on the mat") == pytest.approx(expected)


def test_chrf_is_the_mean_f2_of_character_sequences() -> None:
    # "ab" and "ac": one of two letters, no pair: precision and recall (1/2 + 0) / 2 over the two orders
    assert scorer("chrf")("ab", "ac") == pytest.approx(25.0)


@given(words, words)
def test_scores_lie_between_0_and_100_and_equal_texts_have_100(one: str, two: str) -> None:
    for name in NAMES:
        score = scorer(name)
        assert 0 <= score(one, two) <= 100
        if len(one.split()) >= 2:
            assert score(one, one) == pytest.approx(100)


@given(words, words)
def test_rouge_and_exact_do_not_care_which_text_is_the_answer(one: str, two: str) -> None:
    for name in ("rouge1", "rouge2", "rougeL", "exact"):
        assert scorer(name)(one, two) == pytest.approx(scorer(name)(two, one))


def test_of_several_targets_the_nearest_counts_and_of_none_there_is_no_score() -> None:
    score = scorer("rouge1")

    assert best_similarity(score, "a b", ("c", "a b c d", "a b c")) == pytest.approx(80.0)
    assert math.isnan(best_similarity(score, "a b", ()))


def test_an_unknown_similarity_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError) as caught:
        scorer("rouge9")
    assert str(caught.value) == (
        "similarity 'rouge9' is unknown; give one of rouge1, rouge2, rougeL, bleu, chrf, exact"
    )


@pytest.mark.parametrize(("name", "module"), [("rouge1", "rouge_score"), ("bleu", "sacrebleu")])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    for loaded in [key for key in sys.modules if key.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(sys, "meta_path", [_Absent(module), *sys.meta_path])

    with pytest.raises(MissingExtra) as caught:
        scorer(name)

    assert str(caught.value) == (
        f"{module} is not installed; it comes with the extra 'text': pip install 'llm-compat[text]'"
    )
    assert scorer("exact")("a", "a") == 100  # needs nothing


class _Absent:
    """Finds one package to be not installed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
