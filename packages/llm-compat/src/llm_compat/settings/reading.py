"""How logs of evaluations are read."""

from dataclasses import dataclass, replace
from typing import Literal

RunFormat = Literal["harness", "helm", "inspect", "lighteval", "table"]
Rescoring = Literal["acc", "acc_norm", "acc_bytes", "gsm8k-strict", "gsm8k-flexible"]


@dataclass(frozen=True, kw_only=True)
class ColumnSettings:
    """Which columns of a CSV, JSONL or parquet table mean what; dots reach into nested objects.

    Attributes:
        id: Names the item; the same in both tables.
        score: Columns of scores, numbers or true and false; unset: those of the usual names.
        answer: The model's answer as text; unset: `answer`, where there is one.
        target: The expected answer; unset: `target`, where there is one.
        prompt: The prompt or question; unset: `prompt` or `question`, where there is one.
        task: The task's name; unset: `task`, where there is one, else `items`, in a folder the file's name.
        filter: The filter's name; unset: `filter`, where there is one.
    """

    id: str = "id"
    score: tuple[str, ...] = ()
    answer: str | None = None
    target: str | None = None
    prompt: str | None = None
    task: str | None = None
    filter: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """How logs are read.

    Attributes:
        format: The format; unset: told by the files.
        tasks: Only these tasks; shell patterns are good.
        filters: Only these filters.
        metrics: Only these metrics.
        fields: Fields of the documents to keep as slices.
        rescore: Metrics to compute anew from logged log-probabilities or raw outputs.
        similarity: Text similarities to compute from answers and targets: rouge1, rouge2, rougeL, bleu, chrf,
            exact.
        lower_is_better: Metrics in which less is better, beside those that the logs name.
        trust_logged: Take logged scores as they are where log-probabilities give others; no answers then.
        columns: Column map of tables.
    """

    format: RunFormat | None = None
    tasks: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    rescore: tuple[Rescoring, ...] = ()
    similarity: tuple[str, ...] = ()
    lower_is_better: tuple[str, ...] = ()
    trust_logged: bool = False
    columns: ColumnSettings = ColumnSettings()

    def narrowed(
        self,
        *,
        format: RunFormat | None = None,
        tasks: tuple[str, ...] = (),
        filters: tuple[str, ...] = (),
        metrics: tuple[str, ...] = (),
    ) -> "ReadSettings":
        """These settings with what a command's own options give, which go before the fields of the group."""
        return replace(
            self,
            format=format or self.format,
            tasks=tasks or self.tasks,
            filters=filters or self.filters,
            metrics=metrics or self.metrics,
        )
