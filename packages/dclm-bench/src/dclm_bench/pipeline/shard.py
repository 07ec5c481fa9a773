"""One shard of one pass: pages in, verdicts and pages out, whole or not at all."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from toolkit_shared.artifacts import atomic_path, read_json, write_json
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses

from dclm_bench.data.page import Page
from dclm_bench.data.writing import write_pages
from dclm_bench.pipeline.audit import AuditRows, write_audit
from dclm_bench.pipeline.passes import Pass, corpus_step, cut_into_passes, page_step
from dclm_bench.pipeline.sources import Source, read_source
from dclm_bench.recipe import NamedStep, Recipe, RecipeStep, build_steps
from dclm_bench.steps.step import Arrays, Compat

INTERMEDIATE = ".jsonl.zst"
UNUSABLE = "record that a step cannot use"
Audit = Literal["full", "first"]


@dataclass(frozen=True)
class ShardTask:
    """All that a worker needs to know of one shard in one pass.

    Attributes:
        out: The folder of the run.
        source: The input of the shard.
        shard: Its number, from 0.
        number: The pass, from 0.
        recipe: The recipe's name and entries as JSON text, so that a worker builds each recipe once.
        compat: Whose semantics.
        audit: "full" measures every rule of the pass on every page; "first" stops at the page's first drop.
        suffix: The suffix of the final pages.
        tokenizer: What counts tokens, or None.
        strict: Stop at the first record that cannot be used.
        text_field: The field with the text.
        encoding: How pages of a WARC are decoded.
        extractor: What takes the text out of a page of a WARC.
    """

    out: str
    source: Source
    shard: int
    number: int
    recipe: str
    compat: Compat
    audit: Audit = "full"
    suffix: str = ".jsonl.zst"
    tokenizer: str | None = None
    strict: bool = False
    text_field: str = "text"
    encoding: str = "strict"
    extractor: str = "resiliparse"


@dataclass
class ShardCounts:
    """What happened to the pages of a shard in a pass.

    Attributes:
        pages_in: Pages that came in.
        pages_out: Pages that every rule kept.
        dropped: Full rule name -> pages that it was the first to drop.
        entered: Step name -> pages that no earlier step had dropped.
        words_in: Words of the pages that came in, before the pass.
        words_out: Words of the pages kept, after it.
        tokens_out: Their tokens; None without a tokeniser.
        losses: What could not be read, as `Losses.to_json` gives it.
    """

    pages_in: int = 0
    pages_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)
    words_in: int = 0
    words_out: int = 0
    tokens_out: int | None = None
    losses: dict[str, Any] = field(default_factory=dict)


def place_of(out: str | Path, kind: str, number: int, shard: int, suffix: str) -> Path:
    """Where a shard's file of a pass stands."""
    return Path(out) / kind / f"pass-{number}" / f"{shard:05d}{suffix}"


def pages_path(task: ShardTask, last: bool) -> Path:
    """Where the pages that a shard keeps are written."""
    if last:
        return Path(task.out) / "pages" / f"{task.shard:05d}{task.suffix}"
    return place_of(task.out, "work", task.number, task.shard, INTERMEDIATE)


def run_shard(task: ShardTask) -> ShardCounts:
    """Do one shard of one pass, unless an earlier run did it; the marker is written last.

    Raises:
        InputError: the input cannot be read, or, with `strict`, holds a record that cannot be used.
    """
    marker = place_of(task.out, "counts", task.number, task.shard, ".json")
    if marker.exists():
        return ShardCounts(**read_json(marker))
    passes = cached_passes(task.recipe, task.compat)
    this = passes[task.number]
    last = task.number == len(passes) - 1
    counts, losses = ShardCounts(), Losses(strict=task.strict)
    rows = AuditRows(this.steps())
    counts.dropped = {name: 0 for step in this.steps() for name in step.rule_names()}
    counts.entered = {step.name: 0 for step in this.steps()}
    encode = _encoder(task.tokenizer)
    counts.tokens_out = None if encode is None else 0
    kept: list[Page] = []
    positions: list[int] = []
    unusable: list[InputError] = []

    def survivors() -> Iterator[Page]:
        for position, page, applied in _incoming(task, this, losses):
            try:
                dropped = _judge(page, this, applied, rows, counts, first=task.audit == "first")
            except InputError as error:
                _lose_unusable(task, page, error, losses)
                unusable.append(error)
                continue
            words = len(page.text.split())
            tokens = None if encode is None else len(encode(page.text))
            _note_page(rows, page, position, dropped, words, tokens)
            if dropped is not None:
                counts.dropped[dropped] += 1
                continue
            counts.pages_out += 1
            counts.words_out += words
            if tokens is not None:
                counts.tokens_out = (counts.tokens_out or 0) + tokens
            positions.append(position)
            if this.collected is not None:
                kept.append(page)
            yield page
        if unusable and not counts.pages_in:
            # the recipe is at fault, not they
            raise InputError(f"{task.source.path}: no record can be used: {unusable[0]}")

    write_pages(pages_path(task, last), survivors())
    write_audit(place_of(task.out, "audit", task.number, task.shard, ".parquet"), rows)
    if this.collected is not None:
        collected = corpus_step(this.collected).collect(kept)
        assert not {"positions"} & collected.keys()
        write_arrays(
            place_of(task.out, "work", task.number, task.shard, ".npz"),
            {"positions": np.array(positions, np.int64), **collected},
        )
    counts.losses = losses.to_json()
    write_json(marker, vars(counts))
    return counts


