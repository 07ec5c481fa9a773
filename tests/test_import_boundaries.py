"""Dependencies run one way: import-linter's contracts, and that they notice."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.import_contracts import contracts
from tests.workspace import ROOT, TOOLKITS, import_name

PROGRAM = ROOT / "tests" / "import_contracts.py"


def check(root: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(PROGRAM), str(root)], capture_output=True, text=True)


def workspace(root: Path, files: dict[str, str]) -> Path:
    """A small workspace of two toolkits, `ape` and `bee`, in which `files` replace or add to the modules."""
    modules = {
        "shared/src/toolkit_shared/__init__.py": "",
        "shared/src/toolkit_shared/cli/__init__.py": "import cyclopts",
        "shared/src/toolkit_shared/records.py": "",
    }
    for name in ("ape", "bee"):
        modules[f"packages/{name}/pyproject.toml"] = ""
        for room in (
            "__init__",
            "cli",
            "commands/__init__",
            "training",
            "model",
            "objectives",
            "method",
            "data",
        ):
            modules[f"packages/{name}/src/{name}/{room}.py"] = ""
        modules[f"packages/{name}/src/{name}/settings.py"] = ""
    for path, text in {**modules, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_the_workspace_keeps_every_contract() -> None:
    done = check(ROOT)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken." in done.stdout


def test_every_package_folder_is_under_contract() -> None:
    text = contracts(ROOT / "shared", [ROOT / "packages" / name for name in TOOLKITS])

    assert TOOLKITS
    assert all(f'"{import_name(name)}"' in text for name in TOOLKITS)


def test_a_workspace_without_a_fault_passes(tmp_path: Path) -> None:
    done = check(
        workspace(tmp_path, {"packages/ape/src/ape/training.py": "import ape.model, ape.objectives"})
    )

    assert done.returncode == 0, done.stdout + done.stderr


FAULTS = {
    "no toolkit imports another": {"packages/ape/src/ape/data.py": "import bee.data"},
    "toolkit_shared imports no toolkit": {"shared/src/toolkit_shared/records.py": "import ape.data"},
    "neither benchmarks nor tests are imported": {"packages/bee/src/bee/data.py": "import benchmarks.run"},
    "cyclopts stays behind toolkit_shared.cli": {"shared/src/toolkit_shared/records.py": "import cyclopts"},
    "bee: rooms in layers": {"packages/bee/src/bee/data.py": "def f():\n    import bee.method"},
    "ape: rooms in layers": {"packages/ape/src/ape/model.py": "import ape.objectives"},
    "ape: formulas and data know no trainer": {"packages/ape/src/ape/model.py": "import lightning"},
    "bee: formulas and data know no trainer": {"packages/bee/src/bee/method.py": "import toolkit_shared.cli"},
    "bee: formulas take plain arguments, no settings": {
        "packages/bee/src/bee/objectives.py": "from bee import settings"
    },
}


@pytest.mark.parametrize(("title", "files"), FAULTS.items())
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, title: str, files: dict[str, str]) -> None:
    done = check(workspace(tmp_path, files))

    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{title} BROKEN" in done.stdout
