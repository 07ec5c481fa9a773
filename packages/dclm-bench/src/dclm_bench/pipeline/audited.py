"""What a finished run says of itself: its steps with their rules, its counts, its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import JOB, MANIFEST, read_json
from toolkit_shared.errors import InputError

from dclm_bench.pipeline.passes import Pass
from dclm_bench.steps.step import Rule

KIND = "dclm-bench run"


@dataclass(frozen=True)
class AuditedStep:
    """A step as the audit knows it.

    Attributes:
        name: Its name in the recipe.
        func: The function.
        number: The pass in which its verdicts fell.
        edits: Whether it may change the text.
        rules: Its rules, with the limits of the run.
    """

    name: str
    func: str
    number: int
    edits: bool
    rules: tuple[Rule, ...]

    def rule_names(self) -> list[str]:
        """The full names of its rules."""
        return [f"{self.name}.{rule.name}" for rule in self.rules]


@dataclass(frozen=True)
class AuditedRun:
    """A finished run.

    Attributes:
        out: Its folder.
        manifest: Its manifest.
        steps: Its steps in order.
    """

    out: Path
    manifest: Mapping[str, Any]
    steps: tuple[AuditedStep, ...]

    @property
    def audit(self) -> str:
        """How much was measured, "full" or "first"."""
        return str(self.manifest["config"]["audit"])

    @property
    def num_passes(self) -> int:
        """How often the run went over its shards."""
        return int(self.manifest["passes"])

    def of_pass(self, number: int) -> list[AuditedStep]:
        """The steps whose verdicts fell in a pass."""
        return [step for step in self.steps if step.number == number]

    @staticmethod
    def open(out: str | Path) -> "AuditedRun":
        """The run in a folder.

        Raises:
            InputError: the folder holds no run, or an unfinished one.
        """
        out = Path(out)
        if not (out / MANIFEST).is_file():
            if (out / JOB).is_file():
                raise InputError(f"{out}: the run is unfinished; give the same command again to finish it")
            raise InputError(f"{out}: holds no {MANIFEST}; give the --out folder of `dclm-bench run`")
        manifest = read_json(out / MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
            raise InputError(f"{out}: holds no run of a recipe; give the --out folder of `dclm-bench run`")
        steps = tuple(
            AuditedStep(
                name=entry["name"],
                func=entry["func"],
                number=entry["pass"],
                edits=entry["edits"],
                rules=tuple(
                    Rule(rule["name"], rule["keep"], float(rule["limit"])) for rule in entry["rules"]
                ),
            )
            for entry in manifest["steps"]
        )
        return AuditedRun(out, manifest, steps)

    def find_rule(self, name: str) -> tuple[AuditedStep, Rule]:
        """The step and the rule of a full name, `STEP.RULE`.

        Raises:
            InputError: there is no such rule; the nearest is named, or why its effect cannot be told.
        """
        known = {
            full: (step, rule)
            for step in self.steps
            for full, rule in zip(step.rule_names(), step.rules, strict=True)
        }
        if name in known:
            return known[name]
        step = next((step for step in self.steps if step.name == name.partition(".")[0]), None)
        if step is not None and step.edits and "." in name:
            raise InputError(f"{name}: this step changes the text, so its effect needs a new run")
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"perhaps you meant '{near[0]}'" if near else f"`dclm-bench funnel {self.out}` lists them"
        raise InputError(f"{name}: the run has no such rule; {hint}")


def describe_steps(passes: Sequence[Pass]) -> list[dict[str, Any]]:
    """The steps with their rules, as the manifest keeps them; limits that are infinite as text."""
    return [
        {
            "name": named.name,
            "func": named.step.func,
            "pass": number,
            "edits": bool(named.step.edits),
            "rules": [
                {"name": rule.name, "keep": rule.keep, "limit": _plain(rule.limit)}
                for rule in named.step.rules
            ],
        }
        for number, this in enumerate(passes)
        for named in this.steps()
    ]


def _plain(limit: float) -> float | str:
    limit = float(limit)
    return limit if limit - limit == 0 else str(limit)
