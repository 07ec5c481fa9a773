"""What all command lines share: quick, light help, and a table whose every row leads somewhere."""

import json
import re
import subprocess
import sys

import pytest
from toolkit_shared.cli import Command

from tests.workspace import TOOLKITS, commands_of, environment, import_name

HEAVY = ("torch", "lightning", "pytorch_lightning", "transformers", "pandas")
ROWS = [(name, command) for name in TOOLKITS for command in commands_of(name)]

HELP = """
import json, sys
from {module}.cli import main
sys.argv = ["{toolkit}", *{argv!r}]
code = main()
print(json.dumps([code, [name for name in {heavy!r} if name in sys.modules]]), file=sys.stderr)
"""


def help_of(toolkit: str, *argv: str) -> tuple[str, int, list[str]]:
    """Help text, exit code and heavy modules loaded, from a process of its own."""
    code = HELP.format(module=import_name(toolkit), toolkit=toolkit, argv=list(argv), heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(COLUMNS="100")
    )
    assert done.returncode == 0, done.stderr
    exit_code, heavy = json.loads(done.stderr.splitlines()[-1])
    return done.stdout, exit_code, heavy


def test_there_are_toolkits() -> None:
    assert TOOLKITS


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_root_help_names_every_command_and_loads_nothing_heavy(toolkit: str) -> None:
    text, code, heavy = help_of(toolkit, "--help")

    assert (code, heavy) == (0, [])
    for name, command in commands_of(toolkit).items():
        assert f"  {name} " in text
        assert command.help in text


@pytest.mark.parametrize(("toolkit", "command"), ROWS)
def test_a_commands_help_loads_nothing_heavy_and_fits_a_screen(toolkit: str, command: str) -> None:
    text, code, heavy = help_of(toolkit, command, "--help")

    assert (code, heavy) == (0, [])
    assert text.startswith(f"Usage: {toolkit} {command} ")
    assert len(text.splitlines()) <= 60, "more than one screen; move what is rarely touched into a recipe"


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_importing_a_toolkit_loads_nothing_heavy(toolkit: str) -> None:
    code = f"import sys, {import_name(toolkit)}; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())

    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_every_command_has_a_line_of_help_and_a_target_among_the_toolkits_commands(toolkit: str) -> None:
    for command in commands_of(toolkit).values():
        assert isinstance(command, Command)
        assert command.help.endswith(".")
        assert "\n" not in command.help
        assert command.target.startswith(f"{import_name(toolkit)}.commands.")


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_every_toolkit_has_a_demo_and_claims(toolkit: str) -> None:
    assert {"demo", "claims"} <= set(commands_of(toolkit))


@pytest.mark.parametrize("toolkit", TOOLKITS)
@pytest.mark.parametrize(
    ("command", "options"), [("demo", {"--out", "--overwrite"}), ("claims", {"--results"})]
)
def test_demo_and_claims_take_the_options_that_make_gives_them(
    toolkit: str, command: str, options: set[str]
) -> None:
    text, _, _ = help_of(toolkit, command, "--help")

    assert options <= set(re.findall(r"(?<![\w-])--[a-z-]+", text))


@pytest.mark.slow
@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_every_public_name_resolves(toolkit: str) -> None:
    module = import_name(toolkit)
    code = f"import {module}\nfor name in {module}.__all__: assert getattr({module}, name) is not None, name"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())

    assert done.returncode == 0, done.stderr
