"""A new package folder is picked up by every check of the workspace, with no edit anywhere."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace import ROOT, environment

NEW = Path("packages/throw-away")
SKELETON = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "throw-away"
version = "0.1.0"
description = "A toolkit for a test."
license = "Apache-2.0"
requires-python = ">=3.11"
dependencies = ["toolkit-shared"]

[project.scripts]
throw-away = "throw_away.cli:main"

[tool.uv.sources]
toolkit-shared = { workspace = true }

[tool.hatch.build.targets.wheel]
packages = ["src/throw_away"]
""",
    "README.md": "# throw-away\n\n```bash\nthrow-away demo --json\n```\n",
    "src/throw_away/__init__.py": '"""A toolkit for a test."""\n\n__all__: list[str] = []\n',
    "src/throw_away/cli.py": '''\
"""The command table of throw-away."""

from toolkit_shared.cli import Command, run

COMMANDS = {
    "demo": Command("Show what it does.", "throw_away.commands.demo:demo"),
    "claims": Command("Test its claims.", "throw_away.commands.claims:claims"),
}


def main() -> int:
    """Run one command; returns the exit code."""
    return run("throw-away", "A toolkit for a test.", COMMANDS)
''',
    "src/throw_away/commands/__init__.py": '"""The commands."""\n',
    "src/throw_away/commands/claims.py": '''\
"""The claims."""

from pathlib import Path


def claims(*, results: Path | None = None) -> None:
    """Test its claims."""
''',
    "src/throw_away/commands/demo.py": '''\
"""The demo."""

from pathlib import Path

from toolkit_shared.cli import emit


def demo(*, out: Path = Path("demo"), overwrite: bool = False, json: bool = False) -> None:
    """Show what it does."""
    emit({"done": True}, "done", as_json=json)
''',
    "src/throw_away/data.py": '"""Readers."""\n',
    "tests/test_data.py": "def test_of_its_own() -> None:\n    assert True\n",
}
QUESTION = '"""Speed."""\n\nif __name__ == "__main__":\n    print("answered")\n'
WITHOUT = shutil.ignore_patterns("__pycache__", ".*_cache", "goldens", "results")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the workspace that also holds the new package."""
    root = tmp_path / "workspace"
    root.mkdir()
    for name in ("pyproject.toml", "conftest.py", "Makefile", "README.md", "CONTRIBUTING.md", "uv.lock"):
        shutil.copy(ROOT / name, root)
    for name in ("shared", "packages", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, root / name, ignore=WITHOUT)
    for path, text in SKELETON.items():
        (root / NEW / path).parent.mkdir(parents=True, exist_ok=True)
        (root / NEW / path).write_text(text)
    (root / "benchmarks" / "throw_away").mkdir()
    (root / "benchmarks" / "throw_away" / "speed.py").write_text(QUESTION)
    return root


def check(root: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run those tests of the copy that concern the new package or the whole."""
    command = [sys.executable, "-m", "pytest", "-n0", "-v", "-p", "no:cacheprovider", "--durations=0"]
    command += ["--ignore", str(root / "tests" / "test_new_package.py"), "-k", "throw or workspace_keeps"]
    return subprocess.run(
        [*command, "tests", str(NEW), *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        env=environment(**variables),
    )


def test_every_check_sees_the_new_package_and_passes(copy: Path) -> None:
    done = check(copy)

    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "test_root_help_names_every_command_and_loads_nothing_heavy[throw-away] PASSED",
        "test_a_commands_help_loads_nothing_heavy_and_fits_a_screen[throw-away-demo] PASSED",
        "test_blocks_run[packages/throw-away/README.md] PASSED",
        "test_a_wheel_holds_every_file_of_its_source_folder[throw-away] PASSED",
        "test_an_unpacked_wheel_answers_help_with_toolkit_shared_and_nothing_else_of_the_workspace[throw-away]"
        " PASSED",
        "test_demo_and_claims_take_the_options_that_make_gives_them[demo-options0-throw-away] PASSED",
        "test_every_toolkit_has_questions[throw-away] PASSED",
        "test_the_workspace_keeps_every_contract PASSED",
        "test_of_its_own PASSED",
    ):
        assert line in done.stdout, line


def test_the_new_package_gets_its_make_targets(copy: Path) -> None:
    def make(*arguments: str) -> str:
        # the variables that an outer `make test ARGS=...` hands down are not meant for this one
        command = ["make", "ARGS=", "SCALE=cpu", *arguments]
        done = subprocess.run(
            command, cwd=copy, capture_output=True, text=True, check=True, env=environment()
        )
        return done.stdout

    listed, planned = make("help"), make("-n", "bench-throw-away", "claims")

    assert "throw-away" in listed.splitlines()[-1]
    assert "python -m benchmarks.run --scale cpu  throw-away" in planned
    assert "throw-away claims --results benchmarks/results" in planned


def test_the_new_packages_questions_are_run(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "throw-away"],
        cwd=copy,
        capture_output=True,
        text=True,
        env=environment(),
    )

    assert (done.returncode, done.stdout) == (0, "answered\n")


FAULTS = {
    "src/throw_away/commands/demo.py": "import pandas\n",
    "src/throw_away/data.py": "import seqdecomp\nimport throw_away.cli\n",
    "README.md": "\n```bash\nthrow-away demonstrate\n```\n",
    "tests/test_data.py": "    raise ValueError\n",
}


def test_faults_in_the_new_package_are_caught(copy: Path) -> None:
    # given a heavy import (of a stand-in), imports of another toolkit and of an outer room, a stale README
    (copy / "stand-ins").mkdir()
    (copy / "stand-ins" / "pandas.py").write_text("")
    for path, text in FAULTS.items():
        with (copy / NEW / path).open("a") as file:
            file.write(text)

    done = check(copy, PYTHONPATH=str(copy / "stand-ins"))

    failed = "\n".join(line for line in done.stdout.splitlines() if line.startswith("FAILED"))
    assert "test_a_commands_help_loads_nothing_heavy_and_fits_a_screen[throw-away-demo]" in failed
    assert "test_the_workspace_keeps_every_contract" in failed
    assert "no toolkit imports another BROKEN" in done.stdout
    assert "throw_away: rooms in layers BROKEN" in done.stdout
    assert "test_blocks_run[packages/throw-away/README.md]" in failed
    assert "test_of_its_own" in failed
