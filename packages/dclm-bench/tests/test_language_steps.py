import math

import pytest
from dclm_bench.data.page import Page
from dclm_bench.language import steps
from dclm_bench.language.steps import detect_lang_whole_page_enricher, language_filter
from dclm_bench.steps.registry import make_step
from toolkit_shared.errors import InputError

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it sleeps in the sun for a while."
GERMAN = "Die Katze schläft den ganzen Tag auf dem Sofa, und niemand weiß, was sie in der Nacht macht."
# the three texts of the official test of the enricher
MIXED = "This is English.\nDies ist Deutsch, die offizielle Sprache in Deutschland.\nזה עברית"


def enriched(text, **parameters):
    page = Page(text)
    assert detect_lang_whole_page_enricher(**parameters).apply(page) == ()
    return page.record


def kept(record, keep_languages, **parameters):
    step = language_filter(keep_languages, **parameters)
    values = step.apply(Page("x", record))
    return step.rules[0].keeps(values[0])


def test_keys_are_the_official_ones():
    assert list(enriched(ENGLISH, model="fasttext")) == ["language_id_whole_page_fasttext"]
    assert list(enriched(ENGLISH, model="langdetect", key_prefix="lid")) == ["lid_langdetect"]


def test_the_official_mixed_page_is_german_to_both_models():
    assert list(enriched(MIXED, model="langdetect")["language_id_whole_page_langdetect"]) == ["de"]
    assert list(enriched(MIXED, model="fasttext")["language_id_whole_page_fasttext"]) == ["de"]


@pytest.mark.parametrize("text", ["", "     ", "!@#$%^&*()_+"])
@pytest.mark.parametrize("model", ["fasttext", "langdetect"])
def test_blank_pages_have_no_language(text, model):
    assert list(enriched(text, model=model).values()) == [{}]


def test_line_ends_are_deleted_as_officially_or_become_spaces_when_fixed(monkeypatch):
    seen = []
    monkeypatch.setattr(steps, "_built_in", lambda: lambda text: seen.append(text) or {"en": 1.0})
    enriched("one\ntwo", model="fasttext")
    enriched("one\ntwo", model="fasttext", compat="fixed")
    assert seen == ["onetwo", "one two"]


def test_a_page_of_line_ends_is_asked_officially_and_blank_when_fixed(monkeypatch):
    seen = []
    monkeypatch.setattr(steps, "_built_in", lambda: lambda text: seen.append(text) or {})
    enriched("\n\n", model="fasttext")
    enriched("\n\n", model="fasttext", compat="fixed")
    assert seen == [""]


def test_a_model_file_is_asked_for_its_most_likely_label(tmp_path, monkeypatch):
    class Model:
        def predict(self, text, k):
            assert (text, k) == ("onetwo", 1)
            return [("en", 0.75)]

    monkeypatch.setattr("dclm_bench.fasttext.load_fasttext", lambda path: Model())
    steps._loaded.cache_clear()
    record = enriched("one\ntwo", model="fasttext", model_path=str(tmp_path / "lid.176.bin"))
    assert record == {"language_id_whole_page_fasttext": {"en": 0.75}}
    steps._loaded.cache_clear()


def test_a_trained_fasttext_model_names_the_language(tmp_path):
    from dclm_bench.fasttext import train_supervised

    model = train_supervised(
        [ENGLISH, GERMAN] * 20,
        ["en", "de"] * 20,
        dim=4,
        epoch=20,
        lr=0.5,
        bucket=1000,
        min_count=1,
        minn=2,
        maxn=3,
        word_ngrams=1,
        seed=0,
    )
    model.save(tmp_path / "lid.bin")
    record = enriched(GERMAN, model="fasttext", model_path=str(tmp_path / "lid.bin"))
    assert list(record["language_id_whole_page_fasttext"]) == ["de"]


def test_a_key_is_not_overwritten_unless_told():
    record = {"language_id_whole_page_fasttext": {"de": 1.0}}
    with pytest.raises(InputError, match="has 'language_id_whole_page_fasttext' already"):
        detect_lang_whole_page_enricher("fasttext").apply(Page(ENGLISH, dict(record)))
    page = Page(ENGLISH, dict(record))
    detect_lang_whole_page_enricher("fasttext", overwrite=True).apply(page)
    assert list(page.record["language_id_whole_page_fasttext"]) == ["en"]


# The cases of the official test of the filter.
@pytest.mark.parametrize(
    ("found", "keep_languages", "threshold", "expected"),
    [
        ({"en": 0.81}, ["en"], 0.8, True),
        ({"en": 0.79}, ["en"], 0.8, False),
        ({"en": 0.9}, ["es", "fr", "de"], 0.0, False),
        ({"en": 0.5}, ["es", "fr", "en", "de"], 0.8, False),
        ({"en": 0.9}, ["es", "fr", "en", "de"], 0.8, True),
        ({"en": 0.9}, [], 0.0, False),
    ],
)
def test_official_cases_of_the_filter(found, keep_languages, threshold, expected):
    record = {"language_id_whole_page_langdetect": found}
    assert kept(record, keep_languages, threshold=threshold) is expected


def test_the_threshold_itself_is_dropped_and_the_best_language_counts():
    assert not kept({"k": {"en": 0.65}}, ["en"], key="k", threshold=0.65)
    assert kept({"k": {"en": math.nextafter(0.65, 1)}}, ["en"], key="k", threshold=0.65)
    step = language_filter(["en", "de"], key="k")
    assert step.apply(Page("", {"k": {"en": 0.2, "de": 0.7, "fr": 0.9}})) == (0.7,)


def test_a_page_in_another_language_is_dropped_at_any_threshold():
    assert language_filter(["en"], key="k").apply(Page("", {"k": {}})) == (-math.inf,)
    assert not kept({"k": {}}, ["en"], key="k", threshold=-5)


def test_a_page_without_the_key_is_one_line_that_names_the_cure():
    with pytest.raises(
        InputError, match="no languages under 'k'; put detect_lang_whole_page_enricher before"
    ):
        language_filter(["en"], key="k").apply(Page("x"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "cld3"}, "model 'cld3' is not known"),
        ({"model": "fasttext", "seed": 0}, "seed: fastText draws nothing"),
        ({"model": "langdetect", "model_path": "x.bin"}, "model_path: langdetect has no model file"),
    ],
)
def test_unusable_parameters_are_one_line(parameters, message):
    with pytest.raises(InputError, match=message):
        detect_lang_whole_page_enricher(**parameters)


def test_languages_to_keep_are_a_list():
    with pytest.raises(InputError, match="keep_languages: has to be a list"):
        language_filter("en")


def test_the_registry_makes_the_steps_of_the_official_recipes():
    enricher = make_step(
        "detect_lang_whole_page_enricher", {"model": "fasttext", "key_prefix": "language_id_whole_page"}
    )
    keep = make_step(
        "language_filter",
        {"key": "language_id_whole_page_fasttext", "keep_languages": ["en"], "threshold": 0.65},
    )
    for text, expected in ((ENGLISH * 3, True), (GERMAN * 3, False)):
        page = Page(text)
        enricher.apply(page)
        assert keep.rules[0].keeps(keep.apply(page)[0]) is expected
