"""What a split may train on: nothing held out, nothing that shares its text, nothing on both sides."""

import pytest
from dclm_bench.experiment.arms import dedup_arms, extraction_arms, heuristics_arms, language_arms
from dclm_bench.experiment.configuration import settings_for
from dclm_bench.experiment.selection import ranked_pool
from dclm_bench.experiment.splits import draw_split
from dclm_bench.experiment.texts import PageTexts
from toolkit_shared.errors import InputError

SETTINGS = settings_for("smoke")


def page(name, source="page", *, english=True, text=None, **changes):
    text = text or " ".join(f"{name}{number}" for number in range(40))
    values = {"main": text, "all_text": f"menu {text}", "trafilatura": None, "filtered": text} | {
        "gold": f"gold {text}" if source == "article" else None,
        "good": True if source == "labelled" else None,
        "shares": (),
    }
    return PageTexts(id=name, source=source, english=english, **{**values, **changes})


def pages(**changes):
    articles = [page(f"article{number}", "article") for number in range(12)]
    foreign = page("fremd", "article", english=False)
    others = [page(f"page{number}", english=number % 2 == 0) for number in range(20)]
    labelled = [page(f"labelled{number}", "labelled") for number in range(6)]
    return [*articles, foreign, *others, *labelled]


def test_a_split_parts_the_english_articles_and_keeps_all_else():
    split = draw_split(pages(), 0, SETTINGS)
    held_out, positives = ({one.id for one in part} for part in (split.held_out, split.positives))
    assert len(held_out) == len(positives) == 4
    assert not held_out & positives
    assert "fremd" not in held_out | positives
    assert {one.id for one in split.pool} == {one.id for one in pages()} - held_out
    assert list(split.gold.values()) == [f"gold {one.main}" for one in split.held_out]


def test_splits_of_one_number_are_equal_and_of_two_are_not():
    assert draw_split(pages(), 3, SETTINGS) == draw_split(pages(), 3, SETTINGS)
    assert draw_split(pages(), 3, SETTINGS).held_out != draw_split(pages(), 4, SETTINGS).held_out


def test_pages_that_share_text_with_a_held_out_page_are_left_out_and_counted():
    copies = [page(f"copy{number}", shares=(f"article{number}",)) for number in range(12)]
    split = draw_split([*pages(), *copies], 0, SETTINGS)
    held_out = {one.id for one in split.held_out}
    left = {one.id for one in split.pool if one.id.startswith("copy")}
    assert left == {one.id for one in copies if one.shares[0] not in held_out}
    assert split.num_shared == 4


def test_too_few_articles_are_refused():
    with pytest.raises(InputError, match="5 English articles with gold text are too few; give 6"):
        draw_split(pages()[7:], 0, SETTINGS)


def test_arms_of_an_experiment_differ_in_what_it_is_about_and_in_nothing_else():
    split = draw_split(pages(), 0, SETTINGS)
    extraction = extraction_arms(split)
    assert [text.removeprefix("menu ") for text in extraction["all-text"]] == extraction["main-content"]
    assert [text.removeprefix("gold ") for text in extraction["gold"]] == extraction["main-content"]
    assert "trafilatura" not in extraction
    language = language_arms(split)
    foreign = {one.main for one in split.pool if not one.english}
    assert [text for text in language["main-content"] if text not in foreign] == language["english"]
    assert len(foreign) == 11


def test_trafilatura_is_an_arm_where_every_article_has_its_text():
    texts = [page(f"article{number}", "article", trafilatura="its text") for number in range(12)]
    assert extraction_arms(draw_split(texts, 0, SETTINGS))["trafilatura"] == ["its text"] * 8


def test_heuristics_drop_and_edit():
    dropped, edited = page("dropped", filtered=None), page("edited", filtered="shorter")
    arms = heuristics_arms(draw_split([*pages(), dropped, edited], 0, SETTINGS))
    assert {dropped.main, edited.main} <= set(arms["english"])
    assert set(arms["english+heuristics"]) - set(arms["english"]) == {"shorter"}
    assert dropped.main not in arms["english+heuristics"]


def test_deduplication_takes_out_every_planted_copy_and_no_original():
    arms = dedup_arms(draw_split(pages(), 0, SETTINGS), SETTINGS)
    unique = arms["without-copies"]
    assert len(arms["with-copies"]) == len(unique) + 4 * round(0.3 * len(unique))
    assert sorted(set(arms["with-copies"])) == sorted(unique)
    assert sorted(arms["deduplicated"]) == sorted(unique)


def test_no_page_is_both_trained_on_and_ranked():
    split = draw_split([*pages(), page("twice", text=pages()[20].main)], 0, SETTINGS)
    pool = ranked_pool(split, SETTINGS)
    groups = [set(pool.positives), set(pool.negatives), set(pool.ranked)]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert len(pool.ranked) == len(set(pool.ranked))


def test_pages_that_share_text_with_a_positive_one_are_not_ranked():
    near = [page(f"near{number}", shares=(f"article{number}",)) for number in range(12)]
    split = draw_split([*pages(), *near], 1, SETTINGS)
    positives = {one.id for one in split.positives}
    pool = ranked_pool(split, SETTINGS)
    for one in near:
        if one.shares[0] in positives:
            assert one.main not in {*pool.negatives, *pool.ranked}


def test_labelled_pages_are_never_negatives_so_that_they_can_judge_the_classifier():
    for number in range(5):
        pool = ranked_pool(draw_split(pages(), number, SETTINGS), SETTINGS)
        assert not {text for text in pool.negatives if text.startswith("labelled")}
        assert {text for text in pool.ranked if text.startswith("labelled")}
