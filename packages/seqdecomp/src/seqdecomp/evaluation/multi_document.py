"""Question answering over many documents, one of which holds the answer (MDQA)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Progress, Scorer
from toolkit_shared.randomness import stream
from toolkit_shared.records import read_jsonl

from seqdecomp.data.tokenizer import Tokenizer
from seqdecomp.evaluation.accuracy import Accuracy
from seqdecomp.evaluation.answers import best_subspan_em, first_answer_line, has_answer_line, normalize_answer
from seqdecomp.evaluation.continuations import answer_prompts
from seqdecomp.evaluation.templates import fill_template, has_field

# Number of documents: the gold document's positions in the published files.
GOLD_POSITIONS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {10: (0, 4, 9), 20: (0, 4, 9, 14, 19), 30: (0, 4, 9, 14, 19, 24, 29)}
)
RANDOM_DISTRACTOR = "random-distractor"
OFFICIAL = "retrieved-distractor"


@dataclass(frozen=True)
class Passage:
    """A document shown to the model; `is_gold` where it holds the answer."""

    title: str
    text: str
    is_gold: bool = False


@dataclass(frozen=True)
class Question:
    """A question, the answers that count as right, and its documents in order."""

    question: str
    answers: tuple[str, ...]
    passages: tuple[Passage, ...]

    @property
    def gold_position(self) -> int:
        """Index of the first gold document, or -1."""
        return next((index for index, passage in enumerate(self.passages) if passage.is_gold), -1)


@dataclass(frozen=True, kw_only=True)
class MultiDocumentPrompt:
    """The words around documents and question.

    The defaults are this package's own words. Published figures were made with the prompt file of the
    benchmark's authors: pass its text as `template` (with their names `{search_results}` and `{question}`) to
    compare.

    Attributes:
        template: Text with `{documents}` (or `{search_results}`) and `{question}`.
        document_template: Text of one document with `{number}` (from 1), `{title}` and `{text}`.
    """

    template: str = (
        "Answer the question with the help of the documents below; not all of them matter.\n\n"
        "{documents}\n\nQuestion: {question}\nAnswer:"
    )
    document_template: str = "Document [{number}] ({title}) {text}"

    def __post_init__(self) -> None:
        if not has_field(self.template, "question") or not has_field(
            self.template, "documents", "search_results"
        ):
            raise ValueError("template: lacks {question} or {documents}; write both into the prompt file")

    def render(self, question: Question) -> str:
        """The whole prompt of one question."""
        shown = "\n".join(
            fill_template(self.document_template, number=str(number), title=passage.title, text=passage.text)
            for number, passage in enumerate(question.passages, 1)
        )
        return fill_template(self.template, documents=shown, search_results=shown, question=question.question)


@dataclass(frozen=True)
class MultiDocumentResult:
    """Outcome for one number of documents.

    Attributes:
        num_documents: Documents in each prompt.
        variant: "random-distractor" (other questions' gold texts) or "retrieved-distractor" (as published).
        by_position: Accuracy by the gold document's position.
        cut_prompts: Prompts whose start was cut away to fit the context.
    """

    num_documents: int
    variant: str
    by_position: Mapping[int, Accuracy]
    cut_prompts: int

    @property
    def score(self) -> float:
        """Mean over the gold positions, 0..1. The paper does not say how it averages."""
        shares = [accuracy.correct / accuracy.total for accuracy in self.by_position.values()]
        return sum(shares) / len(shares)

    def document(self) -> dict[str, Any]:
        """Fields for a JSON report."""
        return {
            "num_documents": self.num_documents,
            "variant": self.variant,
            "score": self.score,
            "positions": {str(place): accuracy.document() for place, accuracy in self.by_position.items()},
            "cut_prompts": self.cut_prompts,
        }


def read_questions(path: str | Path, *, limit: int | None = None) -> list[Question]:
    """The questions of a file in the benchmark's format: question, answers, ctxs (title, text, isgold).

    In a file where no document is marked, the only one of a question is its gold document.

    Raises:
        InputError: a field is missing or of another type, or a question has no gold document.
    """
    questions = []
    for place, record in read_jsonl(path):
        where = f"{path}: {place}"
        for field, kind in (("question", str), ("answers", list), ("ctxs", list)):
            if not isinstance(record.get(field), kind) or not record[field]:
                raise InputError(f"{where}: field '{field}' is missing, empty or no {kind.__name__}; mend it")
        try:
            passages = tuple(
                Passage(
                    str(entry["title"]),
                    str(entry["text"]),
                    bool(entry.get("isgold", len(record["ctxs"]) == 1)),
                )
                for entry in record["ctxs"]
            )
        except (KeyError, TypeError, AttributeError):
            raise InputError(f"{where}: an entry of 'ctxs' lacks title or text; mend the record") from None
        question = Question(record["question"], tuple(map(str, record["answers"])), passages)
        if question.gold_position < 0:
            raise InputError(
                f"{where}: no entry of 'ctxs' has isgold true; mark the document with the answer"
            )
        questions.append(question)
        if limit is not None and len(questions) >= limit:
            break
    if not questions:
        raise InputError(f"{path}: holds no question; give a file with one object a line")
    return questions


def with_random_distractors(
    questions: Sequence[Question], *, num_documents: int, gold_position: int, asked: int, seed: int = 0
) -> list[Question]:
    """The first `asked` questions, each with its gold document among other questions' gold documents.

    A distractor never repeats a text, and never holds an accepted answer. Those of question i come from a
    stream of (seed, num_documents, i), so that only the gold document moves between positions.

    Raises:
        InputError: there are not enough questions to draw the distractors from.
    """
    golds = [question.passages[question.gold_position] for question in questions]
    normalized = [f" {normalize_answer(gold.text)} " for gold in golds]
    made = []
    for index, question in enumerate(questions[:asked]):
        wanted = [answer for answer in map(normalize_answer, question.answers) if answer]
        used = {golds[index].text}
        chosen: list[Passage] = []
        for other in stream(seed, f"mdqa {num_documents}", index).permutation(len(golds)).tolist():
            if len(chosen) == num_documents - 1:
                break
            text = golds[other].text
            if text in used or any(f" {answer} " in normalized[other] for answer in wanted):
                continue
            used.add(text)
            chosen.append(Passage(golds[other].title, text))
        if len(chosen) < num_documents - 1:
            raise InputError(
                f"mdqa: only {len(chosen)} distractors for question {index + 1} where {num_documents - 1} "
                "are needed; give a file with more questions or ask for fewer documents"
            )
        chosen.insert(gold_position, golds[index])
        made.append(Question(question.question, question.answers, tuple(chosen)))
    return made


def evaluate_questions(
    scorer: Scorer,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    *,
    prompt: MultiDocumentPrompt | None = None,
    max_new_tokens: int = 100,
    progress: Progress | None = None,
) -> tuple[Accuracy, int]:
    """Share of the questions answered, and the number of prompts that lost their start to fit the context.

    Right is an answer whose first non-empty line holds an accepted one, both normalised.

    Source: the multi-document evaluation of arXiv 2405.13226; the metric is `best_subspan_em` of Liu et al.
    """
    prompt = prompt or MultiDocumentPrompt()
    texts, cut = answer_prompts(
        scorer,
        tokenizer,
        [prompt.render(question) for question in questions],
        max_new_tokens=max_new_tokens,
        is_complete=has_answer_line,
        progress=progress,
    )
    flags = [is_right(text, question.answers) for text, question in zip(texts, questions, strict=True)]
    return Accuracy.of(flags), cut


def evaluate_random_distractors(
    scorer: Scorer,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    *,
    num_documents: int,
    gold_positions: Sequence[int] | None = None,
    limit: int | None = None,
    seed: int = 0,
    prompt: MultiDocumentPrompt | None = None,
    max_new_tokens: int = 100,
    progress: Progress | None = None,
) -> MultiDocumentResult:
    """The `random-distractor` variant at each gold position; for files that hold gold documents only.

    Easier than the published task, whose distractors were retrieved for the question; not comparable with it.
    `gold_positions` None: the published ones of 10, 20 and 30 documents, else first, middle and last.
    """
    places = gold_positions or GOLD_POSITIONS.get(
        num_documents, tuple(sorted({0, (num_documents - 1) // 2, num_documents - 1}))
    )
    asked = len(questions) if limit is None else min(limit, len(questions))
    found, cut = {}, 0
    for place in places:
        made = with_random_distractors(
            questions, num_documents=num_documents, gold_position=place, asked=asked, seed=seed
        )
        found[place], lost = evaluate_questions(
            scorer, tokenizer, made, prompt=prompt, max_new_tokens=max_new_tokens, progress=progress
        )
        cut += lost
    return MultiDocumentResult(num_documents, RANDOM_DISTRACTOR, found, cut)


def is_right(output: str, answers: Sequence[str]) -> bool:
    """Whether the first non-empty line of `output` holds an accepted answer."""
    return best_subspan_em(first_answer_line(output), answers)
