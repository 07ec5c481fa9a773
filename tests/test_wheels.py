"""Each distribution as a user gets it: a wheel that is whole, installs alone and answers."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.workspace import ROOT, TOOLKITS, commands_of, import_name

FOLDERS = {"toolkit-shared": ROOT / "shared", **{name: ROOT / "packages" / name for name in TOOLKITS}}


def build(folder: Path, out: Path) -> Path:
    """Build the wheel of one folder, with the build backend that is installed here."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    (wheel,) = out.glob(f"{import_name(folder.name if folder.name != 'shared' else 'toolkit-shared')}-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of every distribution of the workspace."""
    out = tmp_path_factory.mktemp("dist")
    return {name: build(folder, out) for name, folder in FOLDERS.items()}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_holds_every_file_of_its_source_folder(name: str, wheels: dict[str, Path]) -> None:
    source = FOLDERS[name] / "src"
    expected = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        # what Python and numba compiled lies in __pycache__
        if path.is_file() and "__pycache__" not in path.parts
    }

    with zipfile.ZipFile(wheels[name]) as archive:
        packed = {entry for entry in archive.namelist() if ".dist-info/" not in entry}

    assert packed == expected


@pytest.mark.parametrize("name", TOOLKITS)
def test_a_toolkits_wheel_needs_toolkit_shared_and_no_other_toolkit(
    name: str, wheels: dict[str, Path]
) -> None:
    with zipfile.ZipFile(wheels[name]) as archive:
        (metadata,) = [entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA")]
        (scripts,) = [entry for entry in archive.namelist() if entry.endswith("entry_points.txt")]
        fields = Parser().parsestr(archive.read(metadata).decode())
        entry_points = archive.read(scripts).decode()

    needed = {re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in fields.get_all("Requires-Dist") or []}
    assert "toolkit-shared" in needed
    assert needed & set(TOOLKITS) <= {name}  # its own extras
    assert fields["License-Expression"] == "Apache-2.0"
    assert f"{name} = {import_name(name)}.cli:main" in entry_points


@pytest.mark.parametrize("name", TOOLKITS)
def test_an_unpacked_wheel_answers_help_with_toolkit_shared_and_nothing_else_of_the_workspace(
    name: str, wheels: dict[str, Path], tmp_path: Path
) -> None:
    # given the two wheels unpacked, and an interpreter that sees no source folder of the workspace
    for wheel in (wheels[name], wheels["toolkit-shared"]):
        zipfile.ZipFile(wheel).extractall(tmp_path)
    module = import_name(name)
    sources = [str(folder / "src") for folder in FOLDERS.values()]
    program = (
        f"import sys; sys.path[:] = [{str(tmp_path)!r}] + [p for p in sys.path if p not in {sources!r}]; "
        f"import {module}.cli, toolkit_shared.cli; from importlib.metadata import version; "
        f"assert {module}.__file__.startswith({str(tmp_path)!r}), {module}.__file__; "
        f"assert toolkit_shared.__file__.startswith({str(tmp_path)!r}); "
        f"assert version({name!r}) == getattr({module}, '__version__', version({name!r})); "
        f"raise SystemExit({module}.cli.main())"
    )

    # then every help is printed, by a module of the wheel's version
    for argv in (["--help"], *([command, "--help"] for command in commands_of(name))):
        done = subprocess.run(
            [sys.executable, "-c", program, *argv], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, ""), argv
        assert done.stdout.startswith(f"Usage: {name} ")


def uv() -> str:
    """The uv that `make` uses."""
    found = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    assert Path(found).exists(), "uv is missing; run this through make"
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", TOOLKITS)
def test_a_wheel_installs_alone_into_a_clean_environment_and_answers(
    name: str, wheels: dict[str, Path], tmp_path: Path
) -> None:
    # given an empty environment, and the packages' wheels in one folder (the others come from the index)
    python = tmp_path / "venv" / "bin" / "python"
    dist = wheels[name].parent
    subprocess.run([uv(), "venv", "--python", sys.executable, str(tmp_path / "venv")], check=True)
    subprocess.run(
        [uv(), "pip", "install", "--python", str(python), "--find-links", str(dist), name], check=True
    )

    # then of the workspace there are the toolkit and toolkit-shared
    listed = subprocess.run(
        [uv(), "pip", "list", "--python", str(python), "--format", "freeze"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    installed = {line.partition("==")[0] for line in listed.split()}
    assert installed & set(FOLDERS) == {name, "toolkit-shared"}

    # and the script answers, from the environment's own files
    script = tmp_path / "venv" / "bin" / name
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for argv in (["--help"], ["--version"], *([command, "--help"] for command in commands_of(name))):
        done = subprocess.run([script, *argv], cwd=tmp_path, capture_output=True, text=True, env=clean)
        assert (done.returncode, done.stderr) == (0, ""), argv
        assert done.stdout.startswith(name if argv == ["--version"] else f"Usage: {name} ")
