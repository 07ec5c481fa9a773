import random
from pathlib import Path

import langdetect
import numpy as np
import pytest
from dclm_bench.language import langdetect_method
from dclm_bench.language.built_in import identify_language, language_shares, languages
from dclm_bench.language.langdetect_method import detect_languages
from dclm_bench.language.ngram_profiles import load_profiles
from dclm_bench.text.code_points import code_points
from hypothesis import example, given
from hypothesis import strategies as st
from langdetect.detector import Detector
from langdetect.detector_factory import DetectorFactory, init_factory
from langdetect.lang_detect_exception import LangDetectException

# Article 1 of the Universal Declaration of Human Rights, which is in the public domain.
ARTICLE = dict(
    line.split(": ", 1)
    for line in (Path(__file__).with_name("goldens") / "human_rights_article_1.txt")
    .read_text(encoding="utf-8")
    .splitlines()
)
SAMPLES = [
    *ARTICLE.values(),
    ARTICLE["en"] + "\n" + ARTICLE["de"],
    "http://www.example.com/foo?x=1 mail me@example.com Bonjour tout le monde",
    "IN CAPITALS EXCEPT Mixed wOrds",
    "Привет, мир hello, and some more Latin words",
    "日本語のテキストです。english",
    "a  b   c",
    "𐐀𐐁 hello 😀 world",
    "Tiê\u0301ng Viê\u0323t",
]


def theirs(text):
    """What the langdetect library says under seed 0."""
    DetectorFactory.seed = 0
    try:
        return {found.lang: found.prob for found in langdetect.detect_langs(text)}
    except LangDetectException:
        return {}


@given(st.text(max_size=60))
@example(SAMPLES[0])
@example(SAMPLES[11])
@example(SAMPLES[12])
@example(SAMPLES[13])
def test_ngrams_are_those_of_langdetect_in_the_same_order(text):
    profiles = load_profiles()
    names = {}
    init_factory()
    detector = Detector(langdetect.detector_factory._factory)
    detector.text = text
    expected = detector._extract_ngrams()
    rows, _ = profiles.ngrams(code_points(text))
    assert len(rows) == len(expected)
    for row, ngram in zip(rows, expected, strict=True):
        assert names.setdefault(int(row), ngram) == ngram


@given(st.text("aZ привет\u1ea1日 _", max_size=40))
@example("ab приве")
@example("ab привет")
def test_cleaning_is_that_of_langdetect(text):
    init_factory()
    detector = Detector(langdetect.detector_factory._factory)
    detector.append(text)
    detector.cleaning_text()
    composed = langdetect_method._without_addresses(text)
    codes = langdetect_method._collapse_spaces(code_points(composed))
    kept = langdetect_method._without_foreign_latin(codes)
    assert kept.tolist() == code_points(detector.text).tolist()


@pytest.mark.parametrize("text", SAMPLES)
def test_languages_and_probabilities_are_those_of_langdetect(text):
    found, expected = detect_languages(text, 0), theirs(text)
    assert list(found) == list(expected)
    assert list(found.values()) == pytest.approx(list(expected.values()), abs=1e-12)


def test_only_the_first_ten_thousand_characters_count_as_in_langdetect():
    text = (ARTICLE["en"] + " ") * 60 + (ARTICLE["ru"] + " ") * 200
    assert detect_languages(text, 0) == pytest.approx(theirs(text), abs=1e-12)
    assert list(detect_languages(text, 0)) == ["en"]


def test_a_seed_fixes_the_draws_and_none_is_seed_zero():
    text = "Ein, zwei, drei, vier"
    assert detect_languages(text) == detect_languages(text, 0)
    assert detect_languages(text, 5) == detect_languages(text, 5)


@pytest.mark.parametrize("text", ["", "   ", "123 456", "\n\n", "!?"])
def test_a_text_without_letters_has_no_language(text):
    assert detect_languages(text) == {}
    assert identify_language(text) == {}


@pytest.mark.parametrize("language", ARTICLE)
def test_the_built_in_identifier_knows_ten_languages_from_one_paragraph(language):
    found = identify_language(ARTICLE[language])
    assert list(found) == [language]
    assert found[language] > 0.65


def test_codes_are_two_letters_and_chinese_is_one_language():
    assert len(languages()) == 54
    assert {"zh", "en"} <= set(languages())
    assert not any("-" in code for code in languages())


@pytest.mark.parametrize("tenths", range(11))
def test_the_figure_is_the_share_of_the_text_that_is_in_the_language(tenths):
    block = 300
    english, german = (ARTICLE["en"] + " ") * 20, (ARTICLE["de"] + " ") * 20
    text = english[: tenths * block] + german[: (10 - tenths) * block]
    share = language_shares(text)[languages().index("en")]
    assert share == pytest.approx(tenths / 10, abs=0.08)
    assert (share > 0.65) == (tenths >= 7)


def test_letters_of_a_script_that_no_profile_has_count_in_the_whole():
    georgian = "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით "
    text = georgian * 3 + ARTICLE["en"]
    share = language_shares(text)[languages().index("en")]
    assert 0.2 < share < 0.5
    assert identify_language(georgian) == {}


def test_words_in_capitals_are_read_in_small_letters():
    for language in ("en", "de", "fr"):
        upper, lower = ARTICLE[language].upper(), ARTICLE[language].lower()
        assert language_shares(upper) == pytest.approx(language_shares(lower), abs=0.02)
        assert identify_language(upper)[language] > 0.9


@given(st.text(max_size=400))
def test_shares_are_between_zero_and_one_and_sum_to_one_at_most(text):
    shares = language_shares(text)
    assert (shares >= 0).all()
    assert shares.sum() <= 1 + 1e-9


def test_long_texts_are_sampled_evenly():
    generator = random.Random(1)
    parts = [ARTICLE["en"]] * 300 + [ARTICLE["fr"]] * 300
    generator.shuffle(parts)
    share = language_shares(" ".join(parts))[languages().index("en")]
    assert 0.3 < share < 0.7
    ends = language_shares(ARTICLE["en"] * 100 + ARTICLE["fr"] * 100)[languages().index("en")]
    assert ends == pytest.approx(0.5, abs=0.08)


def test_profiles_are_shares_among_ngrams_of_one_length():
    profiles = load_profiles()
    assert profiles.probabilities.min() == 0
    assert profiles.probabilities.max() < 1
    rows, letters = profiles.ngrams(code_points("the"))
    assert letters == 3
    # t, " t", h, "th", " th", e, "he", "the"
    assert len(rows) == 8
    english = profiles.languages.index("en")
    assert np.argmax(profiles.probabilities[rows[7]]) == english
