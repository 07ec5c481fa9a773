"""Makes kenlm_0.3.0_scores.json: a small back-off model as ARPA text, and what KenLM gives to sentences.

    uv run --isolated --no-project --python 3.11 --with kenlm==0.3.0 python make_kenlm_goldens.py

KenLM is built from source, which takes minutes and needs cmake. The n-grams and their numbers are drawn here.
"""

import json
import random
import tempfile
from pathlib import Path

import kenlm

WORDS = "a b c d e".split()


def main() -> None:
    """Write the file beside this script."""
    draw = random.Random(3)
    arpa = drawn_model(draw)
    sentences = [" ".join(draw.choices([*WORDS, "zzz"], k=draw.randint(0, 9))) for _ in range(40)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.arpa")
        path.write_text(arpa)
        model = kenlm.Model(str(path))
        scores = [model.score(sentence) for sentence in sentences]
    golden = {"arpa": arpa, "sentences": sentences, "scores": scores}
    (Path(__file__).parent / "kenlm_0.3.0_scores.json").write_text(json.dumps(golden) + "\n")


def drawn_model(draw: random.Random) -> str:
    """A model of 3-grams with drawn numbers, in which some n-grams are missing."""
    pairs = [(a, b) for a in ["<s>", *WORDS] for b in [*WORDS, "</s>"] if draw.random() < 0.7]
    triples = [(a, b, c) for a, b in pairs for x, c in pairs if x == b and draw.random() < 0.4]
    sections: list[list[tuple[str, ...]]] = [
        [(word,) for word in [*WORDS, "<s>", "</s>", "<unk>"]],
        [*pairs],
        [*triples],
    ]
    lines = ["\\data\\", *(f"ngram {order}={len(part)}" for order, part in enumerate(sections, 1))]
    for order, part in enumerate(sections, 1):
        lines += ["", f"\\{order}-grams:"]
        for words in part:
            log = -99.0 if words == ("<s>",) else round(-2 * draw.random(), 6)
            backs_off = order < 3 and words[-1] != "</s>"
            lines.append(f"{log}\t{' '.join(words)}" + (f"\t{round(-draw.random(), 6)}" if backs_off else ""))
    return "\n".join([*lines, "", "\\end\\", ""])


if __name__ == "__main__":
    main()
