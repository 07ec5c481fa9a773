import time

import pytest
from crawl_records import FIRST_LINE, HTML
from dclm_bench.extraction.article_score import score_articles, shingles
from dclm_bench.extraction.html import MAX_DEPTH, ExtractionError, extract_text, nesting_depth
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.extract.html2text import extract_plain_text
from toolkit_shared.errors import InputError


def test_the_main_content_leaves_out_navigation_and_all_text_keeps_it():
    main, everything = extract_text(HTML.decode()), extract_text(HTML.decode(), extractor="resiliparse-all")
    assert FIRST_LINE in main
    assert "Home" not in main
    assert FIRST_LINE in everything
    assert "Home" in everything
    assert extract_text(HTML.decode(), main_content=False) == everything


@given(st.text(max_size=200))
def test_the_text_is_that_of_resiliparse(text):
    html = f"<html><body><p>{text}</p></body></html>"
    assert extract_text(html) == extract_plain_text(html, main_content=True)


def test_text_that_is_no_html_passes_through_with_its_lines_joined():
    assert extract_text("plain text\nof two lines") == "plain text of two lines"
    assert extract_text("") == ""


def test_an_unknown_extractor_and_one_that_is_not_installed_are_one_line():
    with pytest.raises(InputError, match="extractor: 'bs4' is no extractor of HTML"):
        extract_text("<p>", extractor="bs4")
    with pytest.raises(InputError, match=r"trafilatura is not installed.*pip install trafilatura"):
        extract_text("<p>", extractor="trafilatura")


def test_depth_is_counted_from_tags_and_tags_that_do_not_nest_are_left_out():
    assert nesting_depth("<div><div><p><br><img></div></div>") == 2
    assert nesting_depth("<p>" * 100 + "<li>" * 100) == 0
    assert nesting_depth("<b>" * 5 + "</b>" * 5 + "<b>" * 3) == 5


def test_a_page_that_nests_without_end_is_refused_at_once():
    started = time.process_time()
    with pytest.raises(ExtractionError, match="nested more than 4,000 deep"):
        extract_text("<html><body>" + "<div>" * 200_000 + "x")
    assert time.process_time() - started < 2


def test_a_long_flat_page_is_not_refused():
    assert extract_text("<html><body>" + "<div>a</div>" * (3 * MAX_DEPTH), main_content=False).count("a") == (
        3 * MAX_DEPTH
    )


def test_shingles_are_runs_of_four_words_counted():
    assert shingles("a b, c d a b c d") == {
        ("a", "b", "c", "d"): 2,
        ("b", "c", "d", "a"): 1,
        ("c", "d", "a", "b"): 1,
        ("d", "a", "b", "c"): 1,
    }
    assert shingles("one two") == {("one", "two"): 1}
    assert shingles("...") == {}


def test_the_score_of_an_article_by_hand():
    # five true shingles, of which two are found, among four that were given
    score = score_articles([("a b c d e f g h", "a b c d e x y"), ("t u v w", "t u v w")])
    assert score.precision == pytest.approx((2 / 4 + 1) / 2)
    assert score.recall == pytest.approx((2 / 5 + 1) / 2)
    assert score.f1 == pytest.approx(2 * 0.75 * 0.7 / 1.45)


def test_an_article_in_which_nothing_is_found_counts_in_recall_only():
    score = score_articles([("a b c d", ""), ("a b c d", "a b c d")])
    assert (score.precision, score.recall) == (1.0, 0.5)
    with pytest.raises(ValueError, match="no article"):
        score_articles([("a b c d", "")])
