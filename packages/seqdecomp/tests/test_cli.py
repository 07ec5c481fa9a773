"""seqdecomp's command line: help by golden text, configurations that give themselves, errors by exact line.

The golden texts are written by: for c in COMMANDS: COLUMNS=80 seqdecomp $c --help > goldens/help/$c.txt
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from seqdecomp import cli

GOLDENS = Path(__file__).parent / "goldens" / "help"
RECIPES = sorted(Path(cli.__file__).parent.joinpath("recipes").glob("*.yaml"))
Run = Callable[..., tuple[int, str, str]]

DOCUMENTS = ["hello world, hello", "abc", "a longer document of the kind that fills a bucket"]


@pytest.fixture
def seqdecomp(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run seqdecomp in a folder that holds docs.jsonl; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("docs.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS))

    def call(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["seqdecomp", *line.split()])
        code = cli.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.parametrize("command", ["root", *cli.COMMANDS])
def test_help_is_the_golden_text(seqdecomp: Run, command: str) -> None:
    line = "--help" if command == "root" else f"{command} --help"

    assert seqdecomp(line) == (0, (GOLDENS / f"{command}.txt").read_text(), "")


def test_no_golden_text_outlives_its_command() -> None:
    assert {path.stem for path in GOLDENS.iterdir()} == {"root", *cli.COMMANDS}


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_printed_configuration_gives_itself(seqdecomp: Run, command: str) -> None:
    code, printed, err = seqdecomp(f"{command} --print-config")
    assert (code, err) == (0, "")

    Path("printed.yaml").write_text(printed)

    assert seqdecomp(f"{command} --config printed.yaml --print-config") == (0, printed, "")


def test_there_are_recipes() -> None:
    assert {"tiny", "paper"} <= {part for path in RECIPES for part in path.stem.split("-")}


@pytest.mark.parametrize("recipe", [path.stem for path in RECIPES])
def test_a_recipe_fits_a_command_and_is_read_in_full(seqdecomp: Run, recipe: str) -> None:
    fields = yaml.safe_load((RECIPES[0].parent / f"{recipe}.yaml").read_text())

    def holds(whole: object, part: object) -> bool:
        if isinstance(part, dict) and isinstance(whole, dict):
            return all(key in whole and holds(whole[key], value) for key, value in part.items())
        # YAML reads 3e-3 as text
        return whole == part or (isinstance(whole, float) and whole == float(str(part)))

    accepted = []
    for command in cli.COMMANDS:
        code, printed, _ = seqdecomp(f"{command} --config {recipe} --print-config")
        if code == 0:
            assert holds(yaml.safe_load(printed), fields), command
            accepted.append(command)

    assert accepted


# --- errors, by exact line ---

ERRORS = {
    "biuld": "seqdecomp: error: unknown command 'biuld'; did you mean 'build'?",
    "build --out s": "seqdecomp build: error: inputs: none given; name at least one file, folder or glob",
    "build docs.jsonl --tokenizer bytes": "seqdecomp build: error: option --out is missing; "
    "give it here or in a --config file",
    "build nothing.jsonl --tokenizer bytes --out s": "seqdecomp build: error: "
    "nothing.jsonl: no such file or folder; check the path",
    "build docs.jsonl --out s": "seqdecomp build: error: "
    "docs.jsonl: holds text, and there is no tokenizer; pass --tokenizer bytes|NAME|FILE",
    "build docs.jsonl --tokenizer bytes --out s --min-length 300": "seqdecomp build: error: "
    "min_length: 300 is not a power of two; nearest: 256",
    "build docs.jsonl --tokenizer bytes --out s --tail drip": "seqdecomp build: error: "
    'Invalid value "drip" for --tail. Choose from: "drop", "anchor-end", "keep-small", "pad". '
    'Did you mean "drop"?',
    "verify": "seqdecomp verify: error: input STORE is missing; 'seqdecomp verify --help' shows what to give",
    "verify nowhere": "seqdecomp verify: error: "
    "nowhere: no store here (manifest.json is missing); make one with seqdecomp build",
}


@pytest.mark.parametrize(("line", "error"), ERRORS.items())
def test_a_mistake_gives_one_line_and_exit_code_two(seqdecomp: Run, line: str, error: str) -> None:
    assert seqdecomp(line) == (2, "", error + "\n")


def test_a_store_of_other_settings_is_not_touched(seqdecomp: Run) -> None:
    assert seqdecomp("build docs.jsonl --tokenizer bytes --out s --min-length 4 --max-length 16")[0] == 0
    before = {path: path.read_bytes() for path in Path("s").rglob("*") if path.is_file()}

    code, out, err = seqdecomp("build docs.jsonl --tokenizer bytes --out s --min-length 8 --max-length 16")

    assert (code, out) == (2, "")
    assert err == (
        "seqdecomp build: error: s: was made with other settings (settings.min_length 4 there, 8 here); "
        "choose another --out, or pass --overwrite\n"
    )
    assert {path: path.read_bytes() for path in Path("s").rglob("*") if path.is_file()} == before


def test_json_is_the_only_thing_on_stdout(seqdecomp: Run) -> None:
    # 19, 4 and 50 tokens (bytes and EOS): 16 + 2, 4, 32 + 16 + 2 at lengths 4 to 32
    code, out, _ = seqdecomp(
        "build docs.jsonl --tokenizer bytes --out s --min-length 4 --max-length 32 --json"
    )
    assert code == 0
    assert json.loads(out)

    assert json.loads(seqdecomp("verify s --json")[1]) == {
        "problems": [],
        "documents": 3,
        "tokens": 73,
        "sequences": 4,
        "sequence_tokens": 68,
        "eos_survival": 1 / 3,
    }


def test_a_damaged_store_fails_its_check_with_exit_code_one(seqdecomp: Run) -> None:
    assert seqdecomp("build docs.jsonl --tokenizer bytes --out s --min-length 4 --max-length 16")[0] == 0
    tokens = next(Path("s", "tokens").iterdir())
    data = bytearray(tokens.read_bytes())
    data[0] ^= 1
    tokens.write_bytes(data)

    code, out, _ = seqdecomp("verify s")

    assert code == 1
    assert tokens.name in out
