"""Multiple-choice questions about one long text each: the closed-ended sets of L-Eval (TOEFL, QuALITY)."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Progress, Scorer
from toolkit_shared.records import read_jsonl

from seqdecomp.data.tokenizer import Tokenizer
from seqdecomp.evaluation.accuracy import Accuracy
from seqdecomp.settings import ChoiceScoring, ContextCut

# Field `source` of a record: name of the set.
SETS: Mapping[str, str] = MappingProxyType({"toefl_tpo": "toefl", "quality_raw": "quality"})
# Texts and questions of the whole sets that the paper reports on.
WHOLE_SETS: Mapping[str, tuple[int, int]] = MappingProxyType({"toefl": (15, 269), "quality": (15, 202)})

_OPTION = re.compile(r"^[ \t]*(?:\(([A-Z])\)|([A-Z])[.)])[ \t]*(.*)$", re.MULTILINE)
_LETTER = re.compile(r"\s*\(?([A-Z])\b")


@dataclass(frozen=True)
class ChoiceQuestion:
    """One question about text `text`, an index; `gold` is the index of the right option."""

    text: int
    question: str
    letters: tuple[str, ...]
    options: tuple[str, ...]
    gold: int


@dataclass(frozen=True)
class ChoiceSet:
    """A set of long texts with their questions; `name` is toefl, quality, or the records' own source."""

    name: str
    texts: tuple[str, ...]
    questions: tuple[ChoiceQuestion, ...]

    @property
    def is_whole(self) -> bool | None:
        """Whether this has the texts and questions that the paper reports on; None for another set."""
        if self.name not in WHOLE_SETS:
            return None
        return (len(self.texts), len(self.questions)) == WHOLE_SETS[self.name]


@dataclass(frozen=True, kw_only=True)
class ChoiceProtocol:
    """How a question is put and scored; the paper does not say, so all of it is our choice.

    Attributes:
        choice_scoring: The option chosen is that with the lowest "mean" or "sum" of its text's token losses,
            or ("letter") the one whose letter has the lowest loss.
        context_cut: What of a text too long for the context is left out: its "end", its "start", or its
            "middle".
        question_delimiter: Text between the long text and the question.
        answer_delimiter: Text between question and answer.
    """

    choice_scoring: ChoiceScoring = "mean"
    context_cut: ContextCut = "end"
    question_delimiter: str = "\n\nQuestion: "
    answer_delimiter: str = "\nAnswer:"


@dataclass(frozen=True)
class ClosedEndedResult:
    """Outcome of one set.

    Attributes:
        name: Name of the set.
        num_texts: Texts asked about.
        chosen: Index of the option chosen, one a question.
        gold: Index of the right option, one a question.
        option_losses: What was compared, one tuple a question, nats.
        cut_questions: Questions whose text was cut to fit.
        is_whole: See `ChoiceSet`.
        protocol: How the questions were put.
    """

    name: str
    num_texts: int
    chosen: tuple[int, ...]
    gold: tuple[int, ...]
    option_losses: tuple[tuple[float, ...], ...]
    cut_questions: int
    is_whole: bool | None
    protocol: ChoiceProtocol

    @property
    def accuracy(self) -> Accuracy:
        """Share of right choices."""
        return Accuracy.of(a == b for a, b in zip(self.chosen, self.gold, strict=True))

    @property
    def answer_loss(self) -> float:
        """Mean over the questions of the right option's loss, nats."""
        return math.fsum(
            losses[gold] for losses, gold in zip(self.option_losses, self.gold, strict=True)
        ) / len(self.gold)

    def document(self) -> dict[str, Any]:
        """Fields for a JSON report, every question's choice included."""
        return {
            **self.accuracy.document(),
            "answer_loss": self.answer_loss,
            "texts": self.num_texts,
            "is_whole_set": self.is_whole,
            "cut_questions": self.cut_questions,
            "choice_scoring": self.protocol.choice_scoring,
            "context_cut": self.protocol.context_cut,
            "chosen": list(self.chosen),
            "gold": list(self.gold),
        }


def read_choice_set(path: str | Path) -> ChoiceSet:
    """The texts and questions of an L-Eval file: input, instructions and outputs (lists of equal length).

    An instruction is a question followed by its options, a line each, as `(A) ...`, `A. ...` or `A) ...`; an
    output begins with the letter of the right one.

    Raises:
        InputError: a field is missing, or an instruction or output is of another form.
    """
    name = ""
    texts: list[str] = []
    questions: list[ChoiceQuestion] = []
    for place, record in read_jsonl(path):
        where = f"{path}: {place}"
        for field, kind in (("input", str), ("instructions", list), ("outputs", list)):
            if not isinstance(record.get(field), kind):
                raise InputError(
                    f"{where}: field '{field}' is missing or no {kind.__name__}; mend the record"
                )
        asked, answers = record["instructions"], record["outputs"]
        if len(asked) != len(answers):
            raise InputError(
                f"{where}: {len(asked)} instructions but {len(answers)} outputs; mend the record"
            )
        source = str(record.get("source", Path(path).name.split(".")[0]))
        name = name or SETS.get(source, source)
        for number, (instruction, output) in enumerate(zip(asked, answers, strict=True), 1):
            question = parse_question(str(instruction), str(output), text=len(texts))
            if question is None:
                raise InputError(
                    f"{where}: instruction {number}: no two options such as '(A) ...' or 'A. ...' found, "
                    f"or output {str(output)[:20]!r} names none of them; mend the record"
                )
            questions.append(question)
        texts.append(record["input"].strip())
    if not questions:
        raise InputError(f"{path}: holds no question; give a file with one object a line")
    return ChoiceSet(name, tuple(texts), tuple(questions))


