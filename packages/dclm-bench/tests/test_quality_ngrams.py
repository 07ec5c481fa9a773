"""Back-off n-gram models against probabilities added up by hand, and files that are no such model."""

import gzip
import json
from pathlib import Path

import pytest
from dclm_bench.data.page import Page
from dclm_bench.quality.ngram_perplexity import kenlm_perplexity_enricher, read_arpa
from dclm_bench.quality.ngram_text import normalize_for_ngrams
from toolkit_shared.errors import InputError

ARPA = """\
made by hand

\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-1.5\t<unk>
-99\t<s>\t-0.5
-1.0\t</s>
-0.5\ta\t-0.25
-0.75\tb\t-0.125

\\2-grams:
-0.3\t<s> a\t-0.1
-0.4\ta b\t-0.2
-0.6\tb </s>

\\3-grams:
-0.05\t<s> a b

\\end\\
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "model.arpa").write_text(ARPA)
    return tmp_path / "model.arpa"


@pytest.mark.parametrize(
    ("sentence", "score"),
    [
        # a after <s>; b after <s> a; </s> after a b, which backs off once to b </s>
        ("a b", -0.3 + -0.05 + (-0.2 - 0.6)),
        # b after <s> backs off to b; a after <s> b, which is unknown, and b; </s> after b a: a's own
        ("b a", (-0.5 - 0.75) + (-0.125 - 0.5) + (-0.25 - 1.0)),
        ("", -0.5 - 1.0),
        # an unknown word; after it nothing is known, and it has no back-off weight
        ("x", (-0.5 - 1.5) + -1.0),
    ],
)
def test_a_sentence_has_the_sum_of_the_longest_known_ngrams_and_backoffs(
    path: Path, sentence: str, score: float
) -> None:
    assert read_arpa(path).score(sentence.split()) == pytest.approx(score)


def test_sentences_have_the_scores_of_kenlm(tmp_path: Path) -> None:
    golden = json.loads((Path(__file__).parent / "goldens" / "kenlm_0.3.0_scores.json").read_text())
    (tmp_path / "model.arpa").write_text(golden["arpa"])
    model = read_arpa(tmp_path / "model.arpa")

    # KenLM adds in float32
    found = [model.score(sentence.split()) for sentence in golden["sentences"]]
    assert found == pytest.approx(golden["scores"], abs=1e-5)
    assert len(set(golden["scores"])) > 30


def test_perplexity_counts_the_end_of_each_line(path: Path) -> None:
    model = read_arpa(path)

    assert model.perplexity([["a", "b"]]) == pytest.approx(10 ** (1.15 / 3))
    assert model.perplexity([["a", "b"], ["a", "b"]]) == pytest.approx(10 ** (1.15 / 3))
    assert model.perplexity([]) is None


def test_a_packed_model_is_the_same(path: Path, tmp_path: Path) -> None:
    (tmp_path / "model.arpa.gz").write_bytes(gzip.compress(path.read_bytes()))

    assert read_arpa(tmp_path / "model.arpa.gz") == read_arpa(path)


def test_the_official_step_glues_lines_and_the_fixed_one_does_not(path: Path) -> None:
    pages = {"official": Page("a\nb"), "fixed": Page("a\nb")}
    kenlm_perplexity_enricher(str(path)).apply(pages["official"])
    kenlm_perplexity_enricher(str(path), compat="fixed").apply(pages["fixed"])

    model = read_arpa(path)
    assert pages["official"].record["kenlm_perplexity"] == model.perplexity([["ab"]])
    assert pages["fixed"].record["kenlm_perplexity"] == model.perplexity([["a"], ["b"]])


def test_an_empty_page_has_no_perplexity(path: Path) -> None:
    page = Page(" \n ")
    kenlm_perplexity_enricher(str(path)).apply(page)

    assert page.record == {"kenlm_perplexity": None}


def test_text_is_made_plain_as_the_models_expect_it() -> None:
    assert (
        normalize_for_ngrams(" Born 1984\u2014\u201cyes\u201d\uff0c no\u2026\x07 ")
        == 'Born 0000 - "yes", no...'
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("\\data\\", ""), "no line"),
        (lambda text: text.replace("\\end\\", ""), "ends early"),
        (lambda text: text.replace("ngram 2=3", "ngram 2=4"), "declares"),
        (lambda text: text.replace("-0.5\ta", "x\ta"), "could not convert"),
        (lambda text: text.replace("\\3-grams:", "\\99-grams:"), "99 words"),
        (lambda text: text.replace("-0.05\t<s> a b", "-0.05"), "no n-gram"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(path: Path, change: object, reason: str) -> None:
    assert callable(change)
    path.write_text(change(ARPA))
    with pytest.raises(InputError, match=rf"model\.arpa: .*{reason}"):
        read_arpa(path)
