"""The demonstration: every planted defect is found, and a defect that is not found is said to be so."""

import dataclasses
import json

import pytest
from dclm_bench.commands.demo import demo
from dclm_bench.evaluation.score_file import mismatches, read_score_file
from dclm_bench.experiment import demonstration
from dclm_bench.experiment.demonstration import demonstrate, find_problems, finish
from dclm_bench.experiment.demonstration_page import to_document, to_page, to_text
from dclm_bench.experiment.toy_scores import GAIN, write_toy_scores
from toolkit_shared.errors import InputError


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return demonstrate(tmp_path_factory.mktemp("demo"), pages=64, seed=2)


@pytest.mark.slow
def test_every_planted_defect_is_found_by_its_step(found):
    assert found.problems == ()
    assert {row.step: row.found for row in found.defects} == {row.step: row.planted for row in found.defects}
    assert all(row.planted for row in found.defects)
    assert all(row.precision > 0.9 for row in found.defects)


@pytest.mark.slow
def test_good_pages_are_kept_and_lost_ones_counted(found):
    assert found.good_kept == found.good > 20
    assert found.lost == found.unreadable > 0


@pytest.mark.slow
def test_the_page_that_is_explained_was_dropped_for_its_repetition(found):
    assert found.explanation.dropped_by.startswith("massive_web_repetition_filters.")
    assert "all rules that drop it" in to_text(found)


@pytest.mark.slow
def test_a_lower_limit_keeps_short_pages_and_loses_none(found):
    assert found.tried.gained > 0
    assert found.tried.lost == 0


@pytest.mark.slow
def test_what_was_kept_is_what_was_tokenised(found):
    assert found.tokens.documents == found.report.funnel.pages_out


@pytest.mark.slow
def test_the_report_is_one_page_with_pictures_that_needs_nothing_else(found):
    path = finish(found, to_page(found))
    page = path.read_text()
    assert path.name == "report.html"
    assert page.count("<img") == 2
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (found.out / "manifest.json").exists()
    json.dumps(to_document(found), allow_nan=False)


@pytest.mark.slow
def test_a_defect_that_is_not_found_is_a_problem(found):
    row = dataclasses.replace(found.defects[0], found=0)
    worse = dataclasses.replace(found, defects=(row, *found.defects[1:]), good_kept=0, lost=0)
    first, second, third = find_problems(worse)
    assert first == f"hard_url_words: found 0 of {row.planted} pages (banned-url)"
    assert second == f"kept 0 of {found.good} good pages"
    assert third.startswith("counted 0 pages as unreadable")
    assert "PROBLEM: hard_url_words" in to_text(dataclasses.replace(worse, problems=(first,)))


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError):
        demonstrate(tmp_path, pages=32)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="--seed: -1 is negative"):
        demo(seed=-1)


def test_made_up_scores_are_valid_files_of_a_known_gain(tmp_path):
    files = [read_score_file(path) for path in write_toy_scores(tmp_path)]
    assert [mismatches(file) for file in files] == [[], []]
    gains = [files[1].scores[name] - files[0].scores[name] for name in files[0].scores]
    assert all(0 < gain < 2 * GAIN for gain in gains)


def test_steps_that_are_there_for_a_defect_are_in_the_recipe():
    from dclm_bench.recipe import load_recipe

    names = {step.name for step in load_recipe(demonstration.RECIPE).steps}
    assert set(demonstration.CAUGHT_BY.values()) <= names
