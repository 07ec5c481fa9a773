"""Who may import whom, as import-linter contracts written from the folders that are there.

Run as a program, it checks the workspace (or the one named as argument) and prints import-linter's report.
"""

import sys
import tempfile
from pathlib import Path

from importlinter.cli import lint_imports

# from the outside in; a room may import those after it
OUTER_ROOMS = ("cli", "commands", "experiment", "training", "evaluation", "export")
FORMULA_ROOMS = ("model", "models", "objectives")  # which do not import each other
INNER_ROOMS = ("data", "settings")
TRAINERS = ("lightning", "pytorch_lightning")


def main() -> int:
    """Check a workspace; 0 when every contract is kept."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    packages = sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))
    sys.path[:0] = [str(root / "shared" / "src"), *(str(package / "src") for package in packages)]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "contracts.toml")
        config.write_text(contracts(root / "shared", packages))
        return int(lint_imports(config_filename=str(config), no_cache=True, no_logo=True))


def contracts(shared: Path, packages: list[Path]) -> str:
    """The import-linter configuration of these folders, as TOML."""
    names = [package.name.replace("-", "_") for package in packages]
    text = "[tool.importlinter]\ninclude_external_packages = true\n"
    text += f"root_packages = {_toml(['toolkit_shared', *names])}\n"
    if len(names) > 1:
        text += _contract("no toolkit imports another", "independence", modules=names)
    if names:
        text += _contract(
            "toolkit_shared imports no toolkit",
            "forbidden",
            source_modules=["toolkit_shared"],
            forbidden_modules=names,
        )
    text += _contract(
        "neither benchmarks nor tests are imported",
        "forbidden",
        source_modules=["toolkit_shared", *names],
        forbidden_modules=["benchmarks", "tests"],
    )
    rooms = sorted(path.stem for path in (shared / "src" / "toolkit_shared").glob("[a-z]*"))
    text += _contract(
        "cyclopts stays behind toolkit_shared.cli",
        "forbidden",
        source_modules=[f"toolkit_shared.{room}" for room in rooms if room != "cli"] + names,
        forbidden_modules=["cyclopts"],
        allow_indirect_imports=True,
    )
    for package, name in zip(packages, names, strict=True):
        text += _contracts_of(name, package / "src" / name, "training" in rooms)
    return text


def _contracts_of(name: str, folder: Path, has_shared_training: bool) -> str:
    rooms = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/*.py")}
    rooms -= {"__init__", "__main__", "__pycache__"}
    formulas = [room for room in FORMULA_ROOMS if room in rooms]
    methods = sorted(rooms - {*OUTER_ROOMS, *FORMULA_ROOMS, *INNER_ROOMS})
    layers = [room for room in OUTER_ROOMS if room in rooms]
    layers += [" | ".join(formulas)] * bool(formulas) + [" : ".join(methods)] * bool(methods)
    layers += [room for room in INNER_ROOMS if room in rooms]
    text = ""
    if len(layers) > 1:
        text += _contract(f"{name}: rooms in layers", "layers", containers=[name], layers=layers)
    pure = [f"{name}.{room}" for room in (*formulas, *methods, "data") if room in rooms]
    if pure:
        text += _contract(
            f"{name}: formulas and data know no trainer",
            "forbidden",
            source_modules=pure,
            forbidden_modules=[*TRAINERS, "toolkit_shared.cli"]
            + ["toolkit_shared.training"] * has_shared_training,
        )
    if formulas and "settings" in rooms:
        text += _contract(
            f"{name}: formulas take plain arguments, no settings",
            "forbidden",
            source_modules=[f"{name}.{room}" for room in formulas],
            forbidden_modules=[f"{name}.settings"],
        )
    return text


def _contract(title: str, kind: str, **settings: list[str] | bool) -> str:
    lines = [f'[[tool.importlinter.contracts]]\nname = "{title}"\ntype = "{kind}"']
    return "\n".join(["", *lines, *(f"{key} = {_toml(value)}" for key, value in settings.items()), ""])


def _toml(value: list[str] | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "[" + ", ".join(f'"{item}"' for item in value) + "]"


if __name__ == "__main__":
    sys.exit(main())
