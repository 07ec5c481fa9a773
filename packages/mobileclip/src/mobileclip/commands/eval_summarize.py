"""The command that averages result files over DataComp's 38 tasks."""

from pathlib import Path


def eval_summarize(
    *files: Path,
    partial: bool = False,
    tasks: bool = False,
    check: bool = False,
    json: bool = False,
) -> int:
    """Average result files over DataComp's 38 tasks, and compare them.

    Files hold one JSON object a line, with a key and metrics, as DataComp and CLIP_benchmark write them. Rows
    of other datasets enter no mean and are named.

    Args:
        files: Result files, folders or patterns.
        partial: Where tasks are missing, average those that all files have, instead of refusing.
        tasks: Show every task.
        check: Exit with 1 when a score is not its task's metric, or not what its parts give.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError
    from toolkit_shared.records import expand_inputs

    from mobileclip.evaluation.summary import read_result_file, summarize, summary_document, summary_text

    if not files:
        raise InputError("files: none given; name a result file of one JSON object a line")
    found = summarize(
        [read_result_file(path) for path in expand_inputs(files, (".jsonl",))],
        partial=partial,
    )
    emit(summary_document(found), summary_text(found, tasks=tasks, check=check), as_json=json)
    return 1 if check and any(summary.file.mismatches for summary in found) else 0
