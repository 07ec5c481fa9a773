import math
import re
from pathlib import Path
from typing import Any

import pytest
from dclm_bench.data.page import Page
from dclm_bench.heuristics.banlists import shipped_list
from dclm_bench.heuristics.patterns import any_of
from dclm_bench.heuristics.url_removal import DomainAddresses
from dclm_bench.recipe import build_steps, load_recipe
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import Compat, Step, keeps_all
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit_shared.errors import InputError

DOMAINS = ["com", "co", "uk", "org", "vi", "th", "測試"]


def build(func: str, compat: Compat = "official", **parameters: Any) -> Step:
    step = make_step(func, parameters, compat=compat)
    assert isinstance(step, Step)
    return step


def hits(url: Any, compat: Compat = "official", **parameters: Any) -> float:
    (value,) = build("url_substring_filter", compat, **parameters).apply(Page("", {"url": url}))
    return value


def without_urls(text: str, compat: Compat = "official") -> str:
    page = Page(text, {})
    build("url_removal_modifier", compat).apply(page)
    return page.text


def test_different_banned_words_are_counted_without_overlaps() -> None:
    url = "https://www.badword123-badword2.example/badword2"
    words = ["badword1", "badword2", "badword3", "word123"]
    assert hits(url, banlist=words) == 2
    assert hits(url, banlist=words, match_substrings=False) == 1
    step = build("url_substring_filter", banlist=words, num_banned_substrs=2)
    assert not keeps_all(step.rules, step.apply(Page("", {"url": url})))
    step = build("url_substring_filter", banlist=words, num_banned_substrs=3)
    assert keeps_all(step.rules, step.apply(Page("", {"url": url})))


def test_signs_that_split_a_word_can_be_passed_over() -> None:
    assert hits("https://ba-dwo.rd.example", banlist="badword") == 0
    assert hits("https://ba-dwo.rd.example", banlist="badword", ignore_chars=["-", "."]) == 1


def test_case_makes_a_difference_only_if_asked() -> None:
    assert hits("https://x.example/BadWord", banlist="badword") == 1
    assert hits("https://x.example/BadWord", banlist="badword", case_sensitive=True) == 0
    assert hits("https://x.example/BadWord", banlist="BadWord", case_sensitive=True) == 1
    # The long s is an s for a regular expression that ignores case, though not in lower case.
    assert hits("https://x.example/\u017fex", banlist="sex") == 1


def test_a_domain_is_banned_as_a_whole() -> None:
    domains: dict[str, Any] = {
        "banlist": ["le.example", ".www-less.example"],
        "exact_domain_match": True,
        "ignore_chars": ["www"],
    }
    assert hits("https://google.le.example/", **domains) == 0
    assert hits("https://LE.example/a", **domains) == 1
    assert hits("https://le.example:80/a", **domains) == 0
    assert hits("https://www.www-less.example", **{**domains, "banlist": [".-less.example"]}) == 1
    assert hits("https://www.le.example/", **domains) == 0  # ".le.example" is left
    for url in ("https://www.le.example/", "http://user@le.example:80/a"):
        assert hits(url, "fixed", **domains) == 1


def test_a_page_without_a_usable_address_is_dropped() -> None:
    assert hits(None, banlist="x") == math.inf
    assert hits("http://[bad", banlist="x", exact_domain_match=True) == math.inf
    assert hits("http://[bad", banlist="bad") == 1


def test_a_banlist_is_read_from_a_file_and_its_empty_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("alpha\n\nbeta\n", encoding="utf-8")
    name = str(tmp_path / "words.txt")
    assert hits("http://alpha.example/beta", banlist_from_fname=name, banlist=["example"]) == 2
    assert hits("http://gamma.example", banlist_from_fname=name) == 0


def test_the_address_of_the_warc_record_is_copied() -> None:
    step = build("move_url_modifier")
    page = Page("", {"metadata": {"WARC-Target-URI": "http://a.example"}, "url": "old"})
    assert keeps_all(step.rules, step.apply(page))
    assert page.record["url"] == "http://a.example"
    assert not keeps_all(step.rules, step.apply(Page("", {"metadata": None})))


