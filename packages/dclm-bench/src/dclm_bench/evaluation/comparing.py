"""Several score files compared with the first of them."""

from collections.abc import Sequence
from typing import Any

from toolkit_shared.errors import InputError

from dclm_bench.evaluation.score_file import ScoreFile
from dclm_bench.evaluation.significance import Comparison, compare_scores
from dclm_bench.evaluation.tasks import SUITES, Suite, Version, suite_tasks


def compare_files(
    files: Sequence[ScoreFile],
    version: Version,
    *,
    suites: Sequence[Suite] = SUITES,
    common_only: bool = False,
    **settings: Any,
) -> tuple[list[list[Comparison]], list[str]]:
    """Each file but the first compared with the first, [file][suite], and a line for each suite left out.

    A suite is left out of all comparisons when a file lacks one of its tasks, unless `common_only`.

    Args:
        files: At least two.
        version: Of the baselines.
        suites: Over which tasks.
        common_only: Compare each pair over the tasks that both have.
        settings: Of `compare_scores`.

    Raises:
        InputError: no suite is left.
    """
    skipped = []
    kept = []
    for suite in suites:
        lacking = [
            f"{file.path} lacks {', '.join(missing)}"
            for file in files
            if (missing := [task.name for task in suite_tasks(suite) if task.name not in file.scores])
        ]
        if lacking and not common_only:
            skipped.append(f"{suite.upper()} is left out: {'; '.join(lacking)} (--common compares the rest)")
        else:
            kept.append(suite)
    if not kept:
        raise InputError(f"nothing to compare: {'; '.join(skipped)}")
    first = files[0].scores
    return [
        [
            compare_scores(first, file.scores, suite, version, common_only=common_only, **settings)
            for suite in kept
        ]
        for file in files[1:]
    ], skipped
