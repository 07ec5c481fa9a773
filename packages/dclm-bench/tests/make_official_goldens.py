"""Write `goldens/official_heuristics.json`: the official code's decisions on pages that this script makes up.

    uv run --isolated --no-project --python 3.11 \
        --with uniseg==0.10.1 --with retrie==0.3.1 --with nltk==3.8.1 \
        --with fasttext-wheel==0.9.2 --with "numpy<2" --with unidecode --with justext --with beautifulsoup4 \
        --with "lxml[html_clean]" --with pyyaml \
        python packages/dclm-bench/tests/make_official_goldens.py CHECKOUT_OF_MLFOUNDATIONS_DCLM

The pages are strings of common words and of what the rules look for; no text of others is in them.
"""

import copy
import hashlib
import importlib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
OUT = Path(__file__).parent / "goldens" / "official_heuristics.json"
WORDS = (
    "the to of and that have with be a river stone in autumn we walk along slow water light falls on green "
    "hills and then small birds sing while children read old letters from distant towns market bread salt "
    "music window"
).split()
LINES = [
    "3 likes",
    "1.2K Views",
    "12",
    "2,048 comments!",
    "EVERYTHING LOUD HERE",
    "* an item",
    "• a bullet",
    "- a dash",
    "wait for it...",
    "and so on . . .",
    "etc…",
    "items in cart 0",
    "Two items in cart",
    "Read more...",
    "Go on and Read moreXYZ",
    "Sign-in",
    "sign-in to reply",
    "x",
    "Visit www.example.com now",
    "at https://foo.example.org/bar?x=1 there",
    "10.0.0.1:8080/x",
    "see ftp://192.168.1.12/a b",
    " ",
    "\t",
    "",
    "###",
    "lorem ipsum dolor",
    "{ x }",
    "turn on JavaScript please",
    "Privacy Policy here",
    "seen [12] and [edit]",
    "a" * 1001,
    "\u017fign-in here",
    "Read morE\u017fxy",
    "你好 世界 这是",
    "مرحبا بالعالم",
    "foo.co.uk/a",
    "end.The next",
    "⅓ Ⅷ ²",
    "İtems in cart",
    "7 liKes",
    "Dr. Grey went to town. He slept.",
    "He said “no.” Then he left.",
    "\x85 \xa0 y",
]
URLS = [
    "https://www.example.org/a-b",
    "http://bets.example/free-chips",
    "https://x.example/phone-bet/",
    "https://www.github.com/a",
    "https://example.com/jackpot",
    "https://big-win.example",
    "http://[bad",
    "http://\u017flot.example/win",
    "",
    "http://example.com/betting?slots=1",
]
BANNED = {
    "strict": ["phonebet", "bigwin", "jackpots", "freechips"],
    "hard": ["slot", "jackpot", "a-c"],
    "soft": ["bet", "betting", "slots", "win", "chips"],
}


