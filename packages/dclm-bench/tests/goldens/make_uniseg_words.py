"""Writes `uniseg_0.10.1_words.json`: self-written strings and where uniseg breaks them.

`uv run --no-project --python 3.11 --with uniseg==0.10.1 python make_uniseg_words.py`, from this folder.
"""

import json
import random
from importlib.metadata import version
from pathlib import Path

from uniseg.emoji import extended_pictographic
from uniseg.wordbreak import word_boundaries, word_break

UNISEG = "0.10.1"
STRINGS = [
    "It's 3.14 o'clock, isn't it? (\u201cYes\u201d \u2014 can\u2019t, won\u2019t...) "
    "foo_bar-baz.qux x:y a.b.c 1,000.5 3:30",
    "Grüße aus Köln: Straße, Äpfel; l'été à Paris, l\u2019âme, aujourd\u2019hui, "
    "São Paulo, smørrebrød, žluťoučký kůň",
    "Съешь же ещё этих мягких французских булок. Ελληνικά: «καλημέρα», τι κάνεις;",
    'שלום עולם צה"ל ג\'ירפה א"ב\u05f3 \u02bbōlelo Hawai\u02bbi',
    "مرحبا بالعالم، كيف حالك؟ کتاب‌ها فارسی ۱۲۳\u066b۴۵ اردو",  # noqa: RUF001
    "नमस्ते दुनिया क्षत्रिय; বাংলা ভাষা; தமிழ் மொழி; ไทยไม่เว้นวรรค; ພາສາລາວ",
    "日本語のテキスト、カタカナ・ひらがな。ﾊﾝｶｸ ｶﾀｶﾅ\uff3fテスト 中文文本\uff0c没有空格。한국어 텍스트 12월",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷🇯 🇺🇸x🇬🇧🇮🇹 👍🏽 ☎️ a\u200d🛑 \u2139️ ©®™ 1️⃣ e\u0301a\u0300\u0301 \u0301x",
    "line\nnext\r\nlast\rtab\tand\x0bvt\x0cff\u2028ls\u2029ps\x85nel  "
    "two spaces \u3000 wide\u00a0nbsp \u2003\u2003em",
    "\r\n\u0308a \n\u0301\u200d\u00ad soft\u00adhyphen zero\u200bwidth word\u2060joiner "
    "\ufeffbom a\u200c\u200db a'\u0301b 1.\u00ad2",
    "user@example.com https://example.org/a?b=c&d=1#e $5.99 "
    "€1.000,00 50% 10kg C++ C# .NET #tag @name ___ a__b __ 1_2",
    "\ud800lone\udfff surrogates a\ud800b \U0010ffff\ue000 private",
]
SEED, NUM_RANDOM = 7, 400


def random_strings() -> list[str]:
    """Strings of code points of every class, so that every pair of rules meets."""
    kinds: dict[tuple[str, bool], list[str]] = {}
    for code in range(0x110000):
        char = chr(code)
        kinds.setdefault((word_break(char).value, bool(extended_pictographic(char))), []).append(char)
    draw, groups = random.Random(SEED), [kinds[kind] for kind in sorted(kinds)]
    strings = []
    for _ in range(NUM_RANDOM):
        some = draw.sample(groups, draw.randint(1, 6))
        strings.append("".join(draw.choice(draw.choice(some)) for _ in range(draw.randint(1, 16))))
    return strings


if __name__ == "__main__":
    assert version("uniseg") == UNISEG, f"this is uniseg {version('uniseg')}"
    cases = [[text, list(word_boundaries(text))] for text in STRINGS + random_strings()]
    path = Path(__file__).parent / f"uniseg_{UNISEG}_words.json"
    path.write_text(json.dumps(cases, ensure_ascii=True).replace("]], ", "]],\n") + "\n", encoding="ascii")
