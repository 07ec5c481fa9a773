"""How the lines of one log of lm-evaluation-harness are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.errors import InputError

from llm_compat.data.formats.harness_choices import Reading
from llm_compat.data.formats.harness_files import SampleFile, TaskFacts
from llm_compat.data.formats.harness_records import RecordError, parse_line
from llm_compat.data.formats.log_lines import line_number, lines_of
from llm_compat.data.rescoring import target_number
from llm_compat.settings.reading import ReadSettings, Rescoring

Kind = Literal["choice", "generation", "other"]

_TRUTH = frozenset({"True", "False"})


@dataclass(frozen=True, kw_only=True)
class LineOptions:
    """How the lines of one log are read.

    Attributes:
        path: The log.
        kind: How its task is answered: by a choice, by generated text, or in another way.
        reading: How delimiters and targets of choices are understood.
        same_continuations: The choices are in the prompts, and the continuations of a document are equal.
        fields: Fields of the documents to keep.
        rescore: Scores to compute anew; only those that suit the kind.
        similarity: Text similarities to compute.
    """

    path: Path
    kind: Kind
    reading: Reading = (" ", False)
    same_continuations: bool = False
    fields: tuple[str, ...] = ()
    rescore: tuple[str, ...] = ()
    similarity: tuple[str, ...] = ()

    @property
    def wanted(self) -> frozenset[str]:
        """The costly parts of a record that are needed."""
        wanted = {"arguments"} if self.kind == "choice" else set()
        if self.fields:
            wanted.add("doc")
        if self.kind == "generation" and self.rescore:
            wanted.add("resps")
        return frozenset(wanted)


def options_of(file: SampleFile, settings: ReadSettings) -> LineOptions:
    """How the lines of a log are read, told by its first record and by the results file.

    Raises:
        InputError: The log holds no record, or its first line is none.
    """
    record = _first_record(file.path)
    kind = _kind_of(record, file.facts)
    texts = _continuations(record) if kind == "choice" else []
    same = len(texts) > 1 and len(set(texts)) == 1
    suits: tuple[Rescoring, ...] = ()
    if kind == "choice" and not same:
        suits = ("acc", "acc_norm", "acc_bytes")
    elif kind == "generation" and target_number(str(record.get("target"))) is not None:
        suits = ("gsm8k-strict", "gsm8k-flexible")
    return LineOptions(
        path=file.path,
        kind=kind,
        reading=(file.facts.delimiters[0], False),
        same_continuations=same,
        fields=settings.fields,
        rescore=tuple(name for name in settings.rescore if name in suits),
        similarity=settings.similarity if kind == "generation" else (),
    )


def _first_record(path: Path) -> dict[str, Any]:
    for offset, line in lines_of(path):
        if line.isspace():
            continue
        try:
            return parse_line(line, is_cut=not line.endswith(b"\n"))
        except RecordError as error:
            raise InputError(f"{path}, line {line_number(path, offset)}: {error}") from None
    raise InputError(f"{path}: holds no records; run the evaluation again with --log_samples")


def _kind_of(record: dict[str, Any], facts: TaskFacts) -> Kind:
    if facts.custom_scoring and facts.output_type != "generate_until":
        return "other"
    responses = record.get("filtered_resps")
    if not isinstance(responses, list) or not responses:
        return "other"
    pairs = all(isinstance(pair, list) and len(pair) == 2 and str(pair[1]) in _TRUTH for pair in responses)
    if pairs and facts.output_type in (None, "multiple_choice"):
        return "choice" if len(responses) > 1 else "other"
    if facts.output_type in (None, "generate_until") and not pairs:
        return "generation"
    return "other"


def _continuations(record: dict[str, Any]) -> list[Any]:
    arguments = record.get("arguments")
    if isinstance(arguments, dict):
        return [one.get("arg_1") for one in arguments.values() if isinstance(one, dict)]
    if isinstance(arguments, list):
        return [one[1] for one in arguments if isinstance(one, list) and len(one) > 1]
    return []