def test_a_page_that_is_from_no_warc_keeps_its_own_address() -> None:
    step = build("move_url_modifier")
    page = Page("", {"url": "http://a.example"})

    assert keeps_all(step.rules, step.apply(page))
    assert page.record["url"] == "http://a.example"


@pytest.mark.parametrize("address", [5, None, ["http://a.example"], {}])
def test_an_address_that_is_no_text_drops_the_page_before_a_later_step_stops_at_it(address: Any) -> None:
    step = build("move_url_modifier")
    record = {"metadata": {"WARC-Target-URI": address}}
    assert not keeps_all(step.rules, step.apply(Page("", record)))


@pytest.mark.parametrize(
    ("text", "official", "fixed"),
    [
        # Trap 1 of the specification: "hello" begins with no top-level domain, "Visit" with .vi.
        ("hello https://foo.com/bar?x=1 bye", "hello https://foo.com/bar?x=1 bye", "hello bye"),
        ("Visit www.example.com now please", "Visit now please", "Visit now please"),
        ("THE end.The next", "THE end.The next", "THE end.The next"),
        ("the a@b.co.uk, x.org)", "the,", "the,"),
        ("the" + " " * 12 + "x.com/a(b)#c", "the  ", "the  "),
        ("hello 10.0.0.1:8080/x bye", "hello bye", "hello bye"),
        ("hello ftp://192.168.1.12/a b", "hello b", "hello b"),
        ("hello 1.2.3 bye", "hello 1.2.3 bye", "hello 1.2.3 bye"),
        ("the x.comb", "the x.comb", "the x.comb"),
    ],
)
def test_addresses_are_cut_out_of_texts(text: str, official: str, fixed: str) -> None:
    assert without_urls(text) == official
    assert without_urls(text, "fixed") == fixed


def test_a_text_that_is_an_address_alone_is_dropped() -> None:
    step = build("url_removal_modifier")
    assert not keeps_all(step.rules, step.apply(Page("com.example.com", {})))


PIECES = st.sampled_from(
    [".", "com", "co", "uk", "org", "測試", "a", "http://", " ", "\n", "\xa0" * 11, "-", "é", "(", ",", "/"]
)


@given(st.lists(PIECES, max_size=25).map("".join))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_a_search_around_the_dots_finds_what_a_search_of_the_whole_text_finds(text: str) -> None:
    host, tail = "-a-zA-Z0-9@:%._+~#=", "-a-zA-Z0-9()@:%_+.~#?&/="
    whole = re.compile(rf"\s{{0,10}}(?:(?:https?|ftp)://)?[{host}]{{1,256}}\.{any_of(DOMAINS)}\b[{tail}]*")
    assert DomainAddresses(DOMAINS).cut(text) == whole.sub("", text)


def test_the_list_of_domains_is_that_of_the_official_repository() -> None:
    assert len(shipped_list("iana_tlds.txt").splitlines()) == 1591


def test_a_rule_whose_official_list_is_not_there_does_not_apply() -> None:
    step = build("url_substring_filter", banlist_from_fname="lists/refinedweb_banned_domains_curated.txt")

    (value,) = step.apply(Page("", {"url": "http://any.example"}))

    assert math.isnan(value)


def test_the_official_lists_are_taken_from_a_folder_that_is_named(tmp_path: Path) -> None:
    name = "refinedweb_banned_words_strict_reverse_engineered.txt"
    (tmp_path / name).write_text("bigwin\n")
    recipe = load_recipe("refinedweb")

    found = recipe.with_lists(tmp_path)

    assert "strict_url_words" in recipe.missing_lists()
    assert set(recipe.missing_lists()) - set(found.missing_lists()) == {"strict_url_words"}
    (step,) = [named.step for named in build_steps(found) if named.name == "strict_url_words"]
    assert isinstance(step, Step)
    assert step.apply(Page("", {"url": "http://big-win.example"})) == (1,)


def test_a_folder_of_lists_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--lists: .* is no folder"):
        load_recipe("refinedweb").with_lists(tmp_path / "none")