def _note_page(
    rows: AuditRows, page: Page, position: int, dropped: str | None, words: int, tokens: int | None
) -> None:
    """Add what the audit says of a page besides the values of its rules."""
    url = page.record.get("url")
    rows.position.append(position)
    rows.dropped_by.append(dropped)
    rows.id.append(str(page.record["id"]))
    rows.url.append(url if isinstance(url, str) else None)
    rows.characters.append(len(page.text))
    rows.words.append(words)
    rows.tokens.append(tokens)


def _lose_unusable(task: ShardTask, page: Page, error: InputError, losses: Losses) -> None:
    """Count a record whose own keys a step cannot use, as the official code does with any error of a step.

    After the first pass it stops the run: the funnel has no place for a page that is lost between its steps.
    """
    if task.number > 0:
        raise InputError(f"{task.source.path}: page {page.record['id']}: {error}")
    losses.lose(UNUSABLE, f"{task.source.path}, page {page.record['id']}", str(error))


def _encoder(tokenizer: str | None) -> Callable[[str], Any] | None:
    if tokenizer is None:
        return None
    from dclm_bench.tokenization.tokenizers import cached_tokenizer

    return cached_tokenizer(tokenizer).encode


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays without objects; whole or absent after a crash, and equal arrays give equal bytes."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file; never pickled objects."""
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


@lru_cache(maxsize=2)
def cached_passes(recipe: str, compat: Compat) -> list[Pass]:
    """The passes of a recipe's JSON text; models and word lists are loaded once a process."""
    found = json.loads(recipe)
    steps = tuple(RecipeStep(entry.pop("name"), entry.pop("func"), entry) for entry in found["steps"])
    return cut_into_passes(build_steps(Recipe(found["name"], steps), compat=compat))


@dataclass(frozen=True)
class Applied:
    """What the corpus step said of a page: a value for each rule, and how many characters it cut."""

    values: Sequence[float]
    removed: int


def _incoming(task: ShardTask, this: Pass, losses: Losses) -> Iterator[tuple[int, Page, Applied | None]]:
    """Position, page and what the corpus step said of it, for every page that comes in."""
    if task.number == 0:
        pages = read_source(
            task.source,
            losses,
            text_field=task.text_field,
            encoding=task.encoding,
            extractor=task.extractor,
        )
        for position, page in enumerate(pages):
            yield position, page, None
        return
    assert this.applied is not None
    before = place_of(task.out, "work", task.number - 1, task.shard, INTERMEDIATE)
    kept = list(read_source(Source(str(before), "jsonl", before.name), Losses(strict=True)))
    positions = read_arrays(before.with_name(f"{task.shard:05d}.npz"))["positions"]
    if len(kept) != len(positions):
        raise InputError(f"{before}: holds {len(kept)} pages, not {len(positions)}; delete {task.out}")
    decided = read_arrays(place_of(task.out, "work", task.number - 1, task.shard, ".decided.npz"))
    lengths = [len(page.text) for page in kept]
    values = corpus_step(this.applied).apply(kept, decided)
    for position, page, length, row in zip(positions, kept, lengths, values, strict=True):
        yield int(position), page, Applied(row, length - len(page.text))


def _judge(
    page: Page, this: Pass, applied: Applied | None, rows: AuditRows, counts: ShardCounts, *, first: bool
) -> str | None:
    """Run the steps on a page, note the values, and give the full name of the first rule that drops it.

    Nothing is noted or counted of a page for which a step raises InputError.
    """
    row: list[float | None] = []
    removed: list[int | None] = []
    entered: list[str] = []
    dropped: str | None = None

    def note(named: NamedStep, found: Sequence[float]) -> None:
        nonlocal dropped
        if dropped is None:
            entered.append(named.name)
        for rule, value in zip(named.step.rules, found, strict=True):
            row.append(float(value))
            if dropped is None and not rule.keeps(value):
                dropped = f"{named.name}.{rule.name}"

    if this.applied is not None and applied is not None:
        note(this.applied, applied.values)
        if this.applied.step.edits:
            removed.append(applied.removed)
    words_in = len(page.text.split())
    for named in this.page_steps:
        step = page_step(named)
        if first and dropped is not None:
            row.extend([None] * len(step.rules))
            removed.extend([None] * step.edits)
            continue
        before = len(page.text)
        note(named, step.apply(page))
        if step.edits:
            removed.append(before - len(page.text))
    counts.pages_in += 1
    counts.words_in += words_in
    for name in entered:
        counts.entered[name] += 1
    rows.values.append(row)
    rows.removed.append(removed)
    return dropped
