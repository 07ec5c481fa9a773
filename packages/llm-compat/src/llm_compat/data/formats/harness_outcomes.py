"""From the columns of a log of lm-evaluation-harness to outcomes, with all that must hold for a whole log."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from llm_compat.data.formats.harness_columns import MISSING, Columns
from llm_compat.data.formats.harness_files import SampleFile
from llm_compat.data.formats.harness_options import LineOptions
from llm_compat.data.formats.log_lines import line_number
from llm_compat.data.outcomes import KEY_BYTES, NO_FILTER, Keys, Outcomes, Slices, key_of
from llm_compat.data.selection import unknown_name

Rows = npt.NDArray[np.int64]

PERPLEXITY = "perplexity"


def outcomes_of_log(
    file: SampleFile, options: LineOptions, columns: Columns, *, trust_logged: bool
) -> list[Outcomes]:
    """One outcome for each filter of a log.

    Args:
        file: The log, with what its results file says.
        options: How its lines were read.
        columns: Its records.
        trust_logged: Whether logged scores that the log-probabilities contradict are kept.

    Raises:
        InputError: A document is there twice, documents or filters are missing, a logged score is not what
            the log-probabilities give, or a field is in no document.
    """
    for name, present in columns.present.items():
        if not present:
            raise unknown_name(name, columns.known_fields, option="--by", where=file.path)
    for name in columns.left_out.keys() & columns.scores.keys():
        raise InputError(
            f"{file.path}: metric '{name}' is a number in some records "
            f"and {columns.left_out[name]} in others; "
            "give logs of one release only"
        )
    notes = [*file.notes, *_notes(columns, options)]
    distrusted = _distrusted(file, columns, options.rescore, trust_logged=trust_logged)
    unanswered = distrusted.keys() - set(options.rescore)
    notes += [note for name, note in distrusted.items() if name in columns.scores]
    by_filter, more = _rows_by_filter(file, columns)
    notes += more
    _refuse_missing(file, by_filter, named=MISSING not in columns.filter_names)
    return [_outcomes(file, columns, name, rows, unanswered, notes) for name, rows in by_filter.items()]


def _outcomes(
    file: SampleFile,
    columns: Columns,
    name: str,
    rows: Rows,
    without_answers: Collection[str],
    notes: Sequence[str],
) -> Outcomes:
    expected = file.facts.expected_items
    notes = list(notes)
    if expected is not None and len(rows) > expected:
        notes.append(f"{len(rows):,} documents are logged, though the results tell of {expected:,}")
    # no copy where there is one filter
    chosen = slice(None) if len(rows) == len(columns) else rows
    scores = {metric: values[chosen] for metric, values in columns.scores.items()}
    directions = {key: value for key, value in file.facts.higher_is_better.items() if key in scores}
    if _is_log_likelihood(scores.get(PERPLEXITY)):
        directions[PERPLEXITY] = True
        notes.append(f"{PERPLEXITY} is logged per item as a log-likelihood, of which more is better")
    return Outcomes(
        task=file.task,
        filter=name,
        source=file.path,
        format="harness",
        keys=_unique_keys(file, columns, rows, name),
        places=columns.places[chosen],
        scores=scores,
        answers={
            metric: codes[chosen]
            for metric, codes in columns.answers.items()
            if metric in scores and metric not in without_answers
        },
        higher_is_better=directions,
        prompts=None if columns.prompts is None else columns.prompts[chosen],
        targets=columns.targets[chosen],
        slices={
            field: Slices(codes=slices.codes[chosen], names=slices.names)
            for field, slices in columns.slices.items()
        },
        notes=tuple(notes),
        expected_items=expected,
    )


def _is_log_likelihood(values: npt.NDArray[np.float64] | None) -> bool:
    """Whether the scores named perplexity are log-likelihoods: a perplexity is 1 or more.

    The results file then tells the direction of the aggregate, which is that of its items turned round.

    Source: process_results of ConfigurableTask in lm-evaluation-harness 0.4.13, output type loglikelihood.
    """
    return values is not None and bool((values[np.isfinite(values)] <= 0).all())


def _notes(columns: Columns, options: LineOptions) -> list[str]:
    notes = [f"{name} is {what} in each record, so it is left out" for name, what in columns.left_out.items()]
    if columns.prompts is None:
        notes.append("the log has no digests of prompts, so a change of prompts goes unseen")
    if options.same_continuations:
        notes.append("the choices are in the prompts, so which is right is not logged and goes unchecked")
    elif columns.unchecked:
        what = f"the targets of {columns.unchecked:,} of {len(columns):,} records name no choice"
        notes.append(f"{what}, so their accuracy goes unchecked")
    return notes


def _distrusted(
    file: SampleFile, columns: Columns, rescored: Collection[str], *, trust_logged: bool
) -> dict[str, str]:
    """The metrics whose rebuilt answers say nothing, each with the note on it."""
    notes = {
        name: f"{name} has values besides 0 and 1, so it is no accuracy of one choice and has no answers"
        for name in columns.unlike_accuracy
        if name not in rescored
    }
    for name, found in columns.mismatches.items():
        if name in columns.unlike_accuracy:
            continue
        if not trust_logged:
            place = f"{file.path}, line {line_number(file.path, int(columns.places[found.row]))}"
            values = f"{name} is logged as {found.logged:g}, but the log-probabilities give {found.rebuilt:g}"
            extent = f"{found.count:,} of {len(columns):,} lines differ"
            raise InputError(
                f"{place}: document {columns.doc_ids[found.row]}: {values} ({extent}); "
                "run the evaluation again, or pass --read.trust-logged"
            )
        extent = f"though the log has others in {found.count:,} records"
        notes[name] = f"{name} is computed anew, {extent}"
        if name not in rescored:
            extent = f"though the log-probabilities give others in {found.count:,} records"
            notes[name] = f"{name} is taken as logged {extent}, so it has no answers"
    return notes


def _rows_by_filter(file: SampleFile, columns: Columns) -> tuple[dict[str, Rows], list[str]]:
    """The records of each filter, in their order."""
    names = columns.filter_names
    if MISSING not in names:
        return {name: np.flatnonzero(columns.filters == code) for code, name in enumerate(names)}, []
    if len(names) > 1:
        code = names.index(MISSING)
        line = line_number(file.path, int(columns.places[np.flatnonzero(columns.filters == code)[0]]))
        raise InputError(
            f"{file.path}, line {line}: field 'filter' is missing, which other lines have; "
            "give logs of one release only"
        )
    occurrence, groups = _occurrences(columns)
    most = int(occurrence.max(initial=0)) + 1
    if most == 1:
        return {NO_FILTER: np.arange(len(columns))}, []
    sizes = np.bincount(groups)
    if (sizes != most).any():
        row = int(np.flatnonzero(sizes[groups] != most)[0])
        line = line_number(file.path, int(columns.places[row]))
        raise InputError(
            f"{file.path}, line {line}: document {columns.doc_ids[row]} has {sizes[groups[row]]} records "
            f"where others have {most}; the log is cut off or mixed: copy or run it again"
        )
    known = file.facts.filters
    if known and len(known) != most:
        raise InputError(
            f"{file.path}: each document has {most} records, but the results tell of {len(known)} filters; "
            "the log holds several runs: keep one"
        )
    note = f"the log names no filters, so the {most} records of a document are told apart by their order"
    return {f"filter-{number + 1}": np.flatnonzero(occurrence == number) for number in range(most)}, [note]


def _occurrences(columns: Columns) -> tuple[Rows, Rows]:
    """Which record of its document each record is, from 0, and the number of the document."""
    digests = np.unique(columns.keys, return_inverse=True)[1]
    pairs = np.stack([digests.astype(np.int64), columns.doc_ids], axis=1)
    groups = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return _numbers_within(groups, np.arange(len(groups))), groups


def _numbers_within(groups: Rows, ranks: Rows) -> Rows:
    """The place, from 0, of each row among the rows of its group when these are ordered by rank."""
    order = np.lexsort((ranks, groups))
    ordered = groups[order]
    is_first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(len(order)) - starts
    return numbers


def _unique_keys(file: SampleFile, columns: Columns, rows: Rows, name: str) -> Keys:
    """Keys in which equal documents of the data set are told apart by their order in it."""
    keys = columns.keys if len(rows) == len(columns) else columns.keys[rows]
    ids = columns.doc_ids[rows]
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return keys
    groups = np.unique(keys, return_inverse=True)[1]
    order = np.lexsort((np.arange(len(rows)), ids, groups))
    again = (groups[order][1:] == groups[order][:-1]) & (ids[order][1:] == ids[order][:-1])
    if again.any():
        places = columns.places[rows]
        found = int(np.flatnonzero(again)[np.argmin(places[order[1:][again]])])
        lines = [line_number(file.path, int(places[order[found + step]])) for step in (0, 1)]
        raise InputError(
            f"{file.path}, line {lines[1]}: document {ids[order[found]]} is there a second time under "
            f"filter '{name}' (first in line {lines[0]}); the log holds several runs: keep one"
        )
    numbers = _numbers_within(groups.astype(np.int64), ids)
    whole = bytearray(np.ascontiguousarray(keys).tobytes())
    for row in np.flatnonzero(numbers).tolist():
        at = row * KEY_BYTES
        whole[at : at + KEY_BYTES] = key_of(bytes(whole[at : at + KEY_BYTES]) + b"%d" % numbers[row])
    return np.frombuffer(bytes(whole), f"S{KEY_BYTES}")


def _refuse_missing(file: SampleFile, by_filter: dict[str, Rows], *, named: bool) -> None:
    """Refuse a log that lacks documents or filters: its metrics would be those of another data set."""
    expected = file.facts.expected_items
    most = max(len(rows) for rows in by_filter.values())
    for name, rows in by_filter.items():
        whole = most if expected is None else expected
        if len(rows) < whole:
            told = "other filters have" if expected is None else "the results tell of"
            raise InputError(
                f"{file.path}: {len(rows):,} documents are logged under filter '{name}', but {told} "
                f"{whole:,}; the log is cut off: copy or run it again"
            )
    absent = [name for name in file.facts.filters if name not in by_filter]
    if named and absent:
        raise InputError(
            f"{file.path}: no document is logged under filter '{absent[0]}', which the results name; "
            "the log is cut off: copy or run it again"
        )
