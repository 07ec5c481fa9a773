"""What holds for the commands alike: numbers, and the help."""

from pathlib import Path

import pytest
from mobileclip.cli import ABOUT, COMMANDS
from toolkit_shared.cli import run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("embed x --model m --batch-size 0", "--batch-size: 0 is not positive"),
        ("classify x --model m --labels a,b --top 0", "--top: 0 is not positive"),
        ("search e.npy x --top -1", "--top: -1 is not positive"),
        ("dr build x --out o --teacher t --augmentations 0", "--augmentations: 0 is not positive"),
        ("dr build x --out o --teacher t --seed -1", "--seed: -1 is negative"),
        ("dr build x --out o --teacher t --teacher-scale -3", "--teacher-scale -3: not positive"),
        ("dr verify x --rows -1", "--rows: -1 is negative"),
        ("dr verify x --tolerance 1", "--tolerance: 1 is no difference of cosines"),
        ("dr convert x --out o --workers 0", "--workers: 0 is not positive"),
        ("dr join x y --out o --workers 0", "--workers: 0 is not positive"),
        ("train x --out o --steps 0", "steps: 0 is not positive"),
        ("fold x --out o --tolerance 0", "--tolerance: 0.0 is no relative difference"),
        ("export onnx m --out o --num-inputs 0", "--num-inputs: 0 is not positive"),
        ("eval zero-shot x --model m --seed -1", "--seed: -1 is negative"),
        ("eval retrieval x --model m --batch-size 0", "--batch-size: 0 is not positive"),
        ("bench m --repeats 0", "--repeats: 0 is not positive"),
        ("demo --seed -1", "--seed: -1 is negative"),
        ("claims --seeds 0", "--seeds: 0 is not positive"),
    ],
)
def test_a_number_out_of_range_is_one_line_before_anything_is_read_or_written(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    code = run("mobileclip", ABOUT, COMMANDS, arguments.split())

    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"error: {said}" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_sixty_lines_and_says_what_everything_is(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code = run("mobileclip", ABOUT, COMMANDS, [*name.split(), "--help"])

    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert len(out.splitlines()) <= 60
    lines = out.split("Options:")[-1].split("\nAlso ")[0].splitlines()
    assert [line for line in lines if line.startswith("  --") and not line[28:].strip()] == []


@pytest.mark.parametrize(
    "arguments",
    [
        "embed x --model m --dtype float16",
        "classify x --model m --labels a,b --no-folded",
        "search e.npy x --top 3",
        "dr build x --out o --teacher a --teacher b --teacher-scale 70 --teacher-scale 60",
        "dr verify x --teacher a --tolerance 1e-3",
        "dr convert x --out o --to official",
        "dr join x y --out o --resized fit",
        "train x --out o --lr 5e-4 --adamw.beta2 0.98 --reinforced.synthetic mix",
        "fold x --out o --form official",
        "export onnx m --out o --precision fp16",
        "export coreml m --out o --tower image",
        "eval zero-shot x --model m --split val",
        "eval retrieval x --model m --key flickr",
        "eval summarize x --partial",
        "bench m --runtime torch --runtime onnx",
        "demo --seed 3",
        "claims --seeds 5 --scale smoke",
    ],
)
def test_printed_configuration_fed_back_prints_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: str
) -> None:
    inputs = arguments.split(" --")[0].split()
    assert run("mobileclip", ABOUT, COMMANDS, [*arguments.split(), "--print-config"]) == 0
    printed, _ = capsys.readouterr()
    (tmp_path / "printed.yaml").write_text(printed)

    code = run(
        "mobileclip",
        ABOUT,
        COMMANDS,
        [*inputs, "--config", str(tmp_path / "printed.yaml"), "--print-config"],
    )

    assert (code, *capsys.readouterr()) == (0, printed, "")
    assert printed != ""
