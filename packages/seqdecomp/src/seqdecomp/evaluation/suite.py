"""All evaluations that the given files allow, in one report."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Progress, Scorer
from toolkit_shared.evaluation.task_files import read_task_file
from toolkit_shared.records import read_jsonl

from seqdecomp.data.store import Store
from seqdecomp.data.tokenizer import Tokenizer
from seqdecomp.evaluation.closed_ended import ChoiceProtocol, evaluate_choice_set, read_choice_set
from seqdecomp.evaluation.in_context import evaluate_in_context
from seqdecomp.evaluation.key_value import KeyValuePrompt, evaluate_key_values, read_key_values
from seqdecomp.evaluation.multi_document import (
    OFFICIAL,
    MultiDocumentPrompt,
    MultiDocumentResult,
    evaluate_questions,
    evaluate_random_distractors,
    read_questions,
)
from seqdecomp.evaluation.perplexity import StoreDocuments, evaluate_perplexity
from seqdecomp.evaluation.sources import TEXT_SUFFIXES, Source
from seqdecomp.evaluation.summary import REGULAR_TASKS, summarize_regular
from seqdecomp.evaluation.tasks import PAPER_TASKS, Task
from seqdecomp.settings import EvaluationProtocolSettings


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A model with its tokenizer, and how everything is asked.

    Attributes:
        scorer: The model.
        tokenizer: The model's tokenizer; None where only a store's perplexity is wanted.
        protocol: Shots, prompts and scoring.
        bands: Borders of the position bands; None for the default.
        limit: Questions or documents of each file, from the first on; None for all.
        seed: Seed of solved examples and distractors.
        progress: Called with the number of rows done.
    """

    scorer: Scorer
    tokenizer: Tokenizer | None = None
    protocol: EvaluationProtocolSettings = field(default_factory=EvaluationProtocolSettings)
    bands: Sequence[int] | None = None
    limit: int | None = None
    seed: int = 0
    progress: Progress | None = None

    def run(self, sources: Sequence[Source], store: Store | None = None) -> dict[str, Any]:
        """Evaluate every file of `sources` and the documents of `store`.

        Returns:
            `perplexity` (by store or file), `tasks` (in-context, by task), `regular` (the summary of the
            fourteen, where any of them was run), `mdqa` (by number of documents), `key_value` (by file) and
            `closed_ended` (by set); each only where there was something to evaluate.
        """
        # A wrong prompt file shows at once, not after the hours of the rest.
        read_prompt(MultiDocumentPrompt, self.protocol.mdqa_prompt)
        read_prompt(KeyValuePrompt, self.protocol.key_value_prompt)
        report: dict[str, dict[str, Any]] = {}
        if store is not None:
            report["perplexity"] = {str(store.path or "store"): self.store_perplexity(store)}
        for source in sources:
            if source.protocol == "perplexity":
                report.setdefault("perplexity", {})[str(source.path)] = self.text_perplexity(source.path)
            elif source.protocol == "in-context":
                assert source.task is not None
                report.setdefault("tasks", {})[source.name] = self.in_context(source.path, source.task)
            elif source.protocol == "key-value":
                report.setdefault("key_value", {})[str(source.path)] = self.key_values(source.path)
            elif source.protocol == "closed-ended":
                report.setdefault("closed_ended", {})[source.name] = self.closed_ended(source.path)
        questions = [source.path for source in sources if source.protocol == "mdqa"]
        if questions:
            report["mdqa"] = self.multi_document(questions)
        scores = {name: task["score"] for name, task in report.get("tasks", {}).items()}
        if any(name in REGULAR_TASKS for name in scores):
            report["regular"] = summarize_regular(scores).document()
        return report

    def store_perplexity(self, store: Store) -> dict[str, Any]:
        """Losses of the store's documents."""
        documents = StoreDocuments(store, max_tokens=self.scorer.max_length + 1, limit=self.limit)
        result = evaluate_perplexity(
            self.scorer, documents, bands=self.bands, lengths=documents.lengths, progress=self.progress
        )
        return result.document()

    def text_perplexity(self, path: Path) -> dict[str, Any]:
        """Losses of a text file (one document) or of the records' field `text`, each with EOS at its end.

        Raises:
            InputError: the file is no UTF-8 or empty, or a record has no text.
        """
        tokenizer = self._tokenizer(path)
        documents: list[npt.NDArray[np.integer]] = [
            np.append(ids, np.uint32(tokenizer.eos_id))
            for ids in tokenizer.encode_batch(read_texts(path, limit=self.limit))
        ]
        result = evaluate_perplexity(self.scorer, documents, bands=self.bands, progress=self.progress)
        return result.document()

    def in_context(self, path: Path, task: Task) -> dict[str, Any]:
        """Accuracy and loss of one in-context task."""
        if self.protocol.num_fewshot is not None:
            task = replace(task, num_fewshot=self.protocol.num_fewshot)
        file = read_task_file(path)
        result = evaluate_in_context(
            self.scorer,
            self._tokenizer(path),
            task,
            file.kind,
            file.questions,
            limit=self.limit,
            seed=self.seed,
            progress=self.progress,
        )
        paper = PAPER_TASKS.get(task.name)
        return {**result.document(), "paper_num_fewshot": paper.num_fewshot if paper else None}

    def multi_document(self, paths: Sequence[Path]) -> dict[str, Any]:
        """MDQA by number of documents: published files as they are, oracle files with random distractors.

        Raises:
            InputError: the questions of a file differ in number of documents or in gold position.
        """
        prompt = read_prompt(MultiDocumentPrompt, self.protocol.mdqa_prompt)
        results: dict[tuple[int, str], MultiDocumentResult] = {}
        for path in paths:
            questions = read_questions(path)
            asks: dict[str, Any] = {
                "prompt": prompt,
                "max_new_tokens": self.protocol.max_new_tokens,
                "progress": self.progress,
            }
            shown = len(questions[0].passages)
            if shown == 1:
                for number in self.protocol.mdqa_documents:
                    result = evaluate_random_distractors(
                        self.scorer,
                        self._tokenizer(path),
                        questions,
                        num_documents=number,
                        limit=self.limit,
                        seed=self.seed,
                        **asks,
                    )
                    results[number, result.variant] = result
                continue
            places = {question.gold_position for question in questions}
            if len(places) > 1 or any(len(question.passages) != shown for question in questions):
                raise InputError(
                    f"{path}: the questions differ in number of documents or in gold position; "
                    "give a file for each, as published"
                )
            accuracy, cut = evaluate_questions(
                self.scorer, self._tokenizer(path), questions[: self.limit], **asks
            )
            known = results.get((shown, OFFICIAL), MultiDocumentResult(shown, OFFICIAL, {}, 0))
            results[shown, OFFICIAL] = MultiDocumentResult(
                shown, OFFICIAL, {**known.by_position, places.pop(): accuracy}, known.cut_prompts + cut
            )
        return {f"{number} {variant}": result.document() for (number, variant), result in results.items()}

    def key_values(self, path: Path) -> dict[str, Any]:
        """Key-value retrieval by position."""
        result = evaluate_key_values(
            self.scorer,
            self._tokenizer(path),
            read_key_values(path, limit=self.limit),
            num_pairs=self.protocol.key_value_pairs,
            prompt=read_prompt(KeyValuePrompt, self.protocol.key_value_prompt),
            progress=self.progress,
        )
        return result.document()

    def closed_ended(self, path: Path) -> dict[str, Any]:
        """Accuracy on one set of long texts with choices."""
        result = evaluate_choice_set(
            self.scorer,
            self._tokenizer(path),
            read_choice_set(path),
            protocol=ChoiceProtocol(
                choice_scoring=self.protocol.choice_scoring, context_cut=self.protocol.context_cut
            ),
            limit=self.limit,
            progress=self.progress,
        )
        return result.document()

    def _tokenizer(self, path: Path) -> Tokenizer:
        if self.tokenizer is None:
            raise InputError(f"{path}: needs a tokenizer; give --tokenizer bytes, a file or a hub name")
        return self.tokenizer


