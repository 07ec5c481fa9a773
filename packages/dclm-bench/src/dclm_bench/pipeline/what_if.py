"""Another limit on a finished run: the new keep-set and its tokens, without reading a page again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from toolkit_shared.errors import InputError
from toolkit_shared.records import write_jsonl
from toolkit_shared.report import text_table

from dclm_bench.pipeline.audit import doubles, read_audit, show_value
from dclm_bench.pipeline.audited import AuditedRun, AuditedStep
from dclm_bench.steps.step import Rule


@dataclass(frozen=True)
class WhatIf:
    """What a run would have kept with other limits.

    Attributes:
        settings: Full rule name -> (limit of the run, limit asked for).
        pages: Pages that came into the pass of these rules.
        kept_before: Pages that it kept.
        kept_now: Pages that it would keep.
        gained: Pages kept now that were dropped.
        lost: Pages dropped now that were kept.
        words_before: Words of the pages kept.
        words_now: Words of the pages that would be kept.
        tokens_before: Their tokens; None without a tokeniser.
        tokens_now: The same with the limits asked for.
        steps_after: Steps on the whole corpus that follow, whose effect needs a new run.
    """

    settings: dict[str, tuple[float, float]]
    pages: int
    kept_before: int
    kept_now: int
    gained: int
    lost: int
    words_before: int
    words_now: int
    tokens_before: int | None
    tokens_now: int | None
    steps_after: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return {**vars(self), "settings": {name: list(pair) for name, pair in self.settings.items()}}

    def to_text(self) -> str:
        """The answer as a table."""
        lines = [
            f"{name}: {show_value(old)} -> {show_value(new)}" for name, (old, new) in self.settings.items()
        ]
        rows = [["pages", self.kept_before, self.kept_now], ["words", self.words_before, self.words_now]]
        if self.tokens_before is not None:
            rows.append(["tokens", self.tokens_before, self.tokens_now])
        cells = [[str(name), *(f"{number or 0:,}" for number in pair)] for name, *pair in rows]
        lines += text_table(["kept", "before", "now"], cells)
        lines.append(f"of {self.pages:,} pages, {self.gained:,} more are kept and {self.lost:,} more dropped")
        if self.steps_after:
            steps = ", ".join(self.steps_after)
            lines.append(f"up to {steps}: what follows depends on the whole corpus, and needs a new run")
        return "\n".join(lines)


def what_if(run: AuditedRun, settings: Mapping[str, float], *, keep_set: str | Path | None = None) -> WhatIf:
    """What the run would have kept with other limits; exact, since every value was stored.

    Args:
        run: The run.
        settings: `STEP.RULE` -> the limit to try.
        keep_set: A JSONL file to write, with id, url, kept (before) and would_keep of every page.

    Raises:
        InputError: a rule is unknown, the rules fall in different passes, or the run has not all values.
    """
    if run.audit != "full":
        raise InputError(
            f"{run.out}: was run with --audit first, so values are missing; run with --audit full"
        )
    if not settings:
        raise InputError("--set: nothing is set; give STEP.RULE=VALUE")
    number, found = _find_rules(run, settings)
    rules = {
        full: rule
        for step in run.of_pass(number)
        for full, rule in zip(step.rule_names(), step.rules, strict=True)
    }
    asked = {
        full: type(rule)(rule.name, rule.keep, float(settings[full])) if full in settings else rule
        for full, rule in rules.items()
    }
    totals = np.zeros(9, np.int64)
    has_tokens = run.manifest["counts"]["tokens_out"] is not None
    for _, table in read_audit(run.out, number, [*asked, "dropped_by", "words", "tokens"]):
        before, now = _kept(table, asked)
        words = table["words"].to_numpy()
        tokens = table["tokens"].fill_null(0).to_numpy()
        totals += [
            len(table),
            before.sum(),
            now.sum(),
            (now & ~before).sum(),
            (before & ~now).sum(),
            words[before].sum(),
            words[now].sum(),
            tokens[before].sum(),
            tokens[now].sum(),
        ]
    if keep_set is not None:
        write_jsonl(keep_set, _keep_set(run, number, asked))
    pages, kept_before, kept_now, gained, lost, words_before, words_now, *tokens_kept = map(int, totals)
    after = [step.name for step in run.steps if step.number == number + 1][:1]
    return WhatIf(
        settings={name: (rule.limit, float(settings[name])) for name, (_, rule) in found.items()},
        pages=pages,
        kept_before=kept_before,
        kept_now=kept_now,
        gained=gained,
        lost=lost,
        words_before=words_before,
        words_now=words_now,
        tokens_before=tokens_kept[0] if has_tokens else None,
        tokens_now=tokens_kept[1] if has_tokens else None,
        steps_after=tuple(after),
    )


def _kept(table: pa.Table, asked: Mapping[str, Rule]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pages of a table were kept, and which would be."""
    now = np.ones(len(table), bool)
    for full, rule in asked.items():
        now &= rule.keeps_array(doubles(table, full))
    return np.asarray(table["dropped_by"].is_null()), now


def _keep_set(run: AuditedRun, number: int, asked: Mapping[str, Rule]) -> Iterator[dict[str, Any]]:
    """A line for every page, shard by shard, so that a corpus of any size can be written."""
    for _, table in read_audit(run.out, number, [*asked, "dropped_by", "id", "url"]):
        rows = zip(table["id"].to_pylist(), table["url"].to_pylist(), *_kept(table, asked), strict=True)
        for name, url, kept, would_keep in rows:
            yield {"id": name, "url": url, "kept": bool(kept), "would_keep": bool(would_keep)}


def _find_rules(
    run: AuditedRun, settings: Mapping[str, float]
) -> tuple[int, dict[str, tuple[AuditedStep, Rule]]]:
    """The pass that the rules are in, and by name each with its step."""
    found = {name: run.find_rule(name) for name in settings}
    numbers = {step.number for step, _ in found.values()}
    if len(numbers) > 1:
        names = ", ".join(found)
        raise InputError(f"--set: {names} stand before and after a step on the whole corpus; ask one by one")
    return numbers.pop(), found
