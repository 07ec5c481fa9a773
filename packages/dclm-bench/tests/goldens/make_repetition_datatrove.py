"""Writes what datatrove's repetition filter says of the pages in `tests/repetition_pages.py`, and its words.

`uv run --no-project --python 3.11 --with datatrove==0.10.0 --with spacy==3.8.7 python
make_repetition_datatrove.py`. The words are spaCy's, as datatrove has them.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from datatrove.data import Document  # noqa: E402
from datatrove.pipeline.filters import gopher_repetition_filter as gopher  # noqa: E402
from datatrove.utils.text import split_into_words  # noqa: E402
from repetition_pages import pages  # noqa: E402

VERSIONS = {"datatrove": "0.10.0", "spacy": "3.8.7"}


def numbers(text: str) -> list[float | None]:
    """The filter's fractions in its order; None where there is no n-gram."""
    words = split_into_words(text, "eng")
    found: list[float | None] = []
    for parts in (gopher.re.split(r"\n{2,}", text.strip()), gopher.re.split("\n+", text)):
        repeats, characters = gopher.find_duplicates(parts)
        found += [repeats / len(parts), characters / len(text)]
    for n in (2, 3, 4):
        ngrams = gopher.get_n_grams(words, n)
        found.append(gopher.find_top_duplicate(ngrams) / len(text) if ngrams else None)
    return found + [gopher.find_all_duplicate(words, n) / len(text) for n in range(5, 11)]


def reason(text: str) -> str:
    """Why the page is dropped; empty if it is kept."""
    found = gopher.GopherRepetitionFilter().filter(Document(text=text, id=""))
    return "" if found is True else found[1]


def judge(text: str) -> dict[str, object]:
    """What is stored of a page."""
    words = split_into_words(text, "eng")
    return {"reason": reason(text), "fractions": numbers(text), "words": words}


def main() -> None:
    """Write the file beside this script."""
    for name, wanted in VERSIONS.items():
        assert version(name) == wanted, f"this is {name} {version(name)}"
    of_pages = [judge(text) if text else None for text in pages()]
    lines = ",\n".join(json.dumps(page) for page in of_pages)
    (HERE / "repetition_datatrove.json").write_text(f'{{"pages": [\n{lines}\n]}}\n', encoding="ascii")


if __name__ == "__main__":
    main()
