"""Writes what the official repetition rules say of the pages in `tests/repetition_pages.py`.

`uv run --no-project --python 3.11 --with uniseg==0.10.1 --with nltk==3.10.4 python make_repetition.py DCLM`,
where DCLM is a checkout of github.com/mlfoundations/dclm. Numbers and verdicts are stored, no texts.
"""

import json
import sys
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from repetition_pages import pages  # noqa: E402

RULES: tuple[tuple[str | int, dict[str, Any]], ...] = (
    ("line", {"count_characters": False}),
    ("paragraph", {"count_characters": False}),
    ("line", {}),
    ("paragraph", {}),
    *((n, {}) for n in range(2, 11)),
)
SINGLE: tuple[tuple[str | int, dict[str, Any]], ...] = (
    (1, {"ngram_char_ratio": "most_common"}),
    (3, {"ngram_char_ratio": "all", "ignore_case": True}),
    (7, {"ngram_char_ratio": "most_common"}),
    (12, {"ngram_char_ratio": "all"}),
    ("line", {"ignore_case": True}),
    ("paragraph", {"ignore_case": True, "count_characters": False}),
)


class Limit:
    """A limit that no fraction is above, and that remembers the fraction that was compared with it."""

    value: float | None = None

    def __lt__(self, fraction: float) -> bool:
        self.value = fraction
        return False


def load(dclm: Path) -> Any:
    """The module of the filters, without what its packages import besides (Ray, fastText, transformers)."""
    for name, folder in {
        "baselines": "baselines",
        "baselines.mappers": "baselines/mappers",
        "baselines.mappers.filters": "baselines/mappers/filters",
        "core": "baselines/core",
    }.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(dclm / folder)]
    sys.modules["fasttext"] = types.ModuleType("fasttext")
    sys.modules["unidecode"] = types.ModuleType("unidecode")
    sys.modules["unidecode"].__dict__["unidecode"] = None
    sys.modules["transformers"] = types.ModuleType("transformers")
    sys.modules["transformers"].__dict__["AutoTokenizer"] = None
    from baselines.mappers.filters import content_filters

    return content_filters


def fraction(filters: Any, text: str, granularity: str | int, options: dict[str, Any]) -> float | str | None:
    """The fraction; None where the page is kept without one, "dropped" where it is dropped without one."""
    limit = Limit()
    kept = filters.repetition_filter({"text": text}, granularity, limit, **options)
    return limit.value if kept else "dropped"


def main() -> None:
    """Write the file beside this script."""
    filters = load(Path(sys.argv[1]))
    found = [
        {
            "kept": bool(filters.massive_web_repetition_filters({"text": text})),
            "kept_without_paragraphs": bool(
                filters.massive_web_repetition_filters({"text": text}, skip_paragraph=True)
            ),
            "fractions": [fraction(filters, text, *rule) for rule in RULES],
            "single": [fraction(filters, text, *rule) for rule in SINGLE],
        }
        for text in pages()
    ]
    lines = ",\n".join(json.dumps(page) for page in found)
    (HERE / "repetition_official.json").write_text(f"[\n{lines}\n]\n", encoding="ascii")


if __name__ == "__main__":
    main()
