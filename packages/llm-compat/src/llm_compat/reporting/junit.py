"""Checks as JUnit XML, which build servers show: a test case a check."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from llm_compat.comparison.compare import Comparison, main_tasks
from llm_compat.comparison.verdict import verdict

# what XML 1.0 cannot hold, even escaped
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Check(NamedTuple):
    """One check: its name, what was found, and why it failed, or None when it passed."""

    name: str
    found: str
    failure: str | None


def to_junit(suite: str, checks: Sequence[Check]) -> str:
    """A JUnit document with one suite."""
    failures = sum(check.failure is not None for check in checks)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites tests="{len(checks)}" failures="{failures}">',
        f'<testsuite name={_attribute(suite)} tests="{len(checks)}" failures="{failures}" errors="0">',
    ]
    for check in checks:
        lines.append(f"<testcase classname={_attribute(suite)} name={_attribute(check.name)}>")
        if check.failure is not None:
            lines.append(f"<failure message={_attribute(check.failure)}/>")
        lines += [f"<system-out>{escape(_clean(check.found))}</system-out>", "</testcase>"]
    return "\n".join([*lines, "</testsuite>", "</testsuites>"]) + "\n"


def regression_report(comparison: Comparison) -> str:
    """A test case a task, which fails when the task regressed."""
    checks = []
    for task in main_tasks(comparison.tasks):
        nfr, pfr = task.measured.values["nfr"], task.measured.values["pfr"]
        found = f"n {len(task.items)}, lost {100 * (nfr or 0):.2f} %, gained {100 * (pfr or 0):.2f} %"
        regressed = verdict(task, comparison.settings.confidence) == "regressed"
        checks.append(Check(task.name, found, f"regressed: {found}" if regressed else None))
    return to_junit("llm-compat diff", checks)


def _attribute(text: str) -> str:
    return quoteattr(" ".join(_clean(text).split()))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
