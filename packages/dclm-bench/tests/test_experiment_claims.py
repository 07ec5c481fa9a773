"""The whole experiment on generated pages: its files, its resumption, its exit codes."""

import json
import re
from pathlib import Path

import pytest
from dclm_bench.commands.claims import claims
from dclm_bench.experiment.claims import run_claims
from dclm_bench.experiment.configuration import settings_for
from dclm_bench.experiment.questions import answer_all
from dclm_bench.experiment.report import passes, run_and_report
from dclm_bench.experiment.sample_data import write_sample_data
from toolkit_shared.errors import InputError
from toolkit_shared.results import read_results

SETTINGS = settings_for("smoke")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_sample_data(folder, pages=120)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("claims")
    return out, run_claims(out, data=data, splits=2, settings=SETTINGS)


def measured(runs):
    """All that a run measured; its time is another each time."""
    return {
        number: {name: value for name, value in run.items() if name != "seconds"}
        for number, run in runs.items()
    }


@pytest.mark.slow
def test_every_experiment_has_its_arms_on_equal_bytes(finished):
    _, runs = finished
    found = runs.splits[0]["experiments"]
    assert set(found) == {
        *("extraction", "language", "heuristics", "dedup"),
        *("classifier-10", "classifier-20", "classifier-50"),
    }
    assert set(found["classifier-20"]["bits"]) == {
        *("random-20", "classifier-20", "length-20", "perplexity-20")
    }
    for experiment in found.values():
        assert {len(bits) for bits in experiment["bits"].values()} == {runs.splits[0]["held_out"]}
        assert all(0 < value < 8 for bits in experiment["bits"].values() for value in bits.values())
    assert set(runs.splits[0]["quality"]) == {"classifier", "supervised"}
    assert set(runs.witnesses[0]["experiments"]) == {"extraction", "language"}


@pytest.mark.slow
def test_an_interrupted_call_goes_on_and_gives_the_same(finished, data, tmp_path):
    out, runs = finished
    (tmp_path / "runs").mkdir()
    for name in ("texts.jsonl", "counts.json", "runs/split-001.json"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    manifest = json.loads((out / "manifest.json").read_text())
    job = {key: manifest[key] for key in ("kind", "config") if key in manifest}
    (tmp_path / "job.json").write_text(json.dumps(job))
    again = run_claims(tmp_path, data=data, splits=2, settings=SETTINGS)
    assert measured(again.splits) == measured(runs.splits)
    assert again.splits[1]["seconds"] == runs.splits[1]["seconds"]  # not done again


@pytest.mark.slow
def test_other_data_or_sizes_do_not_mix_with_finished_runs(finished, data):
    out, _ = finished
    with pytest.raises(InputError, match="splits"):
        run_claims(out, data=data, splits=3, settings=SETTINGS)


@pytest.mark.slow
def test_results_are_written_with_the_interval_behind_the_verdict(finished, data, tmp_path):
    out, runs = finished
    found = run_and_report(
        out,
        data=data,
        splits=2,
        settings=SETTINGS,
        workers=1,
        resume=True,
        overwrite=False,
        results=tmp_path,
        command="dclm-bench claims",
    )
    results = read_results(tmp_path)
    names = {result.question.removeprefix("claims-") for result in results.values()}
    assert {one.asked.question.name for one in answer_all(runs.splits, runs.witnesses)} <= names
    gated = [one for one in results.values() if one.question == "claims-deduplicated-against-copies"]
    assert re.match(r"verdict by [+-]\d\.\d+, 99 % interval .* two-way over 2 splits", gated[0].note)
    assert found.document["passed"] is False
    assert "gated claims, at p < 0.01: NOT all hold" in found.text
    assert json.loads((out / "summary.json").read_text()) == found.document
    assert (out / "index.html").read_text().count("<img") >= 8


@pytest.mark.slow
def test_the_smoke_scale_needs_no_data_and_gives_no_verdict(tmp_path, capsys):
    assert claims(out=tmp_path / "out", workers=1, json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is None
    assert document["answers"] == []
    assert not (tmp_path / "out" / "results").exists()


def test_no_gated_answer_is_no_pass():
    assert not passes([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "cpu"}, "--data: is missing; give a folder with articles/"),
        ({"scale": "smoke", "data": Path("data")}, "--data: --scale smoke makes its own pages"),
        ({"data": Path("data"), "splits": 1}, "--splits: 1 gives no interval; give 2 or more"),
        ({"data": Path("data"), "workers": 0}, "--workers: 0 is not positive"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        claims(**options)
