"""The funnel: how many pages were read, what each step dropped, and what is left."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from toolkit_shared.losses import Losses
from toolkit_shared.report import text_table

from dclm_bench.pipeline.audit import doubles, read_audit
from dclm_bench.pipeline.audited import AuditedRun
from dclm_bench.pipeline.shard import ShardCounts


@dataclass(frozen=True)
class FunnelRow:
    """One rule, or a step without rules.

    Attributes:
        step: The step's name.
        rule: The rule's name; empty for a step that drops nothing.
        entered: Pages that no earlier rule had dropped.
        dropped: Pages that this rule was the first to drop.
        fails: Pages of this pass that the rule would drop, whatever the others say; None without values.
        only: Pages that this rule alone would drop.
    """

    step: str
    rule: str
    entered: int
    dropped: int
    fails: int | None = None
    only: int | None = None

    @property
    def kept(self) -> int:
        """Pages that are left after the rule."""
        return self.entered - self.dropped


@dataclass(frozen=True)
class Funnel:
    """From the pages read to the pages kept.

    Attributes:
        rows: The rules in their order.
        pages_in: Pages read.
        pages_out: Pages kept.
        words_in: Words (between blanks) of the pages read.
        words_out: Words of the pages kept, as they were written.
        tokens_out: Their tokens; None without a tokeniser.
        losses: What was not read, by reason, with examples (`toolkit_shared.losses.Losses`).
    """

    rows: tuple[FunnelRow, ...]
    pages_in: int
    pages_out: int
    words_in: int
    words_out: int
    tokens_out: int | None
    losses: dict[str, Any]

    @staticmethod
    def of(run: AuditedRun, *, alone: bool = False) -> "Funnel":
        """The funnel of a finished run.

        Args:
            run: The run.
            alone: Also read the audit, for what each rule would drop by itself.
        """
        counts = run.manifest["counts"]
        failing = _failing(run) if alone and run.audit == "full" else {}
        rows: list[FunnelRow] = []
        for step in run.steps:
            left = counts["entered"][step.name]
            if not step.rules:
                rows.append(FunnelRow(step.name, "", left, 0))
            for full, rule in zip(step.rule_names(), step.rules, strict=True):
                dropped = counts["dropped"][full]
                rows.append(FunnelRow(step.name, rule.name, left, dropped, *failing.get(full, (None, None))))
                left -= dropped
        names = ("pages_in", "pages_out", "words_in", "words_out", "tokens_out", "losses")
        return Funnel(rows=tuple(rows), **{name: counts[name] for name in names})

    def gaps(self) -> list[str]:
        """Where the numbers do not add up; empty for a sound run."""
        found: list[str] = []
        left = self.pages_in
        for row in self.rows:
            if row.entered != left:
                found.append(f"{row.step}: {row.entered:,} pages entered, {left:,} were left before it")
            left = row.kept
        if left != self.pages_out:
            found.append(f"{left:,} pages are left, {self.pages_out:,} were written")
        return found

    def as_dict(self) -> dict[str, Any]:
        """The funnel as JSON values."""
        return {**asdict(self), "rows": [{**asdict(row), "kept": row.kept} for row in self.rows]}

    def to_text(self, *, all_rules: bool = True) -> str:
        """The funnel as a table, and what could not be read.

        Args:
            all_rules: Also the rules that dropped nothing.
        """
        show_alone = any(row.fails is not None for row in self.rows)
        header = ["step", "rule", "entered", "dropped", "kept", "of all"] + ["fails", "only"] * show_alone
        cells: list[list[str]] = []
        for row in self.rows:
            if not row.rule or not (all_rules or row.dropped):
                continue
            share = f"{row.kept / self.pages_in:.1%}" if self.pages_in else "-"
            line = [row.step, row.rule, f"{row.entered:,}", f"{row.dropped:,}", f"{row.kept:,}", share]
            alone = [row.fails, row.only] if show_alone else []
            cells.append(line + ["-" if number is None else f"{number:,}" for number in alone])
        share = f" ({self.pages_out / self.pages_in:.2%})" if self.pages_in else ""
        lines = text_table(header, cells) if cells else []
        size = f"{self.words_out:,} words"
        if self.tokens_out is not None:
            size += f", {self.tokens_out:,} tokens"
        lines.append(f"{self.pages_in:,} pages read, {self.pages_out:,} kept{share}: {size}")
        for kind, words in (("lost", "not read"), ("noted", "read, but")):
            lines += [f"{words}: {number:,} {reason}" for reason, number in self.losses[kind].items()]
        lines += [f"  {e['place']}: {e['reason']} {e['detail']}".rstrip() for e in self.losses["examples"]]
        return "\n".join(lines)


def merge_counts(counts: Sequence[Sequence[ShardCounts]]) -> dict[str, Any]:
    """The sums over shards of all passes, as the manifest keeps them."""
    dropped: dict[str, int] = {}
    entered: dict[str, int] = {}
    for of_pass in counts:
        for shard in of_pass:
            for name, number in shard.dropped.items():
                dropped[name] = dropped.get(name, 0) + number
            for name, number in shard.entered.items():
                entered[name] = entered.get(name, 0) + number
    losses = Losses()
    for shard in counts[0]:
        losses.add(shard.losses)
    tokens = [shard.tokens_out for shard in counts[-1]]
    return {
        "pages_in": sum(shard.pages_in for shard in counts[0]),
        "pages_out": sum(shard.pages_out for shard in counts[-1]),
        "words_in": sum(shard.words_in for shard in counts[0]),
        "words_out": sum(shard.words_out for shard in counts[-1]),
        "tokens_out": None if None in tokens else sum(number or 0 for number in tokens),
        "dropped": dropped,
        "entered": entered,
        "losses": losses.to_json(),
    }


def _failing(run: AuditedRun) -> dict[str, tuple[int, int]]:
    """Full rule name -> pages of its pass that it drops, and pages that it alone drops."""
    found: dict[str, tuple[int, int]] = {}
    for number in range(run.num_passes):
        names = [
            (full, rule)
            for s in run.of_pass(number)
            for full, rule in zip(s.rule_names(), s.rules, strict=True)
        ]
        totals = np.zeros((len(names), 2), np.int64)
        for _, table in read_audit(run.out, number, [full for full, _ in names]):
            fails = np.array([~rule.keeps_array(doubles(table, full)) for full, rule in names])
            if fails.size:
                totals[:, 0] += fails.sum(axis=1)
                totals[:, 1] += (fails & (fails.sum(axis=0) == 1)).sum(axis=1)
        found.update({full: (int(a), int(b)) for (full, _), (a, b) in zip(names, totals, strict=True)})
    return found
