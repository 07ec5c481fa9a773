"""A run of a recipe: audited, resumable, the same for any number of workers and any engine."""

import gzip
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from dclm_bench.data.reading import read_pages
from dclm_bench.pipeline import running
from dclm_bench.pipeline.audited import AuditedRun
from dclm_bench.pipeline.explain import explain
from dclm_bench.pipeline.funnel import Funnel
from dclm_bench.pipeline.running import NAMES_OF_FILES, RunReport, run_recipe
from dclm_bench.pipeline.what_if import what_if
from dclm_bench.recipe import Recipe, load_recipe
from dclm_bench.steps.registry import find_factory, step_table
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

WORDS = (
    "the of and to have with that be river stone garden market winter letter captain evening window morning "
    "teacher bridge village doctor engine forest kitchen paper music shadow harbour mountain silver question "
    "answer travel quiet yellow broken hidden gentle early simple often never always perhaps almost carried "
    "opened walked painted measured gathered repaired counted followed returned"
).split()


def sentence(generator: object, length: int) -> str:
    picks = generator.integers(0, len(WORDS), length)  # type: ignore[attr-defined]
    return "The " + " ".join(WORDS[pick] for pick in picks) + "."


def make_page(index: int, seed: int = 0) -> dict[str, object]:
    """A page by its index: sound (0, 5), short, repetitive, shouting, shouting in part, a copy of page 0."""
    draws = stream(seed, "page", 0 if index % 7 == 6 else index)
    lines = [sentence(draws, 12) for _ in range(8 + index % 5)]  # 13 words each
    if index % 7 == 1:
        lines = lines[:2]
    elif index % 7 == 2:
        lines = [lines[0]] * 9
    elif index % 7 == 3:
        lines = [line.upper() for line in lines]
    elif index % 7 == 4:
        lines[0] = lines[0].upper()
    return {"id": f"page-{index}", "url": f"https://site{index}.org/a", "text": "\n".join(lines)}