def read_texts(path: Path, *, limit: int | None = None) -> list[str]:
    """The text of a text file, or the field `text` of the first `limit` records.

    Raises:
        InputError: the file is no UTF-8 or empty, or a record has no text.
    """
    if path.name.endswith(TEXT_SUFFIXES):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 at byte {error.start}; convert the file") from None
        if not text:
            raise InputError(f"{path}: is empty; give a file that holds text")
        return [text]
    texts = []
    for place, record in islice(read_jsonl(path), limit):
        if not isinstance(record.get("text"), str):
            raise InputError(
                f"{path}, {place}: field 'text' is missing or no text; mend or remove the record"
            )
        texts.append(record["text"])
    return texts


def choose_sources(
    sources: Sequence[Source], tasks: Sequence[str], *, has_store: bool = False
) -> list[Source]:
    """The files of the tasks named; all when none is named.

    Raises:
        InputError: a name is unknown, or no file for it was given.
    """
    from toolkit_shared.cli import nearest_name

    if not tasks:
        return list(sources)
    given = {source.name for source in sources} | ({"perplexity"} if has_store else set())
    known = {*REGULAR_TASKS, "mdqa", "key-value", "toefl", "quality", "perplexity", *given}
    for name in tasks:
        if name not in known:
            near = nearest_name(name, known)
            hint = f"did you mean '{near}'?" if near else f"known are {', '.join(sorted(known))}"
            raise InputError(f"--tasks: unknown task '{name}'; {hint}")
        if name not in given:
            names = (
                ", ".join(f"{stem}.jsonl" for stem in PAPER_TASKS[name].files) if name in PAPER_TASKS else ""
            )
            hint = f"give its file ({names}) with --data" if names else "give its file with --data"
            raise InputError(f"--tasks {name}: no file of this task among --data; {hint}")
    return [source for source in sources if source.name in tasks]


Prompt = TypeVar("Prompt", MultiDocumentPrompt, KeyValuePrompt)


def read_prompt(kind: type[Prompt], path: Path | None) -> Prompt:
    """The prompt with the text of the file `path`, line breaks at its end left out; the default for None.

    Raises:
        InputError: the file cannot be read, or lacks a field.
    """
    if path is None:
        return kind()
    try:
        return kind(template=path.read_text(encoding="utf-8").rstrip("\n"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason}); give a text file with the prompt") from None
    except ValueError as error:
        raise InputError(f"{path}: {str(error).removeprefix('template: ')}") from None