def parse_question(instruction: str, output: str, *, text: int = 0) -> ChoiceQuestion | None:
    """Question, options and right option of an instruction and its output, or None for another form."""
    found = list(_OPTION.finditer(instruction))
    letters = tuple(match.group(1) or match.group(2) for match in found)
    answer = _LETTER.match(output)
    if len(found) < 2 or len(set(letters)) < len(letters) or answer is None or answer.group(1) not in letters:
        return None
    question = instruction[: found[0].start()].strip()
    options = tuple(match.group(3).strip() for match in found)
    if not all(options):
        return None
    return ChoiceQuestion(text, question, letters, options, letters.index(answer.group(1)))


def evaluate_choice_set(
    scorer: Scorer,
    tokenizer: Tokenizer,
    choices: ChoiceSet,
    *,
    protocol: ChoiceProtocol | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> ClosedEndedResult:
    """Choose an option for each question by its loss after text and question.

    The question and the longest option always fit; what is cut is the long text, by the same amount for all
    options of a question.

    Args:
        scorer: The model.
        tokenizer: The model's tokenizer.
        choices: The set.
        protocol: How the questions are put; the defaults of `ChoiceProtocol` when None.
        limit: Ask only so many questions, from the first on.
        progress: Called with the number of options done.

    Raises:
        InputError: a question without any of its text is longer than the model's context.
    """
    protocol = protocol or ChoiceProtocol()
    asked = choices.questions[:limit]
    texts = tokenizer.encode_batch(choices.texts)
    rows, scored, cut = [], [], 0
    for question in asked:
        prompt, options = _encode(tokenizer, question, protocol)
        room = scorer.max_length + 1 - len(prompt) - max(map(len, options))
        if room < 0:
            raise InputError(
                f"{choices.name}: question {question.question[:40]!r} and its options have "
                f"{len(prompt) + max(map(len, options))} tokens, more than the model's context of "
                f"{scorer.max_length}; leave this file out, or evaluate a model with a longer context"
            )
        context = cut_context(texts[question.text], room, protocol.context_cut)
        cut += len(context) < len(texts[question.text])
        rows += [np.concatenate([context, prompt, option]) for option in options]
        scored += [len(option) for option in options]
    scores = iter(scorer.score_all(rows, scored, progress=progress))
    losses = [tuple(_option_losses(scores, question, protocol)) for question in asked]
    return ClosedEndedResult(
        name=choices.name,
        num_texts=len({question.text for question in asked}),
        chosen=tuple(values.index(min(values)) for values in losses),
        gold=tuple(question.gold for question in asked),
        option_losses=tuple(losses),
        cut_questions=cut,
        is_whole=choices.is_whole and len(asked) == len(choices.questions),
        protocol=protocol,
    )


def cut_context(
    tokens: npt.NDArray[np.integer], room: int, context_cut: ContextCut
) -> npt.NDArray[np.integer]:
    """At most `room` of `tokens`, [tokens]: without their end, their start, or their middle."""
    if len(tokens) <= room:
        return tokens
    if context_cut == "end":
        return tokens[:room]
    tail = room if context_cut == "start" else room // 2
    return np.concatenate([tokens[: room - tail], tokens[len(tokens) - tail :]])


def _encode(
    tokenizer: Tokenizer, question: ChoiceQuestion, protocol: ChoiceProtocol
) -> tuple[npt.NDArray[np.uint32], Sequence[npt.NDArray[np.uint32]]]:
    """Tokens of question and options as they are put, and of each answer that is scored."""
    asked = question.question
    answers: Sequence[str] = question.options
    if protocol.choice_scoring == "letter":
        # A letter means something only where the options stand before it.
        shown = zip(question.letters, question.options, strict=True)
        asked = "\n".join([asked, *(f"{letter}. {option}" for letter, option in shown)])
        answers = question.letters
    ids = tokenizer.encode_batch(
        [
            protocol.question_delimiter + asked + protocol.answer_delimiter,
            *(f" {answer}" for answer in answers),
        ]
    )
    return ids[0], ids[1:]


def _option_losses(
    scores: Iterator[Any], question: ChoiceQuestion, protocol: ChoiceProtocol
) -> Iterator[float]:
    for _ in question.options:
        losses = next(scores).losses
        yield float(losses.mean() if protocol.choice_scoring == "mean" else losses.sum())
