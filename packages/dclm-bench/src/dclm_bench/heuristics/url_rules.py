"""Rules on a page's address: where it is in the record, and banned words and domains in it."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from dclm_bench.data.page import Page
from dclm_bench.heuristics.banlists import banned_words
from dclm_bench.heuristics.checks import as_strings, require_numbers
from dclm_bench.heuristics.patterns import any_of
from dclm_bench.steps.step import Compat, Rule, Step

URL = "url"
WARC_URL = "WARC-Target-URI"
# With these in a word or an address, letters that differ may count as equal where case makes no difference.
_FOLDS_TO_ASCII = re.compile("[\u0130\u0131\u017f\u212a]")


def move_url_modifier() -> Step:
    """Copies the address of the WARC record, `metadata["WARC-Target-URI"]`, to `url`.

    A page that has none, and a `url` of its own, keeps that: the official code, which only met pages of WARC
    files, fails at it and loses it, and nothing would be gained by that. A page with neither, or with an
    address that is no text, is dropped.

    Source: official `move_url_modifier`.
    """

    def apply(page: Page) -> Sequence[float]:
        metadata = page.record.get("metadata")
        address = metadata.get(WARC_URL) if isinstance(metadata, dict) else None
        if address is None:
            address = page.record.get(URL)
        if not isinstance(address, str):
            return (0,)
        page.record[URL] = address
        return (1,)

    return Step("move_url_modifier", apply, (Rule("has_url", ">=", 1),))


def url_substring_filter(
    banlist: Any = None,
    banlist_from_fname: str | None = None,
    ignore_chars: Any = None,
    num_banned_substrs: int = 1,
    exact_domain_match: bool = False,
    match_substrings: bool = True,
    case_sensitive: bool = False,
    *,
    compat: Compat = "official",
) -> Step:
    """Keeps pages with fewer than `num_banned_substrs` different banned words in their address.

    The value is the number of different words that were found one after the other, without overlaps, the
    longest at a place first. A page without an address is dropped. Where the banlist is one of the official
    repository and is not there, the rule does not apply.

    Args:
        banlist: A word, or a list of them.
        banlist_from_fname: A file with one word a line instead; see `banlists.banned_words`.
        ignore_chars: Strings that are removed from the address before.
        num_banned_substrs: How many different words drop the page.
        exact_domain_match: Whether the words are domains, and the page is dropped where its own (the
            address' network location, port included) is one of them; then the rule has this name.
        match_substrings: Whether a word may stand within another; if not, between word boundaries alone.
        case_sensitive: Whether case makes a difference.
        compat: "fixed": a domain is compared without `www.` before it and without its port, whatever
            `ignore_chars` says. The official recipes remove each "www" and leave the dot after it.

    Source: official `url_substring_filter`; RefinedWeb appendix G.1.
    """
    func = "url_substring_filter"
    require_numbers(func, num_banned_substrs=num_banned_substrs)
    words = banned_words(func, banlist, banlist_from_fname)
    ignored = (
        [] if ignore_chars is None or ignore_chars == [] else as_strings(func, "ignore_chars", ignore_chars)
    )
    rule = (
        Rule("exact_domain_match", "<", 1)
        if exact_domain_match
        else Rule("num_banned_substrs", "<", num_banned_substrs)
    )
    if words is None:
        return Step(func, lambda page: (math.nan,), (rule,))
    if not case_sensitive:
        words = [word.lower() for word in words]
    if exact_domain_match:
        count = _domain_test(set(words), ignored, case_sensitive, compat)
    else:
        count = _word_counter(words, ignored, case_sensitive, match_substrings)

    def apply(page: Page) -> Sequence[float]:
        url = page.record.get(URL)
        return (count(url) if isinstance(url, str) else math.inf,)

    return Step(func, apply, (rule,))


def _domain_test(
    domains: set[str], ignored: list[str], case_sensitive: bool, compat: Compat
) -> Callable[[str], float]:
    if compat == "fixed":
        domains = {domain.removeprefix("www.") for domain in domains}

    def count(url: str) -> float:
        try:
            domain = urlsplit(url).netloc
        except ValueError:  # such as "http://[half an address": the official code fails, and loses the page
            return math.inf
        if not case_sensitive:
            domain = domain.lower()
        if compat == "fixed":
            domain = re.sub(r":\d*$", "", domain.rpartition("@")[2]).removeprefix("www.")
        else:
            for string in ignored:
                domain = domain.replace(string, "")
        return 1 if domain in domains else 0

    return count


def _word_counter(
    words: list[str], ignored: list[str], case_sensitive: bool, match_substrings: bool
) -> Callable[[str], int]:
    inner = any_of(words)
    whole = inner if match_substrings else rf"\b{inner}\b"
    exact = re.compile(whole)
    # The address is in lower case already; what else "ignore case" does concerns four letters alone.
    folding = exact if case_sensitive else re.compile(whole, re.IGNORECASE)
    always_fold = any(_FOLDS_TO_ASCII.search(word) for word in words)

    def count(url: str) -> int:
        if not case_sensitive:
            url = url.lower()
        for string in ignored:
            url = url.replace(string, "")
        pattern = exact if url.isascii() and not always_fold else folding
        return len(set(pattern.findall(url)))

    return count
