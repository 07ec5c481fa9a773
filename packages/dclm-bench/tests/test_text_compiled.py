"""Kernels are kept on disk, and made anew when the source of any of them has changed."""

import os
import subprocess
import sys
from pathlib import Path

from dclm_bench.text.compiled import kernels_stamp

CALLED = """
from dclm_bench.text.compiled import compiled
@compiled
def step(value):
    return value + {step}
"""
CALLER = """
from dclm_bench.text.compiled import compiled
from called import step
@compiled
def twice(value):
    return step(step(value))
"""
RUN = """
import sys
from pathlib import Path
from dclm_bench.text import compiled
stamp = compiled.kernels_stamp.__wrapped__
compiled.kernels_stamp = lambda: stamp(Path(sys.argv[1]))
from caller import twice
print(twice(0))
"""


def test_the_mark_changes_with_any_file_that_holds_kernels(tmp_path: Path) -> None:
    stamp = kernels_stamp.__wrapped__
    (tmp_path / "called.py").write_text(CALLED.format(step=1))
    (tmp_path / "other.py").write_text("x = 1\n")

    before = stamp(tmp_path)
    (tmp_path / "other.py").write_text("x = 2\n")
    unchanged = stamp(tmp_path)
    (tmp_path / "called.py").write_text(CALLED.format(step=2))

    assert before == unchanged != stamp(tmp_path)


def test_a_kernel_notices_a_change_in_a_kernel_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    found = []
    for step in (1, 5):
        (tmp_path / "called.py").write_text(CALLED.format(step=step))
        command = [sys.executable, "-B", "-c", RUN, str(tmp_path)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": paths}
        )
        found.append(int(done.stdout))

    assert found == [2, 10]
