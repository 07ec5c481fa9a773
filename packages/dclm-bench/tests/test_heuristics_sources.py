"""LaTeX sources, questions with answers, and repositories of code."""

from typing import Any

import pytest
from dclm_bench.data.page import Page
from dclm_bench.heuristics import COMPAT, STEPS
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import Compat, Step, keeps_all

# What a step needs to be made at all.
NEEDED: dict[str, dict[str, Any]] = {
    "page_length_filter": {"length_type": "word"},
    "substring_filter": {"banlist": "a"},
    "substring_line_modifier": {"banlist": "a"},
    "url_substring_filter": {"banlist": "a"},
    "word_removal_ratio_filter": {"prev_word_count_key": "count"},
}


def run(
    func: str, text: str, record: dict[str, Any] | None = None, compat: Compat = "official", **options: Any
) -> Page | None:
    """The page after a step; None where it is dropped."""
    step = make_step(func, options, compat=compat)
    assert isinstance(step, Step)
    page = Page(text, {} if record is None else record)
    return page if keeps_all(step.rules, step.apply(page)) else None


def text_of(page: Page | None) -> str | None:
    return None if page is None else page.text


@pytest.mark.parametrize(
    ("func", "text", "expected"),
    [
        # All by the official functions.
        ("arxiv_appendix_modifier", "a\n\\appendix b", "a\n"),
        ("arxiv_appendix_modifier", "a \\bibliography{x\ny} \\appendix", "a "),
        ("arxiv_appendix_modifier", "\\begin{references} a", None),
        ("arxiv_comment_modifier", "a\n% b\nc % d\n50\\% e", "a\nc\n50\\% e"),
        ("arxiv_comment_modifier", "% a", None),
        ("arxiv_macro_modifier", "\\def\\yy{\\alpha}\n\\yy+\\yyy", "\\def\\alpha{\\alpha}\n\\alpha+\\yyy"),
        ("arxiv_macro_modifier", "\\newcommand{\\e}{\u00e9}\n\\e.", None),
        ("arxiv_section_strip_modifier", "a \\section*{B} c", "\\section*{B} c"),
        ("arxiv_section_strip_modifier", "a \\paragraph{B} c", None),
        ("arxiv_section_strip_modifier", "a", None),
    ],
)
def test_latex_is_cleaned_as_officially(func: str, text: str, expected: str | None) -> None:
    assert text_of(run(func, text)) == expected


def test_blocks_of_comments_go_if_asked() -> None:
    text = "a\\begin{comment}b\n\\end{comment}c"
    assert text_of(run("arxiv_comment_modifier", text)) == text
    assert text_of(run("arxiv_comment_modifier", text, remove_multiline=True)) == "ac"


def test_the_fixed_rules_for_latex_know_accents_and_paragraphs() -> None:
    page = run("arxiv_macro_modifier", "\\newcommand{\\e}{\u00e9}\n\\e.", compat="fixed")
    assert text_of(page) == "\\newcommand{\u00e9}{\u00e9}\n\u00e9."
    assert (
        text_of(run("arxiv_section_strip_modifier", "a \\paragraph{B}", compat="fixed")) == "\\paragraph{B}"
    )


def test_a_text_is_made_of_a_question_and_its_answers_in_order_of_score() -> None:
    record = {
        "question": {"text": "<ol><li>why</li></ol>"},
        "answers": [{"text": "no score"}, {"text": "best", "score": 3}, {"text": "worst", "score": -1}],
    }
    page = run("stackexchange_list_modifier", "", record)
    assert page is not None
    for func in ("stackexchange_answer_sort_modifier", "stackexchange_qa_formatter"):
        page = run(func, page.text, page.record)
        assert page is not None
    assert page.text == "Q: \n*\n*why\nA: best\nA: no score\nA: worst"
    short = run("stackexchange_qa_formatter", "", {"question": {"text": "q"}}, remove_qa=True)
    assert short is not None
    assert (short.text, short.record) == ("Q: q", {})
    assert run("stackexchange_qa_formatter", "", {"answers": []}) is None


def test_a_text_is_made_of_the_files_of_a_repository() -> None:
    record = {
        "repo_name": "r",
        "files": [{"filename": "a.py", "text": "1"}, {"filename": "b.py", "text": "2"}],
    }
    func = "starcoder_v2_format_modifier"
    named = run(func, "", record, add_metadata_prob=1.0)
    plain = run(func, "", record, add_metadata_prob=0.0)
    bare = run(func, "", record, add_metadata_prob=0.0, add_sentinels=False)
    assert text_of(named) == "<repo_name>r<file_sep>a.py\n1<file_sep>b.py\n2"
    assert text_of(plain) == "<file_sep>1<file_sep>2"
    assert text_of(bare) == "1\n\n2"
    assert run(func, "", {}) is None


@pytest.mark.parametrize("func", sorted(set(STEPS) - {"line_dedup"}))
@pytest.mark.parametrize("compat", ["official", "fixed", "datatrove"])
def test_every_step_gives_a_value_a_rule_for_any_page(func: str, compat: Compat) -> None:
    step = make_step(func, NEEDED.get(func, {}), compat=compat)
    assert isinstance(step, Step)
    assert step.func == func
    for text in ("", "\n", " \t", "\ud800", "\0", "a\n\n\nb", "Å" * 300, "x.com " * 50, "http://1.2.3.4"):
        for record in (
            {},
            {"url": 3, "metadata": [], "files": 1, "question": "q", "answers": 2, "filename": None},
        ):
            page = Page(text, {**record, "count": 3})
            assert len(step.apply(page)) == len(step.rules)
            assert step.edits or page.text == text


def test_the_table_of_mends_names_steps_that_know_compat() -> None:
    for func, _, _ in COMPAT:
        assert func in STEPS
