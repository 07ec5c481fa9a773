"""The demonstration as tables for the terminal and as one HTML page with pictures."""

from typing import Any

import numpy as np
from toolkit_shared.report import Section, bar_chart, code, html_page, line_chart, paragraph, picture, table

from seqdecomp.experiment.demonstration import ARMS, Demonstration

# Losses of single steps of a short run are noisy, above all those of short batches.
SMOOTHED_STEPS = 5


def to_document(found: Demonstration) -> dict[str, Any]:
    """What the demonstration found, as plain values."""
    concat = found.arms["concat"].seconds
    return {
        "out": str(found.out),
        "steps": found.steps,
        "batch_tokens": found.batch_tokens,
        "tails": {tail: statistics.as_dict() for tail, statistics in found.statistics.items()},
        "problems": list(found.audit.problems),
        "arms": {
            name: {
                "seconds": arm.seconds,
                "time_ratio": arm.seconds / concat if concat else None,
                "tokens": arm.plan.tokens,
                "perplexity": arm.perplexity.document(),
            }
            for name, arm in found.arms.items()
        },
    }


def to_text(document: dict[str, Any]) -> str:
    """The document as tables: tail policies, then the two trainings."""
    lines = [
        "What becomes of the documents (functions of the Python standard library):",
        "",
        f"{'tail policy':<14}{'documents':>10}{'tokens':>12}{'dropped':>9}{'EOS kept':>10}{'of cut ones':>13}"
        f"{'context':>9}",
    ]
    for tail, entry in document["tails"].items():
        lines.append(
            f"{tail:<14}{entry['documents']:>10,}{entry['tokens']:>12,}"
            f"{entry['dropped_tokens'] / entry['tokens']:>9.1%}{entry['eos_survival']:>10.1%}"
            f"{entry['eos_survival_of_kept']:>13.1%}"
            f"{entry['average_context_length']:>9.0f}"
        )
    lines.append("('of cut ones': among the documents that are long enough to give a sequence)")
    tokens = document["steps"] * document["batch_tokens"]
    lines += [
        "",
        f"Two trainings of one tiny model, {document['steps']} steps and {tokens:,} tokens each; loss of "
        "validation",
        "documents by position, each read alone from its first token:",
        "",
    ]
    bands = document["arms"]["concat"]["perplexity"]["bands"]
    lines.append(
        f"{'arm':<24}{'CPU s':>7}{'ratio':>7}{'loss':>7}"
        + "".join(f"{band['start']}-{band['stop']}".rjust(10) for band in bands)
    )
    for name, arm in document["arms"].items():
        lines.append(
            f"{ARMS[name]:<24}{arm['seconds']:>7.1f}{_number(arm['time_ratio'], 2):>7}"
            f"{_number(arm['perplexity']['loss'], 3):>7}"
            + "".join(f"{_number(band['loss'], 3):>10}" for band in arm["perplexity"]["bands"])
        )
    lines += ["", "One seed and a few steps show the road, not the result: seqdecomp claims compares."]
    return "\n".join(lines)


def to_page(found: Demonstration, document: dict[str, Any]) -> str:
    """The report as an HTML page."""
    kept = found.statistics["anchor-end"]
    sections = [
        Section("Figures", [code(to_text(document))]),
        Section(
            "Buckets",
            [
                paragraph(
                    "Every document is cut into pieces whose lengths are powers of two; each piece goes to "
                    "the bucket of its length. Tokens in each bucket:"
                ),
                picture(
                    bar_chart(
                        "Tokens by sequence length",
                        {str(length): float(length * count) for length, count in kept.buckets.items()},
                        unit="tokens",
                    ),
                    "Tail policy anchor-end: the last piece ends where the document ends.",
                ),
                table(
                    ["arm", "rows", "mean length", "mean context", "padding", "EOS kept"],
                    [
                        [
                            name,
                            arm.rows,
                            arm.average_sequence_length,
                            arm.average_context_length,
                            arm.padding_ratio,
                            arm.eos_survival,
                        ]
                        for name, arm in {"dd": kept.composition, **kept.arms}.items()
                    ],
                ),
            ],
        ),
        Section(
            "Plan",
            [
                paragraph(
                    "All sequences of a step have one length, and every step has the same number of tokens. "
                    "Odds favour short sequences at first; as their buckets run empty, long ones follow."
                ),
                picture(_plan_chart(found), "Sequence length of every step, grow-p2 with four cycles."),
            ],
        ),
        Section("Training", [picture(_loss_chart(found), "Training loss, mean of five steps.")]),
        Section("Validation by position", [_band_table(document)]),
        Section(
            "Go on",
            [
                code(
                    "seqdecomp stats YOUR.jsonl --tokenizer bytes\n"
                    "seqdecomp build YOUR.jsonl --tokenizer bytes --out store\n"
                    "seqdecomp plan store --batch-tokens 524288\n"
                    "seqdecomp train store --out run"
                )
            ],
        ),
    ]
    return html_page("seqdecomp: dataset decomposition in a minute", sections)


def _plan_chart(found: Demonstration) -> str:
    lines = {
        ARMS[name]: [(float(step), float(arm.plan.length_of_step(step))) for step in range(arm.plan.steps)]
        for name, arm in found.arms.items()
    }
    return line_chart("Length of each step", lines, x_label="step", y_label="sequence length", log_y=True)


def _loss_chart(found: Demonstration) -> str:
    lines = {}
    for name, arm in found.arms.items():
        losses = np.array([loss for _, loss in arm.curve])
        width = min(SMOOTHED_STEPS, len(losses))
        means = np.convolve(losses, np.ones(width) / width, mode="valid")
        lines[ARMS[name]] = [(float(step + width), float(mean)) for step, mean in enumerate(means)]
    return line_chart("Training loss", lines, x_label="step", y_label="nats/token")


def _band_table(document: dict[str, Any]) -> Any:
    bands = document["arms"]["concat"]["perplexity"]["bands"]
    header = ["arm", "all", *(f"{band['start']}-{band['stop']}" for band in bands)]
    rows = [
        [
            ARMS[name],
            arm["perplexity"]["loss"],
            *(band["loss"] for band in arm["perplexity"]["bands"]),
        ]
        for name, arm in document["arms"].items()
    ]
    return table(header, rows)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
