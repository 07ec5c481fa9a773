"""Steps that make a page's text out of other fields of its record: questions with answers, files of code."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from dclm_bench.data.page import Page
from dclm_bench.heuristics.checks import require_numbers
from dclm_bench.steps.step import Rule, Step

_HAS_QUESTION = Rule("has_question", ">=", 1)
_HAS_FILES = Rule("has_files", ">=", 1)


def stackexchange_list_modifier() -> Step:
    """Puts a star on a new line in the place of the tags of HTML lists, in question and answers.

    A page without a question is dropped.

    Source: official `stackexchange_list_modifier`; RedPajama v1.
    """

    def edit(html: str) -> str:
        return html.replace("<li>", "\n*").replace("</li>", "").replace("<ol>", "\n*").replace("</ol>", "")

    return Step("stackexchange_list_modifier", _on_posts(edit), (_HAS_QUESTION,))


def stackexchange_answer_sort_modifier(descending: bool = True) -> Step:
    """Sorts the answers of the record by their `score`, 0 where there is none; drops nothing.

    Source: official `stackexchange_answer_sort_modifier`; RedPajama v1.
    """

    def apply(page: Page) -> Sequence[float]:
        answers = page.record.get("answers")
        if isinstance(answers, list):
            page.record["answers"] = sorted(
                answers, key=lambda post: post.get("score", 0), reverse=descending
            )
        return ()

    return Step("stackexchange_answer_sort_modifier", apply)


def stackexchange_qa_formatter(remove_qa: bool = False) -> Step:
    """Makes the text of question and answers: "Q: ...", and "A: ..." on a new line for each answer.

    A page without a question is dropped.

    Args:
        remove_qa: Whether the fields `question` and `answers` are removed from the record.

    Source: official `stackexchange_qa_formatter`; RedPajama v1.
    """

    def apply(page: Page) -> Sequence[float]:
        posts = _posts(page)
        if posts is None:
            return (0,)
        text = f"Q: {posts[0]['text']}"
        if "answers" in page.record:
            text += "\nA: " + "\nA: ".join(post["text"] for post in posts[1:])
        page.text = text
        if remove_qa:
            page.record.pop("question", None)
            page.record.pop("answers", None)
        return (1,)

    return Step("stackexchange_qa_formatter", apply, (_HAS_QUESTION,), edits=True)


def starcoder_v2_format_modifier(
    add_metadata_prob: float = 0.5, add_sentinels: bool = True, seed: int = 0
) -> Step:
    """Makes one text of the `files` of a repository, with all names for a share of the pages.

    A page without files is dropped. Whether a page gets the names depends on the seed and its files alone;
    the official code draws without a seed.

    Args:
        add_metadata_prob: The share of pages with names.
        add_sentinels: Whether `<repo_name>` and `<file_sep>` are written; else two newlines part the files.
        seed: Of the draw.

    Source: official `starcoder_v2_format_modifier`; StarCoder 2 (Lozhkov et al., 2024), section 5.3.
    """
    func = "starcoder_v2_format_modifier"
    require_numbers(func, add_metadata_prob=add_metadata_prob, seed=seed)
    if not 0 <= add_metadata_prob <= 1:
        raise InputError(f"{func}: add_metadata_prob is {add_metadata_prob}; give a number from 0 to 1")

    def apply(page: Page) -> Sequence[float]:
        files = page.record.get("files")
        if not isinstance(files, list) or not all(_is_file(file) for file in files):
            return (0,)
        joined = "".join(file["text"] for file in files).encode("utf-8", "surrogatepass")
        index = int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "little")
        if stream(seed, func, index).random() < add_metadata_prob:
            text = f"<repo_name>{page.record.get('repo_name', '')}"
            text += "".join(f"<file_sep>{file['filename']}\n{file['text']}" for file in files)
        else:
            text = "".join(f"<file_sep>{file['text']}" for file in files)
        if not add_sentinels:
            text = text.replace("<file_sep>", "\n\n").replace("<repo_name>", "").strip()
        page.text = text
        return (1,)

    return Step(func, apply, (_HAS_FILES,), edits=True)


def _is_file(file: Any) -> bool:
    return isinstance(file, dict) and all(isinstance(file.get(key), str) for key in ("filename", "text"))


def _posts(page: Page) -> list[dict[str, Any]] | None:
    """The question and the answers; None where one of them is no post."""
    answers = page.record.get("answers", [])
    posts = [page.record.get("question"), *(answers if isinstance(answers, list) else [None])]
    if all(isinstance(post, dict) and isinstance(post.get("text"), str) for post in posts):
        return posts
    return None


def _on_posts(edit: Callable[[str], str]) -> Callable[[Page], Sequence[float]]:
    """A function that edits the texts of question and answers; copies, so that what was read stays."""

    def apply(page: Page) -> Sequence[float]:
        posts = _posts(page)
        if posts is None:
            return (0,)
        edited = [{**post, "text": edit(post["text"])} for post in posts]
        page.record["question"] = edited[0]
        if "answers" in page.record:
            page.record["answers"] = edited[1:]
        return (1,)

    return apply