def make_pages(count: int) -> list[dict[str, str]]:
    """Pages of made-up text, each with an address."""
    draw = random.Random(20240617)
    pages = []
    for number in range(count):
        lines: list[str] = []
        for _ in range(draw.choice([0, 1, 2, 4, 8, 12])):
            words = [draw.choice(WORDS) for _ in range(draw.randrange(1, 16))]
            lines.append(" ".join(words).capitalize() + draw.choice([".", ".", "!", "", "..."]))
        if lines and number % 5 == 0:
            lines += lines[: 1 + len(lines) // 2]
        if number % 7 == 0:
            lines = [line.upper() if draw.random() < 0.4 else line for line in lines]
        if number % 4:
            for _ in range(draw.choice([1, 2, 5])):
                lines.insert(draw.randrange(len(lines) + 1), draw.choice(LINES))
        pages.append({"text": draw.choice(["\n", "\n", "\n\n"]).join(lines), "url": draw.choice(URLS)})
    return pages


def make_steps() -> list[dict[str, Any]]:
    """Each filter and edit, at the values of the recipes and at others."""
    cart, more, sign = "items in cart", "Read more...", "Sign-in"
    return [
        {
            "func": "url_substring_filter",
            "banlist": [".github.com"],
            "exact_domain_match": True,
            "ignore_chars": ["www"],
        },
        {"func": "url_substring_filter", "banlist": BANNED["strict"], "ignore_chars": ["-", "."]},
        {"func": "url_substring_filter", "banlist": BANNED["hard"], "match_substrings": False},
        {
            "func": "url_substring_filter",
            "banlist": BANNED["soft"],
            "num_banned_substrs": 2,
            "match_substrings": False,
        },
        {"func": "url_removal_modifier"},
        {"func": "newline_removal_modifier", "max_consecutive": 1},
        {"func": "page_length_filter", "length_type": "word", "min_length": 50, "ignore_punctuation": True},
        {"func": "page_length_filter", "length_type": "word", "min_length": 40},
        {"func": "page_length_filter", "length_type": "word", "min_length": 40, "model": "uniseg"},
        {"func": "page_length_filter", "length_type": "char", "min_length": 100, "max_length": 500},
        {"func": "page_length_filter", "length_type": "paragraph", "min_length": 3},
        {"func": "page_length_filter", "length_type": "sentence", "min_length": 3, "tokenizer": "nltk"},
        {"func": "word_length_filter", "min_length": 4.2, "max_length": 5},
        {"func": "symbol_ratio_filter", "max_symbol_to_word_ratio": 0.1},
        {"func": "bullet_count_filter", "max_bullet_start_ratio": 0.2},
        {"func": "ellipsis_count_filter", "max_ellipsis_end_ratio": 0.3},
        {"func": "alphabetic_word_ratio_filter", "max_ratio": 0.1},
        {"func": "stop_word_filter", "count_unique": False, "min_stop_word": 2},
        {"func": "stop_word_filter", "count_unique": True, "min_stop_word": 4},
        {"func": "uppercase_ratio_line_modifier", "max_ratio": 0.5},
        {"func": "numeric_ratio_line_modifier", "max_ratio": 0.999999},
        {"func": "counter_line_modifier"},
        {"func": "line_length_modifier", "min_length": 2},
        {"func": "substring_line_modifier", "max_length": 10, "banlist": cart, "remove_substring_only": True},
        {
            "func": "substring_line_modifier",
            "max_length": 10,
            "banlist": more,
            "location": "suffix",
            "remove_substring_only": True,
        },
        {
            "func": "substring_line_modifier",
            "max_length": 10,
            "banlist": sign,
            "location": "prefix",
            "remove_substring_only": True,
        },
        {"func": "substring_line_modifier", "banlist": ["javascript", "privacy policy"]},
        {"func": "word_length_modifier", "max_length": 1000, "model": "split"},
        {"func": "word_length_modifier", "max_length": 7},
        {"func": "citation_removal_modifier"},
        {"func": "punctuation_line_modifier", "remove_ellipses": True},
        {"func": "punctuation_line_modifier"},
        {"func": "substring_filter", "banlist": ["lorem ipsum"]},
        {"func": "substring_filter", "banlist": ["{"]},
        {"func": "substring_filter", "banlist": ["he", "no."], "exact_word": True},
        {"func": "within_page_dedup", "granularity": "line", "normalize": True},
        {"func": "line_length_filter", "length_type": "max", "max_length": 80},
        {"func": "line_length_filter", "length_type": "avg", "max_length": 40},
        {"func": "alphanumeric_char_ratio_filter", "max_alnum_ratio": 0.8},
    ]


def decide(mapper: Any, pages: list[dict[str, str]]) -> dict[str, Any]:
    """What one official function does with each page: "1" keeps it, "0" drops or loses it; and new texts."""
    kept, texts = "", {}
    for number, page in enumerate(pages):
        try:
            result = mapper(copy.deepcopy(page))
        except Exception:  # the official runner loses such a page
            result = []
        kept += "1" if result else "0"
        if result and result[0]["text"] != page["text"]:
            texts[str(number)] = hashlib.md5(result[0]["text"].encode()).hexdigest()[:8]
    return {"kept": kept, "texts": texts}


def run_recipe(get_mapper: Any, checkout: Path, pages: list[dict[str, str]]) -> list[str]:
    """For each page the function of the recipe that drops it, or the hash of its text.

    The recipe is that of DCLM-Baseline, without language, domains and repetition, on other banned words.
    """
    import yaml

    recipe = checkout / "baselines" / "baselines_configs" / "dclm_baseline_refinedweb.yaml"
    left_out = (
        "move_url_modifier",
        "detect_lang_whole_page_enricher",
        "language_filter",
        "massive_web_repetition_filters",  # so few words drop nearly all pages; it has goldens of its own
    )
    steps = [step for step in yaml.safe_load(recipe.read_text())[0]["steps"] if step["func"] not in left_out]
    steps = [step for step in steps if not step.get("exact_domain_match")]
    for step in steps:
        # the same rules on words of our own
        if "banlist_from_fname" in step:
            step["banlist"] = BANNED[step.pop("banlist_from_fname").split("_")[3]]
    mappers = [(step["func"], get_mapper(**step)) for step in steps]
    verdicts = []
    for page in pages:
        current, verdict = [copy.deepcopy(page)], ""
        for func, mapper in mappers:
            try:
                current = mapper(current[0])
            except Exception:  # as above
                current = []
            if not current:
                verdict = func
                break
        verdicts.append(verdict or hashlib.md5(current[0]["text"].encode()).hexdigest()[:8])
    return verdicts


def main() -> None:
    """Write the file."""
    checkout = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(ROOT / "benchmarks" / "dclm_bench" / "workers"))
    from official import load_official

    get_mapper = load_official(checkout)
    # The official code looks for the model before it takes the Punkt that needs none.
    importlib.import_module("nltk").data.find = lambda *_: None
    pages = make_pages(160)
    draw = random.Random(7)
    joined = [draw.sample(range(len(pages)), 2 + number // 6) for number in range(60)]
    longer = [
        {
            "text": "\n".join(pages[index]["text"] for index in indices),
            "url": URLS[number % len(URLS)] if number % 4 == 0 else URLS[0],
        }
        for number, indices in enumerate(joined)
    ]
    commit = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True)
    golden: dict[str, Any] = {
        "source": "github.com/mlfoundations/dclm (MIT)",
        "commit": commit.stdout.strip() or (sys.argv[2] if len(sys.argv) > 2 else "unknown"),
        "banned": BANNED,
        "pages": pages,
        "steps": [{"step": step, **decide(get_mapper(**step), pages)} for step in make_steps()],
        "recipe": {
            "pages": [{"join": join, "url": page["url"]} for join, page in zip(joined, longer, strict=True)],
            "verdicts": run_recipe(get_mapper, checkout, longer),
        },
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(golden, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n")
    for entry in golden["steps"]:
        print(entry["step"]["func"], entry["kept"].count("1"), entry["kept"].count("0"), len(entry["texts"]))
    print(golden["recipe"]["verdicts"])


if __name__ == "__main__":
    main()
