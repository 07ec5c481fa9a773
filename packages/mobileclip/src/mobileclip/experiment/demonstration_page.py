"""The demonstration as tables for the terminal and as one HTML page with pictures."""

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image
from toolkit_shared.pairs import open_pairs
from toolkit_shared.report import Section, bar_chart, code, html_page, line_chart, paragraph, picture, table
from toolkit_shared.report.text_table import text_table

from mobileclip.data.generated import generate_pairs
from mobileclip.experiment.demonstration import Demonstration
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.replay import replay

TILE = 96
SHOWN_PAIRS = 4
NOTE = (
    "One seed of tiny models shows the way, not the result: mobileclip claims compares over paired seeds, "
    "part by part."
)


def to_document(found: Demonstration) -> dict[str, Any]:
    """What the demonstration found, as plain values."""
    return {
        "out": str(found.out),
        "problems": found.problems,
        "build": found.build.as_dict(),
        "verify": found.clean.as_dict(),
        "verify_exchanged": found.planted.as_dict(),
        "exchanged": list(found.exchanged),
        "scores": found.scores,
        "folding": found.folding,
        "parity": found.parity,
        "latencies": found.latencies,
        "found": found.found,
    }


def to_text(found: Demonstration) -> str:
    """The findings as tables."""
    lines = [found.build.to_text(), "", found.clean.to_text(), ""]
    lines += [f"With {len(found.exchanged)} images exchanged:", found.planted.to_text(), ""]
    lines += ["Students on the same noisy pairs (percent):", "", *text_table(*_score_table(found)), ""]
    lines += [*text_table(*_latency_table(found)), "", *_check_lines(found), "", NOTE]
    return "\n".join(lines)


def to_page(found: Demonstration, seed: int) -> str:
    """The report as an HTML page."""
    sections = [
        Section(
            "Reinforced pairs",
            [
                paragraph(
                    "Each row: an image as it is, and the augmentations that are stored for it, replayed."
                ),
                picture(_augmentation_grid(found), "Stored augmentations, replayed from their parameters."),
                code(found.build.to_text()),
            ],
        ),
        Section(
            "The check",
            [
                code(found.clean.to_text()),
                paragraph(f"The same with {len(found.exchanged)} images exchanged in the pairs:"),
                code(found.planted.to_text()),
            ],
        ),
        Section(
            "Two students",
            [
                table(*_score_table(found)),
                picture(
                    bar_chart(
                        "Zero-shot top-1",
                        {arm: 100 * scores["zero-shot top-1"] for arm, scores in found.scores.items()},
                        unit="%",
                    ),
                    "The same pairs, steps and initial weights; the second one learns from the store.",
                ),
                *(
                    picture(
                        line_chart(
                            f"Training loss, {arm}",
                            {arm: [(float(step + 1), loss) for step, loss in enumerate(losses)]},
                            x_label="step",
                            y_label="loss",
                        ),
                        "Of another kind in each arm, so only the course is to be compared.",
                    )
                    for arm, losses in found.losses.items()
                ),
                paragraph(NOTE),
            ],
        ),
        Section(
            "Search",
            [
                picture(_search_grid(found, seed), "By row, the nearest images: " + "; ".join(found.found)),
            ],
        ),
        Section("Folded and exported", [table(*_latency_table(found)), *map(paragraph, _check_lines(found))]),
        Section(
            "Go on",
            [
                code(
                    "mobileclip dr build PAIRS --out store --teacher open_clip:ViT-L-14/openai\n"
                    "mobileclip dr verify store --pairs PAIRS\n"
                    "mobileclip train PAIRS --reinforcement store --out run\n"
                    "mobileclip export onnx run/model --out onnx\n"
                    "mobileclip claims"
                )
            ],
        ),
    ]
    return html_page("mobileclip: from pairs to a phone, in a minute", sections)


def _score_table(found: Demonstration) -> tuple[list[str], list[list[str]]]:
    names = list(next(iter(found.scores.values()), {}))
    rows = [[arm, *(f"{100 * scores[name]:.1f}" for name in names)] for arm, scores in found.scores.items()]
    return ["student", *names], rows


def _latency_table(found: Demonstration) -> tuple[list[str], list[list[str]]]:
    rows = [
        [row["tower"], row["runtime"], f"{row['median_ms']:.2f}", f"{row['parameters']:,}"]
        for row in found.latencies
    ]
    return ["encoder", "runtime", "median ms", "parameters"], rows


def _check_lines(found: Demonstration) -> list[str]:
    lines = [
        f"Folding changes the {tower} features by {value:.1e}." for tower, value in found.folding.items()
    ]
    lines += [f"The ONNX {tower} encoder differs by {value:.1e}." for tower, value in found.parity.items()]
    if found.missing_extra:
        lines.append(f"No ONNX files: {found.missing_extra}")
    lines += [f"NOT as it should be: {problem}" for problem in found.problems]
    return lines


def _augmentation_grid(found: Demonstration) -> bytes:
    source = open_pairs(found.out / "train.parquet")
    store = ReinforcedStore.open(found.out / "store")
    rows = []
    for index in range(SHOWN_PAIRS):
        pair = source[index]
        image = Image.open(io.BytesIO(pair.image)).convert("RGB")
        stored = store.index_of(pair.key)
        assert stored is not None  # the build dropped none of these pairs
        sample = store[stored]
        rows.append(
            [
                image.resize((TILE, TILE)),
                *(replay(image, one, size=TILE, geometry="corrected") for one in sample.augmentations),
            ]
        )
    return _grid(rows)


def _search_grid(found: Demonstration, seed: int) -> bytes:
    keys = [key for row in found.found.values() for key in row]
    tests = generate_pairs(1 + max(int(key[1:]) for key in keys), seed=seed, prefix="e")
    images = {pair.key: Image.open(io.BytesIO(pair.image)).convert("RGB") for pair in tests}
    return _grid([[images[key].resize((TILE, TILE)) for key in row] for row in found.found.values()])


def _grid(rows: Sequence[Sequence[Image.Image]]) -> bytes:
    step = TILE + 4
    sheet = Image.new("RGB", (step * max(map(len, rows)), step * len(rows)), "white")
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            sheet.paste(image, (step * column, step * row))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
