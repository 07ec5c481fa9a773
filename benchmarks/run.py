"""Run benchmark questions, each in a process of its own.

`python -m benchmarks.run [--scale smoke|cpu|gpu] [--data FOLDER] [--official CHECKOUT] NAME...`: a NAME is a
folder here (every question in it), or one question as `FOLDER.QUESTION` or `QUESTION`. A question is a module
with a `main` that takes these options and writes one result into `benchmarks/results`. A question that fails
does not stop the others; the exit code then is 1.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(argv: list[str] | None = None) -> int:
    """Run what is named; 0 when every question ended well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=["smoke", "cpu", "gpu"], default="cpu")
    parser.add_argument("--data", type=Path, help="folder of real data, for the questions that take one")
    parser.add_argument("--official", type=Path, help="checkout of a paper's own code, where it is compared")
    parser.add_argument("names", nargs="+", metavar="NAME")
    given = parser.parse_args(argv)
    options = ["--scale", given.scale]
    for option, folder in (("--data", given.data), ("--official", given.official)):
        options += [] if folder is None else [option, str(folder.resolve())]
    questions = []
    for name in given.names:
        found = questions_of(name)
        if not found:
            print(f"benchmarks: error: no folder or question '{name}' in benchmarks/", file=sys.stderr)
            return 2
        questions += found
    failed = [question for question in questions if not run(question, options)]
    if failed:
        print(f"benchmarks: {len(failed)} of {len(questions)} failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def questions_of(name: str, folder: Path = HERE) -> list[str]:
    """Module names of the questions that a name stands for, sorted; none when there is no such name.

    A toolkit's folder bears its import name, with `_` for `-`.
    """
    name = name.replace("-", "_")
    path = folder.joinpath(*name.split("."))
    if path.is_dir():
        modules = sorted(file.stem for file in path.glob("[a-z]*.py"))
        return [f"{name}.{module}" for module in modules if is_question(path / f"{module}.py")]
    return [name] if Path(f"{path}.py").is_file() else []


def is_question(path: Path) -> bool:
    """Whether a file is run by itself, rather than holding what several questions share."""
    return "\nif __name__ ==" in path.read_text(encoding="utf-8")


def run(question: str, options: list[str]) -> bool:
    """Run one question from the workspace root; whether it ended well."""
    print(f"== {question} ({options[1]})", file=sys.stderr, flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", f"benchmarks.{question}", *options]
    code = subprocess.run(command, cwd=HERE.parent).returncode
    took = f"{time.monotonic() - started:.0f} s"
    print(f"== {question}: {'done' if code == 0 else f'failed with {code}'} after {took}", file=sys.stderr)
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
