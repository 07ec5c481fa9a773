"""`dr build` and `dr verify` on the command line: what they print, and their exit codes."""

import json
from pathlib import Path

import pytest
from tiny_teachers import generated_pairs, tiny_open_clip_config, write_pairs, write_tiny_open_clip
from toolkit_shared.cli import Command, run

COMMANDS = {
    "dr build": Command("Build.", "mobileclip.commands.dr_build:dr_build"),
    "dr verify": Command("Verify.", "mobileclip.commands.dr_verify:dr_verify"),
}


def command(*arguments: object) -> int:
    return run("mobileclip", "", COMMANDS, [str(argument) for argument in arguments])


def test_a_store_that_was_built_verifies_until_a_byte_of_it_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = write_pairs(tmp_path / "pairs.parquet", [*generated_pairs(3), ("junk", b"none", ["x"])])
    teacher = "open_clip:" + write_tiny_open_clip(tmp_path, "tiny-command", tiny_open_clip_config())
    captions = tmp_path / "captions.jsonl"
    lines = [{"key": key, "captions": ["one", "two"]} for key, _, _ in generated_pairs(3)]
    captions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    store, with_teacher = tmp_path / "store", ("--teacher", teacher, "--device", "cpu")

    code = command(
        *("dr", "build", pairs, "--out", store, *with_teacher, "--augmentations", 2, "--json"),
        *("--captioner", f"file:{captions}", "--synthetic-captions", 2, "--teacher-scale", 70),
    )
    built = json.loads(capsys.readouterr().out)
    assert (code, built["num_samples"], built["num_pairs"]) == (0, 3, 4)
    assert built["dropped"] == {"image: not an image": {"count": 1, "names": ["junk"]}}
    assert json.loads((store / "manifest.json").read_text())["store"]["teachers"][0]["logit_scale"] == 70.0

    assert command("dr", "verify", store, "--pairs", pairs, *with_teacher, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["clean"], report["num_embedded"], report["faults"]) == (True, 3, [])

    file = store / "parts" / "00000.text.bin"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    assert command("dr", "verify", store) == 1
    assert "FAULT damaged files: not as written: parts/00000.text.bin" in capsys.readouterr().out


def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = write_pairs(tmp_path / "pairs.parquet", generated_pairs(1))

    assert (
        command("dr", "build", pairs, "--out", tmp_path / "s", "--teacher", "open_clip:ViT-B-33/openai") == 2
    )
    assert "open_clip has no model ViT-B-33; did you mean" in capsys.readouterr().err
    assert command("dr", "verify", tmp_path / "absent") == 2
    assert capsys.readouterr().err.count("\n") == 1
