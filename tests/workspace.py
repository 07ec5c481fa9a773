"""The workspace as the root tests see it: its folders, found by looking, so that a new one needs no edit."""

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from toolkit_shared.cli import Command

ROOT = Path(__file__).resolve().parents[1]
TOOLKITS = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
SOURCES = [ROOT / "shared" / "src", *(ROOT / "packages" / name / "src" for name in TOOLKITS)]


def import_name(toolkit: str) -> str:
    """The name under which a distribution is imported."""
    return toolkit.replace("-", "_")


def commands_of(toolkit: str) -> Mapping[str, Command]:
    """A toolkit's command table, from its `cli.py`."""
    source = str(ROOT / "packages" / toolkit / "src")
    if source not in sys.path:
        sys.path.insert(0, source)
    table: Mapping[str, Command] = importlib.import_module(f"{import_name(toolkit)}.cli").COMMANDS
    return table


def environment(**changes: str) -> dict[str, str]:
    """The environment of a child process that shall import this workspace's sources."""
    outer = ("MAKE", "MFLAGS", "PYTEST_")  # of the make and the pytest that run this test
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    paths = [str(path) for path in SOURCES]
    if os.environ.get("PYTHONPATH"):
        paths.append(os.environ["PYTHONPATH"])
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths), **changes}


def write_script(toolkit: str, folder: Path) -> Path:
    """A console script that runs the toolkit as in this workspace, installed or not."""
    script = folder / toolkit
    program = f"from {import_name(toolkit)}.cli import main; raise SystemExit(main())"
    sources = os.pathsep.join(str(path) for path in SOURCES)
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{sources}" exec "{sys.executable}" -c "{program}" "$@"\n')
    script.chmod(0o755)
    return script
