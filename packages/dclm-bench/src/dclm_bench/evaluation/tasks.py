"""What is known of the 53 tasks: categories, sizes, baselines of both versions, and how they are asked."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

Version = Literal["v1", "v2"]
VERSIONS: tuple[Version, ...] = get_args(Version)
Suite = Literal["Core", "Extended"]
SUITES: tuple[Suite, ...] = get_args(Suite)
Kind = Literal["multiple choice", "schema", "language modeling", "generation"]

MMLU = "mmlu_fewshot"
"""The task that the paper's tables call MMLU: five shots."""


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: Its key in a score file.
        category: One of the six task categories of EXTENDED.
        kind: Shape of its questions.
        num_fewshot: Solved examples before each question.
        num_items: Questions in its file.
        baselines_percent: Score of a guess in percent, in version 1 and in version 2.
        file: Name of its file, without suffix; two tasks may share one.
        continuation_delimiter: Text between question and answer.
        question_prelimiter: Text before each question.
        cot_delimiter: Text between a chain of thought and the answer; "" where there is no such chain.
        stop_texts: Texts at which a generated answer ends.
        group_sizes: Questions of each group (subject, topic), where the score is the mean over the groups.
    """

    name: str
    category: str
    kind: Kind
    num_fewshot: int
    num_items: int
    baselines_percent: tuple[float, float]
    file: str
    continuation_delimiter: str = " "
    question_prelimiter: str = ""
    cot_delimiter: str = ""
    stop_texts: tuple[str, ...] = ()
    group_sizes: tuple[tuple[str, int], ...] = ()

    def baseline(self, version: Version) -> float:
        """Score of a guess, 0..1."""
        # The same product as the official code's, so that sums agree to the last digit.
        return 0.01 * self.baselines_percent[VERSIONS.index(version)]

    @property
    def effective_items(self) -> float:
        """Questions that would give a plain accuracy the noise that this task's score has.

        For a mean over G groups of n_g questions it is G^2 / sum(1 / n_g), the same accuracy taken for all
        groups: files hold no group's score. By concavity the true noise is at most that, for groups of one
        size.
        """
        if not self.group_sizes:
            return float(self.num_items)
        return len(self.group_sizes) ** 2 / sum(1 / size for _, size in self.group_sizes)


@cache
def tasks() -> dict[str, Task]:
    """The 53 tasks of EXTENDED by name, in the official order.

    Source: eval/eval_meta_data.csv (version 2), eval/eval_meta_data_v1.csv and eval/heavy.yaml of the
    official repository. The size of arc_challenge is corrected to 1,172. All sizes are checked: in 156
    published files each accuracy times its size is a whole number.
    """
    known = _facts()
    found = {}
    for entry in known["tasks"]:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()
        }
        groups = fields.pop("groups", None)
        sizes = tuple(known["groups"][groups].items()) if groups else ()
        found[entry["name"]] = Task(**fields, group_sizes=sizes)
    return found


@cache
def core_names() -> tuple[str, ...]:
    """The names of the 22 tasks of CORE in the official order.

    Source: `low_variance_datasets` of eval/additional_aggregation.json.
    """
    return tuple(_facts()["core"])


def suite_tasks(suite: Suite) -> tuple[Task, ...]:
    """The tasks of CORE or EXTENDED in the official order, in which missing ones are named."""
    known = tasks()
    return tuple(known[name] for name in core_names()) if suite == "Core" else tuple(known.values())


@cache
def _facts() -> dict[str, Any]:
    text = files("dclm_bench.evaluation").joinpath("tasks.json").read_text(encoding="utf-8")
    facts: dict[str, Any] = json.loads(text)
    return facts
