"""The report of an evaluation as text for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any


def evaluation_text(report: Mapping[str, Any]) -> str:
    """The tables of a report of `Suite.run`; losses in nats, accuracies in percent with 95 % interval."""
    lines: list[str] = []
    for name, found in report.get("perplexity", {}).items():
        lines += _perplexity(name, found)
    rows = [
        (name, found) for part in ("tasks", "closed_ended") for name, found in report.get(part, {}).items()
    ]
    if rows:
        lines.append(
            f"{'task':<22}{'shots':>6}{'questions':>11}{'accuracy':>10}  interval        answer loss"
        )
        lines += [_task(name, found) for name, found in rows]
        lines.append("")
    for found in report.get("mdqa", {}).values():
        lines.append(
            f"MDQA, {found['num_documents']} documents, {found['variant']}: {_percent(found['score'])}"
        )
        lines += [f"  gold at {place}: {_accuracy(at)}" for place, at in found["positions"].items()]
        lines += _cut(found["cut_prompts"])
    for name, found in report.get("key_value", {}).items():
        lines.append(
            f"key-value retrieval, {found['num_pairs']} pairs ({name}): {_accuracy(found)}, "
            f"value loss {found['value_loss']:.4f}"
        )
        lines += [
            f"  pair at {place}: {_accuracy(at)}, value loss {at['value_loss']:.4f}"
            for place, at in found["positions"].items()
        ]
        lines += _cut(found["cut_prompts"])
    if "regular" in report:
        lines += _regular(report["regular"])
    if report.get("limit") is not None:
        lines.append(f"Only the first {report['limit']:,} questions or documents of each file (--limit).")
    return "\n".join(lines).rstrip("\n")


def _perplexity(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    if found["loss"] is None:
        yield f"{name}: no document with a token to predict"
        return
    perplexity = "" if found["perplexity"] is None else f", perplexity {found['perplexity']:.3f}"
    yield (
        f"{name}: loss {found['loss']:.4f} a token{perplexity}, {found['document_loss']:.4f} a document; "
        f"{_count(found['documents'], 'document')}, {_count(found['tokens'], 'token')} predicted"
    )
    for band in found["bands"]:
        loss = "-" if band["loss"] is None else f"{band['loss']:.4f}"
        yield f"  positions {band['start']:>6}-{band['stop']:<6} {loss:>8}  {band['tokens']:>12,} tokens"
    if found["cut_tokens"]:
        yield (
            f"  beyond the context: {_count(found['cut_tokens'], 'token')} of "
            f"{_count(found['cut_documents'], 'document')}, not predicted"
        )
    yield ""


def _task(name: str, found: Mapping[str, Any]) -> str:
    shots = found.get("num_fewshot", "")
    low, high = found["interval"]
    loss = "" if found["answer_loss"] is None else f"{found['answer_loss']:.4f}"
    line = f"{name:<22}{shots:>6}{found['questions']:>11,}{_percent(found['accuracy']):>10}"
    line += f"  {_percent(low):>5} to {_percent(high):<5}  {loss:>11}"
    if found.get("categories"):
        line += f"  mean of {len(found['categories'])} categories {_percent(found['score'])}"
    if found.get("cut_prompts") or found.get("cut_questions"):
        line += f"  ({found.get('cut_prompts') or found.get('cut_questions')} cut to fit)"
    if found.get("is_whole_set") is False:
        line += "  (not the whole set)"
    return line


def _regular(found: Mapping[str, Any]) -> Iterator[str]:
    for group, mean in found["groups"].items():
        yield f"{group}: {_percent(mean)}"
    for group, mean in found["partial_groups"].items():
        yield f"{group}: " + ("no task" if mean is None else f"{_percent(mean)} (partial)")
    if found["average"] is not None:
        yield f"Regular average of 14 tasks: {_percent(found['average'])}"
    else:
        yield (
            f"Partial average of {len(found['present'])} of 14 tasks: {_percent(found['partial_average'])} "
            "(not the paper's Regular average)"
        )
        yield f"Missing tasks: {', '.join(found['missing'])}"


def _accuracy(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    questions = _count(found["questions"], "question")
    return f"{_percent(found['accuracy'])} ({_percent(low)} to {_percent(high)}, {questions})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _cut(prompts: int) -> list[str]:
    return [f"  {_count(prompts, 'prompt')} cut at the start to fit the context"] if prompts else []
