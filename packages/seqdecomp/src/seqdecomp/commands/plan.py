"""The command that lays out every step of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from toolkit_shared.cli import Flat

from seqdecomp.settings import CurriculumSettings, LengthRange

if TYPE_CHECKING:
    from seqdecomp.cost import BestMixture, StepTimes
    from seqdecomp.data.store import Store
    from seqdecomp.plan import Plan


def plan(
    store: Path,
    /,
    *,
    settings: Annotated[CurriculumSettings, Flat] = CurriculumSettings(),
    batch_tokens: int = 524_288,
    tokens: int | None = None,
    arm: str = "dd",
    lengths: LengthRange = LengthRange(),
    devices: int = 1,
    accumulate: int = 1,
    step_times: str | None = None,
    budget_hours: float | None = None,
    floor_fraction: float = 0.0,
    seed: int = 0,
    picture: Path | None = None,
    steps: Path | None = None,
    json: bool = False,
) -> None:
    """Lay out every step of a run, with its cost, or find the best mixture within a budget.

    Args:
        store: Folder made by seqdecomp build.
        settings: Curriculum and mixture.
        batch_tokens: Tokens of an optimizer step, all devices together.
        tokens: Tokens of the whole run; unset: as many as the store and the mixture give.
        arm: dd, or a baseline: concat, concat+mask, best-fit+mask, semantic, single-LENGTH ...
        lengths: Shortest and longest length, where they are not the store's.
        devices: Devices that are to share each step.
        accumulate: Micro-batches of each device in a step.
        step_times: Measured step times: the folder of a seqdecomp train run, a JSON table, or paper-1b-h100.
        budget_hours: Choose the mixture of the longest mean context that fits these hours.
        floor_fraction: With a budget, part of its natural share that every length keeps.
        seed: Of the order of rows and the curriculum.
        picture: SVG file to draw the course of lengths to.
        steps: CSV file to write every step to.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.artifacts import require_place, write_text
    from toolkit_shared.cli import emit

    from seqdecomp.composition import composition_table, summarize
    from seqdecomp.cost import PAPER_MODELS, StepTimes
    from seqdecomp.data.store import Store
    from seqdecomp.documents import Documents
    from seqdecomp.plan_report import plan_picture, report_plan, step_table

    _check_positive(batch_tokens=batch_tokens, tokens=tokens, devices=devices, accumulate=accumulate)
    for place in filter(None, (picture, steps)):
        require_place(place)
    times = StepTimes.read(step_times) if step_times else None
    options = {"batch_tokens": batch_tokens, "tokens": tokens, "arm": arm, "seed": seed}
    opened = Store.open(store)
    laid_out, best = _lay_out(opened, settings, lengths, options, times, (budget_hours, floor_fraction))
    laid_out.check_ranks(devices, accumulate)
    report = report_plan(laid_out, models=PAPER_MODELS, step_times=times)
    if picture:
        write_text(picture, plan_picture(report))
    if steps:
        write_text(steps, step_table(laid_out))
    composition = summarize(Documents.of(opened), laid_out.groups)
    document = {**report.as_dict(), "composition": asdict(composition)}
    text = "\n".join([report.to_text(), "", *composition_table({arm: composition})])
    if best:
        document["best_mixture"] = asdict(best)
        text += f"\nbest within {budget_hours:g} hours: --mixture {best.mixture} --tokens {sum(best.tokens)}"
    emit(document, text, as_json=json)


def _lay_out(
    store: "Store",
    settings: CurriculumSettings,
    lengths: LengthRange,
    options: dict[str, Any],
    times: "StepTimes | None",
    budget: tuple[float | None, float],
) -> "tuple[Plan, BestMixture | None]":
    """The plan; with a budget (hours, floor fraction), of the best mixture, which comes with it."""
    from dataclasses import asdict

    from toolkit_shared.errors import InputError

    from seqdecomp.planning import plan_for

    options = {**options, **asdict(settings), "min_length": lengths.min, "max_length": lengths.max}
    if budget[0] is None:
        if budget[1]:
            raise InputError("--floor-fraction: has no effect without --budget-hours; give both or neither")
        return plan_for(store, **options), None
    everything = plan_for(store, **{**options, "mixture": "natural", "tokens": None})
    best = _best_mixture(everything, times, options, budget[0], budget[1])
    options |= {"mixture": best.mixture, "tokens": sum(best.tokens)}
    return plan_for(store, **options), best


def _best_mixture(
    everything: "Plan", times: "StepTimes | None", options: dict[str, Any], hours: float, floor: float
) -> "BestMixture":
    from toolkit_shared.errors import InputError

    from seqdecomp.cost import best_mixture
    from seqdecomp.schedule import stocks_of

    if times is None:
        raise InputError("--budget-hours: needs --step-times; give a run, a JSON table or paper-1b-h100")
    if not 0 < hours < float("inf"):
        raise InputError(f"--budget-hours {hours:g}: is not a number above 0; give hours")
    if not 0 <= floor <= 1:
        raise InputError(f"--floor-fraction {floor:g}: is not from 0 to 1; give for example 0.5")
    return best_mixture(
        stocks_of(everything.groups),
        times,
        budget_hours=hours,
        tokens=options["tokens"],
        floor_fraction=floor,
        repeat=options["repeat"] == "repeat",
    )


def _check_positive(**numbers: int | None) -> None:
    from toolkit_shared.errors import InputError

    for name, value in numbers.items():
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} {value}: is not positive; give 1 or more")
