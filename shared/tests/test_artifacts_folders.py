"""Output folders through crashes: never one run's work in another's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from toolkit_shared.artifacts import (
    atomic_path,
    claim_folder,
    finish_folder,
    read_json,
    write_json,
    write_text,
)
from toolkit_shared.errors import InputError

CONFIG = {"settings": {"min_length": 256, "seed": 0}, "inputs": ["a.jsonl"]}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def claim(out: Path, config: object = CONFIG, kind: str = "store", **options: bool) -> str:
    return claim_folder(out, kind=kind, config=config, **options)  # type: ignore[arg-type]


def test_a_folder_is_new_then_resumed_then_complete(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "x"
    assert claim(out) == "new"
    assert read_json(out / "job.json") == {"kind": "store", "config": CONFIG}
    write_text(out / "part", "1")
    assert claim(out) == "resumed"
    assert names(out) == ["job.json", "part"]

    finish_folder(out, {"parts": 1})

    assert claim(out) == "complete"
    assert names(out) == ["manifest.json", "part"]
    assert read_json(out / "manifest.json") == {"kind": "store", "config": CONFIG, "parts": 1}


def test_tuples_paths_and_number_keys_of_a_configuration_are_the_same_when_read_back(tmp_path: Path) -> None:
    config = {"a": (1, (2,)), "b": Path("x"), "c": {1: 2}}
    claim(tmp_path / "x", config)

    assert claim(tmp_path / "x", config) == "resumed"


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    for options in ({}, {"overwrite": True}):
        with pytest.raises(InputError, match="holds files of something else; choose an empty or new folder"):
            claim(tmp_path, **options)
    assert names(tmp_path) == ["thesis.tex"]


def test_another_projects_manifest_does_not_make_a_folder_ours(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"version": 3})

    with pytest.raises(InputError, match="holds files of something else"):
        claim(tmp_path, overwrite=True)


def test_a_folder_of_another_kind_is_refused_even_to_overwrite(tmp_path: Path) -> None:
    claim(tmp_path / "x", kind="run")

    with pytest.raises(InputError, match=r"x: holds a run, not a store; choose another --out"):
        claim(tmp_path / "x", overwrite=True)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")

    with pytest.raises(InputError, match="is a file, not a folder"):
        claim(tmp_path / "x")


@pytest.mark.parametrize(("finished", "word"), [(False, "begun"), (True, "made")])
def test_other_settings_are_refused_with_the_fields_that_differ(
    tmp_path: Path, finished: bool, word: str
) -> None:
    out = tmp_path / "x"
    claim(out)
    if finished:
        finish_folder(out, {})

    with pytest.raises(InputError) as caught:
        claim(out, {"settings": {"min_length": 512, "seed": 0}, "inputs": ["a.jsonl"], "strict": True})

    assert str(caught.value) == (
        f"{out}: was {word} with other settings (settings.min_length 256 there, 512 here; "
        "strict absent there, true here); choose another --out, or pass --overwrite"
    )


def test_of_many_differing_fields_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    claim(tmp_path / "x", {f"field{i}": 1 for i in range(10)})

    with pytest.raises(InputError, match=r"field5 1 there, 2 here; 4 more\)"):
        claim(tmp_path / "x", {f"field{i}": 2 for i in range(10)})


@pytest.mark.parametrize(("finished", "words"), [(False, "an unfinished store"), (True, "a finished store")])
def test_without_resume_earlier_work_is_refused(tmp_path: Path, finished: bool, words: str) -> None:
    claim(tmp_path / "x")
    if finished:
        finish_folder(tmp_path / "x", {})

    with pytest.raises(InputError, match=f"holds {words}; drop --no-resume to keep it, or pass --overwrite"):
        claim(tmp_path / "x", resume=False)


@pytest.mark.parametrize("finished", [False, True])
def test_overwrite_starts_anew_and_spares_what_links_lead_to(tmp_path: Path, finished: bool) -> None:
    # given a folder of other settings, in which links lead outside
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kept").write_text("1")
    out = tmp_path / "x"
    claim(out, {"seed": 1})
    write_text(out / "deep" / "part", "1")
    (out / "link").symlink_to(tmp_path / "data")
    (out / "deep" / "link").symlink_to(tmp_path / "data")
    if finished:
        finish_folder(out, {})

    # when, then
    assert claim(out, overwrite=True) == "new"
    assert names(out) == ["job.json"]
    assert names(tmp_path / "data") == ["kept"]
    assert claim(out) == "resumed"


def test_an_overwrite_that_is_cut_off_goes_on_whatever_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a finished folder of which an overwrite deleted only a part
    out = tmp_path / "x"
    claim(out)
    write_text(out / "a", "1")
    write_text(out / "b", "1")
    finish_folder(out, {})
    unlink = Path.unlink

    def unlink_or_die(path: Path, missing_ok: bool = False) -> None:
        if path.name == "b":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink_or_die)
        with pytest.raises(KeyboardInterrupt):
            claim(out, overwrite=True)
    assert "b" in names(out)

    # when the old settings come again, what is left of the old files is no beginning for them
    assert claim(out) == "new"
    assert names(out) == ["job.json"]


def test_killed_between_manifest_and_end_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "x"
    claim(out)
    write_json(out / "manifest.json", {"kind": "store", "config": CONFIG})

    assert claim(out) == "complete"
    assert names(out) == ["manifest.json"]


def test_killed_while_filling_is_cleaned_at_the_next_claim(
    tmp_path: Path, start_and_kill: Callable[..., None]
) -> None:
    # given a run killed while it wrote its second file
    out = tmp_path / "x"
    program = """if True:
        import sys, time
        from pathlib import Path
        from toolkit_shared.artifacts import atomic_path, claim_folder, write_text
        out = Path(sys.argv[1])
        claim_folder(out, kind="store", config={"seed": 0})
        write_text(out / "tokens" / "0", "whole")
        with atomic_path(out / "tokens" / "1") as temporary:
            temporary.write_text("half")
            print("now", flush=True)
            time.sleep(60)
    """
    start_and_kill(program, out)
    assert len(names(out)) == 4

    # when it is run again
    assert claim(out, {"seed": 0}) == "resumed"

    # then only whole files are there
    assert names(out) == ["job.json", "tokens", "tokens/0"]


def test_killed_before_the_folder_says_what_it_is_for_is_claimed_as_new(
    tmp_path: Path, start_and_kill: Callable[..., None]
) -> None:
    program = """if True:
        import sys, time, os
        from toolkit_shared.artifacts import claim_folder
        def stop(a, b):
            print("now", flush=True)
            time.sleep(60)
        os.replace = stop
        claim_folder(sys.argv[1], kind="store", config={"seed": 0})
    """
    start_and_kill(program, tmp_path / "x")
    assert len(names(tmp_path / "x")) == 1

    assert claim(tmp_path / "x") == "new"
    assert names(tmp_path / "x") == ["job.json"]


def test_a_claim_spares_what_a_living_process_writes(tmp_path: Path) -> None:
    out = tmp_path / "x"
    claim(out)
    with atomic_path(out / "a") as temporary:
        temporary.write_text("1")
        claim(out)

    assert (out / "a").read_text() == "1"


def test_a_user_file_that_only_looks_temporary_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "x"
    claim(out)
    write_text(out / ".tmp-notes", "mine")

    assert claim(out) == "resumed"
    assert ".tmp-notes" in names(out)


def test_finishing_removes_what_other_machines_left_half_written(tmp_path: Path) -> None:
    out = tmp_path / "x"
    claim(out)
    (out / ".tmp-0123abcd-1-89abcdef-part").write_text("half")

    assert claim(out) == "resumed"  # it may still be written there
    assert len(names(out)) == 2
    finish_folder(out, {})

    assert names(out) == ["manifest.json"]


def test_only_a_claimed_folder_can_be_finished_and_only_as_what_it_was_claimed_for(tmp_path: Path) -> None:
    out = tmp_path / "x"
    with pytest.raises(ValueError, match="was not claimed"):
        finish_folder(out, {})
    claim(out)
    with pytest.raises(ValueError, match="the manifest's kind is not the one"):
        finish_folder(out, {"kind": "run"})
    with pytest.raises(ValueError, match="the manifest's config is not the one"):
        finish_folder(out, {"config": {}})
    finish_folder(out, {"kind": "store", "config": CONFIG})
