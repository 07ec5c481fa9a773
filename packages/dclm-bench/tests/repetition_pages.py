"""Pages that repeat themselves in many ways: what the goldens of the repetition rules are made from.

Standard library only, and the same pages everywhere, so that the scripts that run the peers make them too.
"""

import random

SENTENCES = (
    "The ferry leaves at 9.30 a.m. from the old pier, weather permitting.",
    "Don't forget to bring a towel, sun cream and something to read!",
    "She didn't say why; he couldn't have known.",
    "Click here to read more",
    "Share on social media | Print | E-mail this page",
    "Prices start at $12.50 (children under 5: free).",
    "Dr. Miller's results weren't published until Oct. 1998, i.e. too late.",
    "Water boils at 100\u00b0C at sea level.",
    "Der Zug f\u00e4hrt um 7:45 Uhr ab, Gleis 3.",
    "\u00c9tait-ce l\u2019\u00e9t\u00e9? On n'en sait rien\u2026",
    "\u041f\u043e\u0433\u043e\u0434\u0430 "
    "\u0431\u0443\u0434\u0435\u0442 \u0445\u043e\u0440\u043e\u0448\u0435\u0439.",
    "\u4eca\u65e5\u306f\u3044\u3044\u5929\u6c17\u3067\u3059\u306d\u3002",
    "Visit https://www.example.org/path?id=7 or write to info@example.org.",
    "state-of-the-art, up-to-date and/or easy-to-use :-)",
    "no no no no no",
    "Copyright 2011. All rights reserved.",
    "***",
    "- one",
    "Cookies help us deliver our services",
    "In the end, the committee agreed that nothing would change for the time being.",
)
WORDS = (
    "old new small blue early late open quiet river garden window market letter bridge morning winter "
    "paper table summer harbour teacher engine village island mountain question answer number city road "
    "field house boat bird finds takes keeps gives opens writes reads crosses leaves follows under over "
    "behind before after with from into along against slowly often never again perhaps together Monday "
    "March Lena Thomas 7 12 1984 3.5"
).split()
NUM_PAGES = 120
EDGES = (
    "",
    " ",
    "\n\n",
    "\n \t\n",
    "a",
    "word word",
    "...",
    "one line only, which says what it says",
    "\n\nline\n\n\nline\n \nline \n",
    "a b a b a b",
    "la la la la la la la la la la la la",
    "\u00a0x\u00a0\nx\n\u2003x",
    "x\x85y\nx\x85y\n\x1cz\nz",
    "I\u0307I I\u0307I",
    "a.m. a.m. a.m. can't can't can't",
)


def pages() -> list[str]:
    """The pages: some edge cases, then mixtures of sentences and of repeated pieces of them."""
    return [*EDGES, *(_page(random.Random(number)) for number in range(NUM_PAGES))]


def _page(draw: random.Random) -> str:
    """A page; of the generator only `random()` is used, which is the same in every version of Python."""

    def below(limit: int) -> int:
        return int(draw.random() * limit)

    def line() -> str:
        return " ".join(WORDS[below(len(WORDS))] for _ in range(1 + below(16)))

    lines = [line() for _ in range(5 + below(40))]
    repeated = [SENTENCES[below(len(SENTENCES))], SENTENCES[below(len(SENTENCES))], line()]
    # From no repetition at all to a little of everything, so that pages lie on both sides of the limits.
    lines += [repeated[below(len(repeated))] for _ in range(below(3) * below(8))]
    order = sorted(lines, key=lambda text: draw.random())
    separators = ("\n", "\n\n", "\n", " ", "\n\n\n", "\n  \n")
    kinds = 1 + below(len(separators))
    return "".join(text + separators[below(kinds)] for text in order)
