"""A build cut off right before or after each file operation ends, once resumed, in the same folder."""

import hashlib
import os
from pathlib import Path

import pytest
from seqdecomp.build import build_store
from seqdecomp.settings import DecompositionSettings, ReadSettings


class Cut(BaseException):
    """Stands for the end of the process."""


def build(source: Path, out: Path) -> None:
    build_store(
        [source],
        out,
        tokenizer="bytes",
        read=ReadSettings(unit_mib=1),
        settings=DecompositionSettings(min_length=4, max_length=32, tail="pad"),
    )


def folder_hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_build_cut_off_at_any_rename_resumes_to_the_same_bytes(tmp_path, monkeypatch, when):
    source = tmp_path / "a.jsonl"
    source.write_text("".join(f'{{"text": "{"x" * (n % 900)}"}}\n' for n in range(6000)))
    build(source, tmp_path / "whole")
    expected = folder_hashes(tmp_path / "whole")
    replace = os.replace
    left = 0

    def cutting_replace(*args, **kwargs) -> None:
        nonlocal left
        left -= 1
        if left < 0 and when == "before":
            raise Cut
        replace(*args, **kwargs)
        if left < 0:
            raise Cut

    for renames in range(1000):
        out = tmp_path / f"cut-{renames}"
        left = renames
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", cutting_replace)
            try:
                build(source, out)
                break
            except Cut:
                pass
        build(source, out)
        assert folder_hashes(out) == expected, f"cut {when} rename {renames}"
    assert renames > 10
