"""A quality classifier out of files of good pages and files of plain ones, with what it must be judged by."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path, fingerprint_file, read_json, require_place, write_json
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.records import expand_inputs, open_records

from dclm_bench.data.inputs import SUFFIXES, format_of
from dclm_bench.data.reading import read_pages, require_text_field
from dclm_bench.fasttext.model import FastTextModel, load_fasttext, score_texts
from dclm_bench.fasttext.settings import FastTextSettings
from dclm_bench.fasttext.training import train_supervised
from dclm_bench.quality.auc import QualityAuc, quality_auc
from dclm_bench.quality.leakage import Marks, text_mark

log = logging.getLogger(__name__)

GOOD, PLAIN = "hq", "cc"
TEXT_LINES = (".txt", ".txt.gz", ".txt.zst")
PAGES = tuple(suffix for suffix, kind in SUFFIXES.items() if kind in ("jsonl", "parquet"))
_MARK_SPAN = 2.0**64


@dataclass(frozen=True)
class ClassifierReport:
    """What was trained on what, and how well it tells unseen examples apart.

    Attributes:
        model: Path of the model.
        examples: Examples of each label that were trained on.
        held_out: Examples of each label that were not.
        duplicates: Examples left out because another of their label has the same text.
        in_both: Plain examples left out because a good one has the same text.
        unused: Records that could not be read, and empty texts.
        accuracy: Share of the held-out examples told apart at probability 1/2; None without any.
        auc: Area under the curve on the held-out examples beside that of the length; None without any.
        words: Words with a vector of their own.
        megabytes: Size of the model file.
    """

    model: str
    examples: Mapping[str, int]
    held_out: Mapping[str, int]
    duplicates: int
    in_both: int
    unused: int
    accuracy: float | None
    auc: Mapping[str, Any] | None
    words: int
    megabytes: float

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """The report as lines."""
        lines = [
            f"trained on {self.examples[GOOD]} good and {self.examples[PLAIN]} plain examples, "
            f"{self.held_out[GOOD]} and {self.held_out[PLAIN]} held out",
            f"left out: {self.duplicates} repeated, {self.in_both} plain ones that are also good, "
            f"{self.unused} unusable or empty",
            f"{self.words} words, {self.megabytes:.1f} MB in {self.model}",
        ]
        if self.accuracy is not None:
            lines.append(f"accuracy on held-out examples {self.accuracy:.3f}")
        if self.auc is not None:
            within = self.auc["within_length"]
            lines.append(
                f"AUC on held-out examples {self.auc['score']['area']:.3f}; "
                f"of their length alone {self.auc['length']['area']:.3f}; "
                f"of the score within tenths of length {'not known' if within is None else f'{within:.3f}'}"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Examples:
    """Texts of one label, each once, in the order of their files, with a hash of each."""

    texts: Sequence[str]
    marks: Marks
    duplicates: int = 0
    unused: int = 0

    def subset(self, chosen: npt.NDArray[np.bool_]) -> "Examples":
        """The chosen ones."""
        texts = [text for text, kept in zip(self.texts, chosen, strict=True) if kept]
        return Examples(texts, self.marks[chosen], self.duplicates, self.unused)


def train_classifier(
    positives: Sequence[str | Path],
    negatives: Sequence[str | Path],
    out: str | Path,
    *,
    settings: FastTextSettings | None = None,
    held_out: float = 0.1,
    max_examples: int | None = None,
    text_field: str = "text",
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ClassifierReport:
    """Train a fastText classifier of `hq` against `cc`, and write it as a fastText file.

    Beside the model stand `OUT.json` (the report, and what the model was made from) and `OUT.examples.npy`
    (hashes of the examples, by which `quality score` tells pages that were trained on). Which examples are
    held out, and which are taken where `max_examples` bounds them, depends on the texts alone.

    Args:
        positives: Files, folders or globs of good pages: JSON lines, Parquet, or text with an example a line.
        negatives: The same of plain pages.
        out: The model file.
        settings: Of the training.
        held_out: Share of the examples that is kept for judging, 0 up to but not 1.
        max_examples: At most so many examples of each label.
        text_field: Field that holds the text.
        seed: Of the training.
        overwrite: Replace a model of other inputs or settings.
        progress: Called with the number of examples seen since the last call.

    Raises:
        InputError: an input, an option or the place is unusable.

    Source: DataComp-LM section 4.4: 200 k instruction-like pages against 200 k pages of the crawl, fastText's
    defaults with n-grams of 2 words.
    """
    settings, out = settings or FastTextSettings(), Path(out)
    if not 0 <= held_out < 1:
        raise InputError(f"--held-out: {held_out} is no share from 0 up to 1; give for example 0.1")
    if max_examples is not None and max_examples < 1:
        raise InputError(f"--max-examples: {max_examples} is below 1; give 1 or more")
    require_text_field(text_field)
    config = {
        "positives": _fingerprints(positives),
        "negatives": _fingerprints(negatives),
        "settings": asdict(settings),
        "held_out": held_out,
        "max_examples": max_examples,
        "text_field": text_field,
        "seed": seed,
    }
    require_place(out)
    done = _finished(out, config, overwrite)
    if done is not None:
        log.info("%s: is finished, and from the same inputs", out)
        return done
    good, plain = (read_examples(paths, text_field=text_field) for paths in (positives, negatives))
    in_both = np.isin(plain.marks, good.marks)
    sides = {GOOD: good, PLAIN: plain.subset(~in_both)}
    sides = {label: _bounded(side, max_examples) for label, side in sides.items()}
    apart = {label: (side.marks / _MARK_SPAN) < held_out for label, side in sides.items()}
    train = {label: side.subset(~apart[label]) for label, side in sides.items()}
    test = {label: side.subset(apart[label]) for label, side in sides.items()}
    for label, side in train.items():
        if not side.texts:
            which = "--positives" if label == GOOD else "--negatives"
            raise InputError(f"{which}: give no example to train on; give more pages or less --held-out")
    texts = [text for side in train.values() for text in side.texts]
    labels = [label for label, side in train.items() for _ in side.texts]
    model = train_supervised(texts, labels, **settings.arguments(), seed=seed, progress=progress)
    model.save(out)
    with atomic_path(_marks_path(out)) as temporary, open(temporary, "wb") as file:
        np.save(file, np.unique(np.concatenate([side.marks for side in train.values()])))
    accuracy, auc = judge_classifier(model, test[GOOD].texts, test[PLAIN].texts)
    report = ClassifierReport(
        model=str(out),
        examples={label: len(side.texts) for label, side in train.items()},
        held_out={label: len(side.texts) for label, side in test.items()},
        duplicates=good.duplicates + plain.duplicates,
        in_both=int(in_both.sum()),
        unused=good.unused + plain.unused,
        accuracy=accuracy,
        auc=None if auc is None else auc.as_dict(),
        words=model.file.vocabulary.num_words,
        megabytes=out.stat().st_size / 1e6,
    )
    write_json(
        _report_path(out), {"config": config, "report": report.as_dict(), "model": fingerprint_file(out)}
    )
    return report


def read_examples(paths: Sequence[str | Path], *, text_field: str = "text") -> Examples:
    """The distinct texts of files, folders and globs that are not empty.

    Raises:
        InputError: an input gives no file or no text.
    """
    texts: list[str] = []
    marks: dict[int, None] = {}
    losses, empty, duplicates = Losses(), 0, 0
    for path in expand_inputs(paths, (*PAGES, *TEXT_LINES)):
        for text in _texts_of(path, text_field, losses):
            if not text.strip():
                empty += 1
                continue
            mark = text_mark(text)
            if mark in marks:
                duplicates += 1
                continue
            marks[mark] = None
            texts.append(text)
    if not texts:
        raise InputError(f"{paths[0]}: holds no text; give files with at least one page")
    return Examples(texts, np.array(list(marks), np.uint64), duplicates, empty + losses.num_lost)


def judge_classifier(
    model: FastTextModel, good: Sequence[str], plain: Sequence[str]
) -> tuple[float | None, QualityAuc | None]:
    """Accuracy at probability 1/2, and the area under the curve; None where there are no examples for it."""
    texts = [*good, *plain]
    if not texts:
        return None, None
    labels = np.arange(len(texts)) < len(good)
    scores = np.nan_to_num(score_texts(model, texts, GOOD), nan=0.0)
    accuracy = float(np.mean((scores >= 0.5) == labels))
    if not good or not plain:
        return accuracy, None
    return accuracy, quality_auc(scores, labels, [len(text) for text in texts])


def example_marks(model: str | Path) -> Marks | None:
    """The hashes of the examples that a model was trained on; None where its file has none beside it.

    Raises:
        InputError: the file beside the model is no list of hashes.
    """
    path = _marks_path(Path(model))
    if not path.is_file():
        return None
    try:
        marks = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}; remove it, or train again") from None
    if not isinstance(marks, np.ndarray) or marks.dtype != np.uint64 or marks.ndim != 1:
        raise InputError(f"{path}: holds no hashes of examples; remove it, or train again")
    return np.unique(marks)


def _texts_of(path: Path, text_field: str, losses: Losses) -> Any:
    if path.name.lower().endswith(TEXT_LINES):
        with open_records(path) as stream:
            for line in stream:
                yield line.decode("utf-8", "replace").rstrip("\r\n")
    elif format_of(path) in ("jsonl", "parquet"):
        for page in read_pages(path, text_field=text_field, on_bad=losses.on_bad):
            yield page.text
    else:
        raise InputError(f"{path}: has to be extracted first; run `dclm-bench extract`")


def _bounded(side: Examples, most: int | None) -> Examples:
    """The examples with the smallest hashes, which is as good as by chance and the same in any order."""
    if most is None or len(side.texts) <= most:
        return side
    # other bits than those by which examples are held out
    turned = side.marks * np.uint64(0x9E3779B97F4A7C15)
    chosen = np.zeros(len(side.texts), np.bool_)
    chosen[np.argsort(turned, kind="stable")[:most]] = True
    return side.subset(chosen)


def _finished(out: Path, config: Mapping[str, Any], overwrite: bool) -> ClassifierReport | None:
    """The report of a finished training of the same inputs and settings; None where there is work to do."""
    if overwrite or not out.exists():
        return None
    try:
        value = read_json(_report_path(out))
        same = value["config"] == config and value["model"] == fingerprint_file(out)
        report = ClassifierReport(**value["report"])
    except (InputError, KeyError, TypeError):
        same = False
    if not same:
        raise InputError(
            f"{out}: is there, from other inputs or settings; choose another, or pass --overwrite"
        )
    load_fasttext(out)
    return report


def _fingerprints(paths: Sequence[str | Path]) -> list[list[str]]:
    return [[path.name, str(fingerprint_file(path))] for path in expand_inputs(paths, (*PAGES, *TEXT_LINES))]


def _report_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.json")


def _marks_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.examples.npy")