def write_inputs(folder: Path, *, files: int = 3, pages: int = 30) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(files):
        path = folder / f"part-{number}.jsonl"
        lines = [json.dumps(make_page(number * pages + index)) for index in range(pages)]
        path.write_text("\n".join(lines) + "\n")
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    steps = load_recipe("heuristics").to_json()
    return load_recipe([*steps, {"func": "bff_dedup"}, {"func": "page_length_filter", "length_type": "char"}])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def report(recipe: Recipe, inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    return run_recipe(recipe, inputs, tmp_path_factory.mktemp("run") / "out")


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kept_ids(folder: Path) -> list[str]:
    return [page.record["id"] for path in sorted((folder / "pages").iterdir()) for page in read_pages(path)]


def test_every_kind_of_page_meets_its_rule(report: RunReport) -> None:
    counts = report.run.manifest["counts"]["dropped"]

    kept = kept_ids(report.run.out)

    assert counts["page_length_filter.min_length"] == 13
    assert counts["massive_web_repetition_filters.duplicate_line_fraction"] == 13
    # every seventh page from the sixth on is a copy of the first, which is the only one that stays
    assert "page-0" in kept
    assert not {f"page-{index}" for index in range(6, 90, 7)} & set(kept)


def test_the_funnel_adds_up_from_the_pages_read_to_the_pages_written(report: RunReport) -> None:
    funnel = Funnel.of(report.run, alone=True)

    assert funnel.gaps() == []
    assert funnel.pages_in == 90
    assert funnel.pages_in - sum(row.dropped for row in funnel.rows) == funnel.pages_out
    assert funnel.pages_out == len(kept_ids(report.run.out)) > 0
    for row in funnel.rows:
        assert row.fails is None or row.dropped <= row.fails
        assert row.only is None or row.only <= row.dropped


def test_gaps_are_told_when_numbers_do_not_add_up(report: RunReport) -> None:
    counts = report.run.manifest["counts"]
    broken = {**report.run.manifest, "counts": {**counts, "pages_in": counts["pages_in"] + 1}}

    gaps = Funnel.of(AuditedRun(report.run.out, broken, report.run.steps)).gaps()

    assert len(gaps) == 1
    assert gaps[0].endswith("90 pages entered, 91 were left before it")


def test_nothing_of_the_work_is_left(report: RunReport) -> None:
    names = {entry.name for entry in report.run.out.iterdir()}

    assert names == {"pages", "audit", "manifest.json"}


def test_more_workers_give_the_same_bytes(
    report: RunReport, recipe: Recipe, inputs: list[Path], tmp_path: Path
) -> None:
    other = run_recipe(recipe, inputs, tmp_path / "out", workers=2)

    assert contents(other.run.out) == contents(report.run.out)


@pytest.mark.slow
def test_three_ray_workers_give_the_same_bytes(
    report: RunReport, recipe: Recipe, inputs: list[Path], tmp_path: Path
) -> None:
    other = run_recipe(recipe, inputs, tmp_path / "out", workers=3, engine="ray")

    assert contents(other.run.out) == contents(report.run.out)


KILLED = """
import sys
from dclm_bench.pipeline.running import run_recipe
from dclm_bench.recipe import load_recipe
import json
steps = json.loads(sys.argv[1])
print("ready", flush=True)
run_recipe(steps, sys.argv[3:], sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.05, 0.4, 0.8, 1.2])
def test_a_killed_run_resumes_to_the_same_bytes(
    moment: float, report: RunReport, recipe: Recipe, inputs: list[Path], tmp_path: Path
) -> None:
    arguments = [json.dumps(recipe.to_json()), str(tmp_path / "out"), *map(str, inputs)]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    resumed = run_recipe(recipe, inputs, tmp_path / "out")

    assert contents(resumed.run.out) == contents(report.run.out)


@pytest.mark.parametrize("left", ["counts/pass-0/00001.json", "work/pass-0/00002.decided.npz"])
def test_a_run_goes_on_from_any_unit(
    left: str,
    report: RunReport,
    recipe: Recipe,
    inputs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dclm_bench.pipeline.running.finish_folder", stop)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, inputs, out)
    monkeypatch.undo()
    (out / left).unlink()

    resumed = run_recipe(recipe, inputs, out)

    assert contents(resumed.run.out) == contents(report.run.out)


def test_a_file_that_a_worker_left_half_written_is_no_part_of_the_run(
    report: RunReport, recipe: Recipe, inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the worker was on another machine, so it may still live, and its file is spared at first
    out = tmp_path / "out"
    finish = running.finish_folder

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "finish_folder", stop)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, inputs, out)
    monkeypatch.setattr(running, "finish_folder", finish)
    (out / "pages" / ".tmp-00000000-1-00000000-00001.jsonl.zst").write_bytes(b"half")

    resumed = run_recipe(recipe, inputs, out)

    assert contents(resumed.run.out) == contents(report.run.out)


def test_a_finished_run_is_not_run_again(report: RunReport, recipe: Recipe, inputs: list[Path]) -> None:
    before = contents(report.run.out)

    again = run_recipe(recipe, inputs, report.run.out)

    assert again.as_dict() == report.as_dict()
    assert contents(report.run.out) == before


def test_another_limit_is_refused_in_the_same_folder(
    report: RunReport, recipe: Recipe, inputs: list[Path]
) -> None:
    with pytest.raises(InputError, match="was made with other settings"):
        run_recipe(recipe, inputs, report.run.out, settings={"page_length_filter.min_length": 3})


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("page_length_filter.min_length", 20.0),
        ("page_length_filter.min_length", 120.0),
        ("word_length_filter.max_length", 5.2),
        ("massive_web_repetition_filters.duplicate_line_fraction", 1.0),
        ("word_removal_ratio_filter.max_removed_ratio", 1.0),
    ],
)
def test_what_if_equals_a_fresh_run(name: str, limit: float, inputs: list[Path], tmp_path: Path) -> None:
    recipe = load_recipe("heuristics")
    run = run_recipe(recipe, inputs, tmp_path / "out").run

    found = what_if(run, {name: limit}, keep_set=tmp_path / "keep.jsonl")

    if "duplicate_line_fraction" in name:
        # the rule has no parameter of its own in the official function
        entries = [json.loads(line) for line in (tmp_path / "keep.jsonl").read_text().splitlines()]
        assert found.kept_now == sum(entry["would_keep"] for entry in entries) >= found.kept_before
        return
    fresh = run_recipe(recipe, inputs, tmp_path / "fresh", settings={name: limit})
    entries = [json.loads(line) for line in (tmp_path / "keep.jsonl").read_text().splitlines()]
    assert [entry["id"] for entry in entries if entry["would_keep"]] == kept_ids(fresh.run.out)
    assert found.words_now == fresh.funnel.words_out
    assert found.kept_now == fresh.funnel.pages_out
    assert found.kept_now != found.kept_before


def test_what_if_says_what_needs_a_new_run(report: RunReport) -> None:
    found = what_if(report.run, {"page_length_filter.min_length": 20.0})

    assert found.steps_after == ("bff_dedup",)
    assert "needs a new run" in found.to_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"page_length_filter.min_lenght": 1.0}, "perhaps you meant 'page_length_filter.min_length'"),
        ({"uppercase_ratio_line_modifier.max_ratio": 1.0}, "changes the text, so its effect needs a new run"),
        ({"page_length_filter": 1.0}, "perhaps you meant 'page_length_filter.min_length'"),
        ({"nope": 1.0}, "nope: the run has no such rule; `dclm-bench funnel .*` lists them"),
        ({}, "nothing is set"),
        (
            {"page_length_filter.min_length": 1.0, "page_length_filter-2.min_length": 1.0},
            "stand before and after a step on the whole corpus",
        ),
    ],
)
def test_what_if_refuses_what_it_cannot_tell(
    settings: dict[str, float], message: str, report: RunReport
) -> None:
    with pytest.raises(InputError, match=message):
        what_if(report.run, settings)


def test_a_fast_audit_keeps_the_same_pages_and_has_no_values_to_ask(
    report: RunReport, recipe: Recipe, inputs: list[Path], tmp_path: Path
) -> None:
    fast = run_recipe(recipe, inputs, tmp_path / "out", audit="first").run

    assert contents(fast.out / "pages") == contents(report.run.out / "pages")
    assert fast.manifest["counts"] == report.run.manifest["counts"]
    with pytest.raises(InputError, match="run with --audit full"):
        what_if(fast, {"page_length_filter.min_length": 1.0})


def test_explain_shows_every_rule_also_those_after_the_first_drop(report: RunReport) -> None:
    (page,) = explain(report.run, "page-3")

    verdicts = {f"{v.step}.{v.rule}": v for v in page.verdicts}
    assert page.input == "part-0.jsonl"
    assert page.position == 3
    # all lines are upper case, so the line edit empties the page
    assert page.dropped_by == "uppercase_ratio_line_modifier.not_empty"
    assert verdicts["page_length_filter.min_length"].value == 143
    assert verdicts["page_length_filter.min_length"].margin == 93
    assert verdicts["word_removal_ratio_filter.max_removed_ratio"].verdict == "DROPS"
    assert "dropped by uppercase_ratio_line_modifier" in page.to_text()
    json.dumps(page.as_dict(), allow_nan=False)


def test_explain_follows_a_page_through_all_passes_by_its_url(report: RunReport) -> None:
    (page,) = explain(report.run, "https://site0.org/a")

    steps = [verdict.step for verdict in page.verdicts]
    assert page.dropped_by is None
    assert steps.index("bff_dedup") < steps.index("page_length_filter-2")


def test_explain_names_a_page_that_is_not_there(report: RunReport) -> None:
    with pytest.raises(InputError, match=r"no page with the id or URL 'page-90'; ids look like 'page-0'"):
        explain(report.run, "page-90")


def test_hostile_records_are_counted_and_survived(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "hostile.jsonl.gz"
    good = [json.dumps(make_page(index)) for index in range(5)]
    bad = ["{", "[1]", '{"id": "no text"}', '{"text": 5}', '{"text": "\\ud800"}', '{"text": ""}']
    whole = gzip.compress("\n".join([good[0], *bad, *good[1:], ""]).encode())
    path.write_bytes(whole + gzip.compress(b"x" * 1000)[:-15])

    report = run_recipe(recipe, [path], tmp_path / "out")

    losses = report.run.manifest["counts"]["losses"]
    # five lines, and the break at the end of the file
    assert sum(losses["lost"].values()) == 6
    assert report.funnel.pages_in == 6
    assert losses["examples"][0]["place"].endswith("hostile.jsonl.gz, line 2")
    assert "not read: 6" in report.to_text()


@pytest.mark.parametrize("output", ["jsonl", "parquet"])
def test_numbers_that_are_none_do_not_stop_a_run(output: str, tmp_path: Path) -> None:
    """Python writes NaN into JSON, and 1e999 is read as an infinity; neither can be written."""
    (tmp_path / "pages.jsonl").write_text('{"text": "a", "score": NaN}\n{"text": "b", "score": 1e999}\n')
    steps = [{"func": "page_length_filter", "length_type": "char"}]
    run_recipe(steps, [tmp_path / "pages.jsonl"], tmp_path / "out", format=output)
    (path,) = (tmp_path / "out" / "pages").iterdir()
    assert [page.record.get("score") for page in read_pages(path)] == [None, None]


def test_a_record_that_a_step_cannot_use_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    """A page that says how many words it has makes the step that counts them refuse it."""
    steps = [
        {"func": "word_counter_enricher", "key": "n"},
        {"func": "page_length_filter", "length_type": "char"},
    ]
    pages = [make_page(0), {**make_page(5), "n": "many"}, make_page(7)]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages))
    report = run_recipe(steps, [tmp_path / "pages.jsonl"], tmp_path / "out")
    assert (report.funnel.pages_in, report.funnel.pages_out) == (2, 2)
    assert report.funnel.losses["lost"] == {"record that a step cannot use": 1}
    assert "page-5" in report.funnel.losses["examples"][0]["place"]
    assert not report.funnel.gaps()
    with pytest.raises(InputError, match=r"page-5.*has 'n' already"):
        run_recipe(steps, [tmp_path / "pages.jsonl"], tmp_path / "strict", strict=True)


def test_a_recipe_that_can_use_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_text(json.dumps(make_page(0)) + "\n" + json.dumps(make_page(5)) + "\n")
    steps = [{"func": "word_removal_ratio_filter", "prev_word_count_key": "n"}]
    with pytest.raises(InputError, match="put a word_counter_enricher before"):
        run_recipe(steps, [tmp_path / "pages.jsonl"], tmp_path / "out")


def test_strict_stops_at_the_first_bad_record_and_frees_the_folder(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text('{"text": 5}\n')

    with pytest.raises(InputError, match=r"pages\.jsonl, line 1: .*not text"):
        run_recipe(recipe, [path], tmp_path / "out", strict=True)

    path.write_text(json.dumps(make_page(0)))
    assert run_recipe(recipe, [path], tmp_path / "out", strict=True).funnel.pages_out == 1


def test_pages_without_an_id_get_one_from_their_place(tmp_path: Path) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text('{"text": "one"}\n{"text": "two"}\n')

    out = run_recipe([{"func": "newline_removal_modifier"}], [path], tmp_path / "out").run.out

    assert kept_ids(out) == ["pages.jsonl:0", "pages.jsonl:1"]


def test_an_out_folder_may_be_named_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [path.absolute() for path in write_inputs(tmp_path / "inputs", files=1, pages=3)]
    monkeypatch.chdir(tmp_path)

    found = run_recipe([{"func": "page_length_filter", "length_type": "char"}], inputs, "s3://bucket/out")

    assert (tmp_path / "s3:" / "bucket" / "out" / "manifest.json").is_file()
    assert len(explain(found.run, "page-1")) == 1


def test_the_audit_holds_a_row_for_every_page_that_came_in(report: RunReport) -> None:
    tables = [pq.read_table(path) for path in sorted((report.run.out / "audit/pass-0").iterdir())]

    assert [len(table) for table in tables] == [30, 30, 30]
    assert tables[0]["position"].to_pylist() == list(range(30))
    values = tables[0]["massive_web_repetition_filters.duplicate_line_fraction"].to_pylist()
    assert values[2] == 1.0
    assert values[0] == 0.0


def test_tokens_are_counted_when_a_tokenizer_is_given(inputs: list[Path], tmp_path: Path) -> None:
    recipe = [{"func": "newline_removal_modifier"}]

    report = run_recipe(recipe, inputs[:1], tmp_path / "out", tokenizer="bytes")

    texts = [page.text for path in (report.run.out / "pages").iterdir() for page in read_pages(path)]
    assert report.funnel.tokens_out == sum(len(text.encode()) for text in texts)


def test_a_run_says_what_there_is_to_do_and_what_its_steps_have_to_say_once_nothing_is_wrong(
    inputs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = [{"func": "detect_lang_whole_page_enricher", "model": "fasttext"}, {"func": "exact_dedup"}]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    caplog.set_level(logging.INFO, logger="dclm_bench")

    with pytest.raises(InputError, match="holds files of something else"):
        run_recipe(recipe, inputs, tmp_path / "taken")
    assert caplog.messages == []

    run_recipe(recipe, inputs, tmp_path / "out")
    assert "shards 6 (inputs 3, passes 2), done 0" in caplog.messages[0]
    assert caplog.messages[1].startswith("detect_lang_whole_page_enricher: no model_path")


def test_inputs_are_looked_for_before_the_models_of_the_steps(tmp_path: Path) -> None:
    recipe = [{"func": "detect_lang_whole_page_enricher", "model": "fasttext", "model_path": "no-such.bin"}]

    with pytest.raises(InputError, match=r"no-such\.jsonl: no such file"):
        run_recipe(recipe, [tmp_path / "no-such.jsonl"], tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_field": ""}, "--text-field: is empty; give the name"),
        ({"workers": 0}, "--workers: 0 is not positive"),
        ({"tokenizer": "no-such.json"}, r"no-such\.json: no such file"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_made(
    options: dict[str, Any], message: str, inputs: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        run_recipe("heuristics", inputs, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_only_files_that_steps_read_are_part_of_the_settings(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [path.absolute() for path in inputs]
    monkeypatch.chdir(tmp_path)
    Path("content").mkdir()  # called like the key
    Path("tlds.txt").write_text("COM\n")
    recipe = [
        {"func": "url_removal_modifier", "tlds_filepath": "tlds.txt"},
        {"func": "exact_dedup", "content_key": "content"},
        {"func": "bff_dedup", "save_bloom_filter": "filter.bloom"},
    ]

    first = run_recipe(recipe, inputs, "out")
    Path("content", "new").touch()
    assert Path("filter.bloom").is_file()
    assert contents(run_recipe(recipe, inputs, "out").run.out) == contents(first.run.out)

    Path("tlds.txt").write_text("COM\nORG\n")
    with pytest.raises(InputError, match=r"files\.url_removal_modifier\.tlds_filepath"):
        run_recipe(recipe, inputs, "out")


def test_every_parameter_that_names_a_file_is_known_as_one() -> None:
    words = ("file", "path", "fname")
    named = {
        parameter
        for func in step_table()
        for parameter in inspect.signature(find_factory(func)).parameters
        if any(word in parameter for word in words)
    }

    assert {"model_path", "bloom_filter_file", "banlist_from_fname", "tlds_filepath"} <= named
    assert {name for name in named if name.rpartition("_")[2] not in NAMES_OF_FILES} == {"filename_key"}


def test_a_run_without_pages_has_no_tokens_to_tell(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.touch()
    run = run_recipe([{"func": "page_length_filter", "length_type": "char"}], [path], tmp_path / "out").run

    assert what_if(run, {"page_length_filter.min_length": 1.0}).tokens_now is None


def test_a_run_says_which_rules_had_no_list(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DCLM_BENCH_LISTS", raising=False)
    name = "refinedweb_banned_words_strict_reverse_engineered.txt"
    step = {"func": "url_substring_filter", "name": "words", "banlist_from_fname": f"baselines/{name}"}

    without = run_recipe([step], inputs, tmp_path / "without")
    assert without.as_dict()["not_applied"] == {"words": name}
    assert f"not applied: words, for {name} is not here (--lists)" in without.to_text()

    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / name).write_text("site4\n")
    given = run_recipe([step], inputs, tmp_path / "given", lists=tmp_path / "lists")
    assert given.as_dict()["not_applied"] == {}
    assert "not applied" not in given.to_text()
    assert given.funnel.pages_out < without.funnel.pages_out == 90
