"""A recipe over input files: resumable, audited, the same for any number of workers and any engine."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import claim_folder, fingerprint, fingerprint_file, finish_folder, sha256_file
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards

import dclm_bench
from dclm_bench.data.reading import require_text_field
from dclm_bench.pipeline.audited import KIND, AuditedRun, describe_steps
from dclm_bench.pipeline.funnel import Funnel, merge_counts
from dclm_bench.pipeline.passes import Pass, corpus_step
from dclm_bench.pipeline.shard import (
    Audit,
    ShardCounts,
    ShardTask,
    cached_passes,
    pages_path,
    place_of,
    read_arrays,
    run_shard,
    write_arrays,
)
from dclm_bench.pipeline.sources import Source, find_sources
from dclm_bench.recipe import Recipe, load_recipe, notes_of
from dclm_bench.steps.step import Arrays, Compat

log = logging.getLogger(__name__)

SUFFIXES = {"jsonl": ".jsonl", "jsonl.gz": ".jsonl.gz", "jsonl.zst": ".jsonl.zst", "parquet": ".parquet"}


# The last words of the parameters that name what a step reads. Not by what is there: a key may be called like
# a folder, and a file that a run leaves (save_bloom_filter) is there when it goes on.
NAMES_OF_FILES = ("path", "file", "filename", "filepath", "fname", "tokenizer", "tasks")


@dataclass(frozen=True)
class RunReport:
    """What a run made.

    Attributes:
        run: The finished run.
        funnel: How many pages each step dropped.
    """

    run: AuditedRun
    funnel: Funnel

    @property
    def not_applied(self) -> dict[str, str]:
        """Step -> the list of words that it needs and that was not there."""
        return dict(self.run.manifest["config"]["not_applied"])

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"out": str(self.run.out), "not_applied": self.not_applied, **self.funnel.as_dict()}

    def to_text(self) -> str:
        """The rules that dropped pages, what was not applied, and where the pages are."""
        notes = [
            f"not applied: {step}, for {name} is not here (--lists)"
            for step, name in self.not_applied.items()
        ]
        return "\n".join([self.funnel.to_text(all_rules=False), *notes, f"pages and audit in {self.run.out}"])


def run_recipe(
    recipe: str | Path | Recipe | Sequence[Mapping[str, Any]],
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    lists: str | Path | None = None,
    workers: int = 1,
    engine: str = "local",
    compat: Compat = "official",
    resume: bool = True,
    overwrite: bool = False,
    audit: Audit = "full",
    strict: bool = False,
    format: str = "jsonl.zst",
    tokenizer: str | None = None,
    text_field: str = "text",
    encoding: str = "strict",
    extractor: str = "resiliparse",
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    """Run a recipe over files into the folder `out`, or go on with a run that was cut off.

    `out` gets `pages/NNNNN.*` (the pages kept, one file an input), `audit/` (every value and verdict) and
    `manifest.json`. The bytes are the same for any `workers` and `engine`.

    Args:
        recipe: What `load_recipe` takes, or a recipe.
        inputs: WARC, WET, JSONL (plain, .gz, .zst) and Parquet files, folders or globs.
        out: The folder to write.
        settings: Parameters that differ from the recipe's, `STEP.PARAMETER` -> value.
        lists: Folder of the lists of banned words that the recipe names; None: that of DCLM_BENCH_LISTS.
        workers: Processes.
        engine: "local" or "ray".
        compat: Whose semantics: "official", "fixed" or "datatrove".
        resume: Go on with an unfinished run of the same configuration.
        overwrite: Replace a run of another configuration.
        audit: "full" measures every rule on every page that reaches its pass; "first" stops at a page's
            first drop, which is faster, and leaves `what-if` without values.
        strict: Stop at the first record that cannot be used; otherwise it is counted and skipped.
        format: Of the pages written: "jsonl", "jsonl.gz", "jsonl.zst" or "parquet".
        tokenizer: What counts tokens (as in `dclm-bench tokenize`); without it words are counted.
        text_field: The field that holds the text.
        encoding: "strict" (pages that are no UTF-8 are lost, as in the official code) or "detect".
        extractor: What takes the text out of pages of a WARC.
        progress: Called with the number of shards done since the last call.

    Raises:
        InputError: the recipe, an input or the folder is unusable.

    Source: DataComp-LM section 4; the official `ray_processing/process.py`.
    """
    out = Path(out)
    _check_options(format, text_field, workers, tokenizer)
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    loaded = loaded.with_settings(settings or {}).with_lists(lists)
    entries = json.loads(json.dumps(loaded.to_json(), default=str))
    text = json.dumps({"name": loaded.name, "steps": entries})
    sources = find_sources(inputs)  # before the models of the steps are read, which takes long
    passes = cached_passes(text, compat)
    config = {
        "recipe": loaded.name,
        "not_applied": loaded.missing_lists(),
        "steps": entries,
        "files": _files_of(loaded),
        "compat": compat,
        "audit": audit,
        "format": format,
        "tokenizer": tokenizer,
        "text_field": text_field,
        "encoding": encoding,
        "extractor": extractor,
        "inputs": [[item.name, item.kind, fingerprint_file(Path(item.path))] for item in sources],
    }
    state = claim_folder(out, kind=KIND, config=config, resume=resume, overwrite=overwrite)
    if state == "complete":
        _remove_work(out)
        run = AuditedRun.open(out)
        return RunReport(run, Funnel.of(run))
    tasks = [
        ShardTask(
            out=str(out),
            source=source,
            shard=shard,
            number=number,
            recipe=text,
            compat=compat,
            audit=audit,
            suffix=SUFFIXES[format],
            tokenizer=tokenizer,
            strict=strict,
            text_field=text_field,
            encoding=encoding,
            extractor=extractor,
        )
        for number in range(len(passes))
        for shard, source in enumerate(sources)
    ]
    _say_what_starts(out, passes, len(sources))
    try:
        counts = _run_passes(out, passes, tasks, workers=workers, engine=engine, progress=progress)
    except InputError:
        if not any(out.glob("counts/pass-0/*.json")):
            _give_up(out)
        raise
    finish_folder(out, _manifest(out, passes, sources, tasks, counts))
    _remove_work(out)
    run = AuditedRun.open(out)
    return RunReport(run, Funnel.of(run))


def _check_options(format: str, text_field: str, workers: int, tokenizer: str | None) -> None:
    """Refuse what cannot be before a folder is taken or a model read."""
    if format not in SUFFIXES:
        raise InputError(f"--format: '{format}' is unknown; known are {', '.join(SUFFIXES)}")
    require_text_field(text_field)
    if workers < 1:
        raise InputError(f"--workers: {workers} is not positive; give 1 or more")
    if tokenizer is not None:
        from dclm_bench.tokenization.tokenizers import cached_tokenizer

        cached_tokenizer(tokenizer)


def _say_what_starts(out: Path, passes: Sequence[Pass], num_inputs: int) -> None:
    """Log how much there is to do, how much of it is done, and what the steps have to say."""
    done = sum(1 for _ in out.glob("counts/pass-*/*.json"))
    number = num_inputs * len(passes)
    log.info("%s: shards %d (inputs %d, passes %d), done %d", out, number, num_inputs, len(passes), done)
    for note in notes_of(named for this in passes for named in this.page_steps):
        log.info("%s", note)


def _run_passes(
    out: Path,
    passes: Sequence[Pass],
    tasks: Sequence[ShardTask],
    *,
    workers: int,
    engine: str,
    progress: Callable[[int], None] | None,
) -> list[list[ShardCounts]]:
    """What became of the pages of each shard in each pass."""
    counts: list[list[ShardCounts]] = []
    for number, this in enumerate(passes):
        of_pass = [task for task in tasks if task.number == number]
        done = map_shards(run_shard, of_pass, workers=workers, engine=engine, progress=progress)
        counts.append(list(done))
        if this.collected is not None:
            _decide(out, number, this, len(of_pass))
    return counts


def _decide(out: Path, number: int, this: Pass, num_shards: int) -> None:
    """Let the corpus step decide over the shards in order, unless an earlier run did."""
    assert this.collected is not None
    places = [place_of(out, "work", number, shard, ".decided.npz") for shard in range(num_shards)]
    if all(path.exists() for path in places):
        return
    log.info("%s: deciding over %d shards", this.collected.name, num_shards)

    def collected() -> Iterator[Arrays]:
        for shard in range(num_shards):
            arrays = read_arrays(place_of(out, "work", number, shard, ".npz"))
            del arrays["positions"]
            yield arrays

    for path, decided in zip(places, corpus_step(this.collected).decide(collected), strict=True):
        write_arrays(path, decided)


def _manifest(
    out: Path,
    passes: Sequence[Pass],
    sources: Sequence[Source],
    tasks: Sequence[ShardTask],
    counts: Sequence[Sequence[ShardCounts]],
) -> dict[str, Any]:
    # what the tasks wrote, not what lies there: a worker that was killed may have left a temporary file
    last = len(passes) - 1
    files = [place_of(out, "audit", task.number, task.shard, ".parquet") for task in tasks]
    files += [pages_path(task, last=True) for task in tasks if task.number == last]
    return {
        "version": 1,
        "toolkit_version": dclm_bench.__version__,
        "passes": len(passes),
        "steps": describe_steps(passes),
        "counts": merge_counts(counts),
        "inputs": [
            {"name": source.name, "kind": source.kind, "losses": counts[0][shard].losses}
            | {"pages_in": counts[0][shard].pages_in, "pages_out": counts[-1][shard].pages_out}
            for shard, source in enumerate(sources)
        ],
        "files": {path.relative_to(out).as_posix(): sha256_file(path) for path in files},
    }


def _files_of(recipe: Recipe) -> dict[str, str]:
    """Marks of the files and folders that steps read (models, lists), so that a change is noticed."""
    found = {}
    for step in recipe.steps:
        for name, value in step.parameters.items():
            if name.rpartition("_")[2] not in NAMES_OF_FILES:
                continue
            paths = value if isinstance(value, list | tuple) else [value]
            marks = [_mark_of(path) for path in paths if isinstance(path, str)]
            if any(marks):
                found[f"{step.name}.{name}"] = marks[0] or "" if len(marks) == 1 else fingerprint(marks)
    return found


def _mark_of(value: str) -> str | None:
    """The mark of a file, or of all files of a folder; None where there is neither."""
    if not 0 < len(value) < 4096 or "\0" in value:
        return None
    path = Path(value)
    if path.is_file():
        return fingerprint_file(path)
    if not path.is_dir():
        return None
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return fingerprint([[file.relative_to(path).as_posix(), fingerprint_file(file)] for file in files])


def _remove_work(out: Path) -> None:
    for name in ("work", "counts"):
        shutil.rmtree(out / name, ignore_errors=True)


def _give_up(out: Path) -> None:
    """Free a folder whose run gave nothing, so that the mended command may take it."""
    for name in ("pages", "audit", "work", "counts"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "job.json").unlink(missing_ok=True)
