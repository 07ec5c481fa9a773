"""`.ci/run` ends with pytest's closing line, and fails when it should."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workspace import ROOT

PASSED = "======= 12 passed, 3 deselected in 92.10s (0:01:32) ======="
FAILED = "======= 1 failed, 11 passed in 4.20s ======="
EMPTY = "======= 5 deselected in 0.10s ======="


@pytest.mark.parametrize(
    ("lint", "test", "closing", "code"),
    [
        (0, 0, PASSED, 0),
        (0, 2, FAILED, 1),
        (2, 0, PASSED, 1),
        (0, 0, EMPTY, 1),  # even if make were content
        (0, 2, "", 1),
    ],
)
def test_it_fails_with_the_checks_the_tests_or_none(
    tmp_path: Path, lint: int, test: int, closing: str, code: int
) -> None:
    # given a make that ends as told
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    make = tmp_path / "make"
    make.write_text(
        f'#!/bin/sh\n[ "$1" = lint ] && exit {lint}\necho collecting\necho "{closing}"\nexit {test}\n'
    )
    make.chmod(0o755)

    done = subprocess.run(
        [tmp_path / ".ci" / "run"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    )

    assert done.returncode == code
    assert done.stdout.splitlines()[-2:] == [
        f"make lint {'FAILED' if lint else 'passed'}",
        closing or "pytest did not run",
    ]
