"""Why a page was kept or dropped: every rule's value, margin and verdict."""

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from toolkit_shared.errors import InputError
from toolkit_shared.report import text_table

from dclm_bench.pipeline.audit import read_audit, removed_column, show_value
from dclm_bench.pipeline.audited import AuditedRun, AuditedStep

KEPT, DROPPED, NOT_APPLICABLE, NOT_MEASURED = "keeps", "DROPS", "does not apply", "not measured"


@dataclass(frozen=True)
class Verdict:
    """What one rule said of a page.

    Attributes:
        step: The step's name.
        rule: The rule's name; empty for what a step cut out of the text.
        value: What was measured; NaN where the rule does not apply; None where it was not measured.
        keep: The comparison that keeps.
        limit: The limit.
        margin: How far the value is on the kept side; negative where it drops.
        verdict: "keeps", "DROPS", "does not apply" or "not measured".
        removed: Characters that the step took out of the text.
    """

    step: str
    rule: str
    value: float | None
    keep: str
    limit: float | None
    margin: float | None
    verdict: str
    removed: int | None


@dataclass(frozen=True)
class Explanation:
    """One page's way through a run.

    Attributes:
        id: The page.
        url: Its address, where it has one.
        input: The input file.
        position: Its place in the input, from 0.
        dropped_by: The first rule that dropped it, or None.
        words: Its words at the end.
        verdicts: Every rule in order.
    """

    id: str
    url: str | None
    input: str
    position: int
    dropped_by: str | None
    words: int
    verdicts: tuple[Verdict, ...]

    def as_dict(self) -> dict[str, Any]:
        """The explanation as JSON values; numbers that are not finite as text or null."""
        verdicts = [
            {name: _plain(value) for name, value in vars(verdict).items()} for verdict in self.verdicts
        ]
        return {**vars(self), "verdicts": verdicts}

    def to_text(self) -> str:
        """The page and a table of its verdicts."""
        title = f"{self.id}" + (f"  {self.url}" if self.url else "")
        fate = f"dropped by {self.dropped_by}" if self.dropped_by else f"kept, {self.words:,} words"
        rows = [_row(verdict) for verdict in self.verdicts]
        table = text_table(["step", "rule", "value", "keeps", "margin", "verdict"], rows) if rows else []
        return "\n".join([title, f"{self.input}, page {self.position}: {fate}", *table])


def explain(run: AuditedRun, doc: str) -> list[Explanation]:
    """All pages of a run whose id or URL is `doc`, with each rule's value, margin and verdict.

    Raises:
        InputError: there is no such page.
    """
    found: dict[tuple[int, int], Explanation] = {}
    for number in range(run.num_passes):
        for shard, table in read_audit(run.out, number):
            match = pc.or_kleene(pc.equal(table["id"], doc), pc.equal(table["url"], doc))
            for row in table.filter(match).to_pylist():
                key = (shard, row["position"])
                before = found[key].verdicts if key in found else ()
                verdicts = tuple(verdict for step in run.of_pass(number) for verdict in _verdicts(step, row))
                name = run.manifest["inputs"][shard]["name"]
                found[key] = Explanation(
                    row["id"],
                    row["url"],
                    name,
                    row["position"],
                    row["dropped_by"],
                    row["words"],
                    before + verdicts,
                )
    if not found:
        raise InputError(f"--doc: {run.out} has no page with the id or URL '{doc}'; {_some_ids(run)}")
    return [found[key] for key in sorted(found)]


def _verdicts(step: AuditedStep, row: dict[str, Any]) -> list[Verdict]:
    removed = row.get(f"{step.name}.removed") if step.edits else None
    if not step.rules and not step.edits:
        return []
    if not step.rules:
        return [Verdict(step.name, "", None, "", None, None, "edits", removed)]
    found = []
    for full, rule in zip(step.rule_names(), step.rules, strict=True):
        value = row[full]
        if value is None:
            verdict, margin = NOT_MEASURED, None
        elif math.isnan(value):
            verdict, margin = NOT_APPLICABLE, None
        else:
            verdict, margin = KEPT if rule.keeps(value) else DROPPED, rule.margin(value)
        found.append(Verdict(step.name, rule.name, value, rule.keep, rule.limit, margin, verdict, removed))
    return found


def _row(verdict: Verdict) -> list[str]:
    value = "-" if verdict.value is None else show_value(verdict.value)
    keeps = "" if verdict.limit is None else f"{verdict.keep} {show_value(verdict.limit)}"
    margin = "-" if verdict.margin is None else show_value(verdict.margin)
    fate = verdict.verdict
    if verdict.removed:
        fate += f", {verdict.removed:,} characters cut"
    return [verdict.step, verdict.rule, value, keeps, margin, fate]


def _some_ids(run: AuditedRun) -> str:
    for _, table in read_audit(run.out, 0, ["id"]):
        if len(table):
            ids: pa.ChunkedArray = table["id"]
            return f"ids look like '{ids[0].as_py()}'"
    return "the run read no page"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


__all__ = ["Explanation", "Verdict", "explain", "removed_column"]
