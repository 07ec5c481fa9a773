"""The help text of one command: inputs and options in two columns, nested groups one line each."""

import textwrap
from collections.abc import Iterable, Mapping
from inspect import Parameter
from typing import Any

LABEL_WIDTH = 26
UNBROKEN = "\0"  # stands for a space at which no line may break
# defaults that go without saying
PLAIN_DEFAULTS = {None, "", '""', "()", "[]", "{}", "None", "False"}


class TwoColumns:
    """A help formatter for cyclopts; plain text, so that it reads the same in a terminal, a log and a test.

    Args:
        expanded: list the fields of nested groups, which otherwise share one line a group.
    """

    def __init__(self, *, expanded: bool) -> None:
        self.expanded = expanded

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        """Print one panel: the inputs or the options."""
        rows = _rows(panel.entries, expanded=self.expanded)
        if rows:
            title = {"Arguments": "Inputs", "Parameters": "Options"}.get(str(panel.title), str(panel.title))
            lines = [f"{title}:", *(line for row in rows for line in _row_lines(*row, console.width)), ""]
            _print(console, "\n".join(lines))

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        """Print the line of usage."""
        _print(console, f"{str(usage).strip()}\n")

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        """Print what the command's docstring says before its arguments."""
        paragraphs = [" ".join(part.split()) for part in _text(description).split("\n\n")]
        _print(console, "\n\n".join(textwrap.fill(part, console.width) for part in paragraphs if part) + "\n")


def usage_line(where: str, parameters: Mapping[str, Parameter]) -> str:
    """`Usage:` with the inputs and what is required."""
    inputs, required = [], []
    for name, parameter in parameters.items():
        label = name.upper().replace("_", "-")
        if parameter.kind is Parameter.VAR_POSITIONAL:
            inputs.append(f"[{label}...]")
        elif parameter.kind is Parameter.POSITIONAL_ONLY:
            inputs.append(label if parameter.default is Parameter.empty else f"[{label}]")
        elif parameter.default is Parameter.empty:
            required.append(f"--{name.replace('_', '-')} {label}")
    return " ".join(["Usage:", where, *inputs, *required, "[OPTIONS]"])


def _rows(entries: Iterable[Any], *, expanded: bool) -> list[tuple[str, str]]:
    """Label and description of each line."""
    rows: list[tuple[str, str]] = []
    groups: dict[str, list[str]] = {}
    for entry in entries:
        name = entry.positive_names[0] if entry.positive_names else ""
        group, dot, field = name.partition(".")
        if not dot or expanded:
            rows.append(_row(entry, name))
            continue
        if group not in groups:
            groups[group] = []
            rows.append((f"{group}.FIELD VALUE", group))
        groups[group].append(field)
    return [
        (label, f"{', '.join(groups[text])}; --help-all says more" if text in groups else text)
        for label, text in rows
    ]


def _row(entry: Any, name: str) -> tuple[str, str]:
    text = [_sentence(_text(entry.description))]
    default = str(entry.default) if entry.default is not None else None
    if not name:
        label = entry.positional_label
    elif entry.negative_names or default in ("True", "False"):
        label = name if default in PLAIN_DEFAULTS else f"--[no-]{name.removeprefix('--')}"
        default = "on" if default == "True" else default
    elif entry.choices:
        label = f"{name} {'|'.join(entry.choices)}"
        if len(label) > LABEL_WIDTH:
            label = f"{name} CHOICE"
            text.append(f"One of {', '.join(entry.choices)}.")
    else:
        label = f"{name} {entry.metavar}" if entry.metavar else f"{name}.NAME VALUE"
    if entry.required:
        text.append("[required]")
    elif default not in PLAIN_DEFAULTS:
        value = str(default).strip("()").rstrip(",").replace(", ", " ")
        text.append(f"[default: {value}]".replace(" ", UNBROKEN))
    return label, " ".join(part for part in text if part)


def _row_lines(label: str, text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, max(width - LABEL_WIDTH - 4, 30), break_on_hyphens=False) or [""]
    if len(label) > LABEL_WIDTH:
        lines.insert(0, "")
    lines = [line.replace(UNBROKEN, " ") for line in lines]
    heads = [label, *[""] * (len(lines) - 1)]
    return [f"  {head:<{LABEL_WIDTH}}  {line}".rstrip() for head, line in zip(heads, lines, strict=True)]


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if not text or text.endswith((".", "?", ")")) else f"{text}."


def _text(rich: Any) -> str:
    """The characters of one of cyclopts' or rich's texts."""
    if rich is None:
        return ""
    renderable = getattr(rich, "primary_renderable", rich)
    return str(getattr(renderable, "plain", renderable))


def _print(console: Any, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
