"""The token-level ladder: no held-out text in an arm, rows of equal number, files read back."""

import dataclasses

import numpy as np
import pytest
from dclm_bench.experiment.configuration import settings_for
from dclm_bench.experiment.ladder import (
    hold_out_rated,
    ladder_split,
    random_same_bytes,
    share_rated,
)
from dclm_bench.experiment.ladder_questions import answer_ladder, questions_of
from dclm_bench.experiment.splits import draw_split
from dclm_bench.experiment.texts import PageTexts
from dclm_bench.experiment.token_arms import (
    ARTICLES,
    LADDER,
    RATED,
    TokenArms,
    equal_rows,
    held_out_rows,
    read_token_arms,
)
from toolkit_shared.errors import InputError

SETTINGS = settings_for("smoke")
PLAN = {"tokenizer": "bytes", "vocab_size": 258, "eot_id": 0, "seeds": []}


def page(name, source="page", *, english=True, good=None, text=None):
    text = text or " ".join(f"{name}{number}" for number in range(40))
    return PageTexts(
        id=name,
        source=source,
        main=text,
        all_text=f"menu {text}",
        trafilatura=None,
        gold=f"gold {text}" if source == "article" else None,
        good=good,
        english=english,
        filtered=text if name != "page1" else None,
        shares=(),
    )


def pages():
    rated = page("labelled0", "labelled", good=True)
    return [
        *(page(f"article{number}", "article") for number in range(12)),
        *(page(f"page{number}", english=number % 3 > 0) for number in range(40)),
        *(page(f"labelled{number}", "labelled", good=number < 10) for number in range(20)),
        page("copy", text=f"other words and {rated.main}"),
    ]


def arms_of(lengths):
    documents = [np.full(length, index + 1) for index, length in enumerate(lengths)]
    return TokenArms.of_documents(documents, [2 * length for length in lengths], PLAN)


# -- arms ---------------------------------------------------------------------------------------------------


def test_each_step_of_the_ladder_keeps_pages_of_the_one_before():
    arms = ladder_split(pages(), 0, SETTINGS, {}).experiments[LADDER]
    sizes = {arm: len(found) for arm, found in arms.items()}
    assert sizes["all-text"] == sizes["main-content"] > sizes["english"] > sizes["english+heuristics"]
    assert set(arms["deduplicated"]) <= set(arms["english+heuristics"]) <= set(arms["english"])
    assert not any(text.startswith("labelled") for text in arms["main-content"])


def test_pages_called_good_are_held_out_with_all_that_share_their_text():
    sharing = share_rated(pages())
    assert sharing["copy"] == ("labelled0",)
    split = next(
        found
        for found in (ladder_split(pages(), number, SETTINGS, sharing) for number in range(20))
        if "labelled0" in found.held_out[RATED]
    )
    assert len(split.held_out[RATED]) == 2
    trained = {text for arms in split.experiments.values() for found in arms.values() for text in found}
    assert not any(text.startswith("other words") for text in trained)
    assert trained.isdisjoint(split.held_out[RATED].values())
    assert split.num_shared == 1


def test_held_out_text_that_was_not_left_out_is_refused():
    # given a split that holds out the page, and nobody who says that another has its text
    splits = (draw_split(pages(), number, SETTINGS) for number in range(20))
    number = next(split.number for split in splits if "labelled0" in hold_out_rated(split, {})[0])
    with pytest.raises(InputError, match="holds 13 words in a row of the held-out page 'labelled0'"):
        ladder_split(pages(), number, SETTINGS, {})


def test_random_pages_stop_at_the_bytes_asked_for():
    pool = [f"{number:04d}" for number in range(50)]
    assert len(random_same_bytes(pool, 0, 40)) == 10
    assert len(random_same_bytes(pool, 0, 41)) == 11
    assert random_same_bytes(pool, 0, 41) != random_same_bytes(pool, 1, 41)
    assert sorted(random_same_bytes(pool, 0, 10_000)) == pool


# -- rows ---------------------------------------------------------------------------------------------------


def test_an_epoch_of_rows_is_the_stream_of_documents_with_their_ends():
    arms = arms_of([7, 8])
    found = equal_rows(arms, {"a": [0, 1]}, seed=0, length=4, batch_size=1, max_tokens=16)
    # 7 + 1 + 8 + 1 tokens make four rows of 4 and a target
    assert found.pool_tokens == {"a": 17}
    assert found.epochs == {"a": 1.0}
    rows = sorted(found.rows["a"].tolist())
    one, two = [1] * 7 + [0], [2] * 8 + [0]
    streams = [[*one, *two], [*two, *one]]
    assert rows in [sorted(stream[start : start + 5] for start in (0, 4, 8, 12)) for stream in streams]


def test_all_arms_get_the_rows_of_four_epochs_of_the_smallest():
    arms = arms_of([400, 41])
    found = equal_rows(arms, {"large": [0], "small": [1]}, seed=0, length=10, batch_size=3, max_tokens=10_000)
    # 41 tokens give four rows; 4 epochs are 16, in batches of three 15
    assert {arm: rows.shape for arm, rows in found.rows.items()} == {"large": (15, 11), "small": (15, 11)}
    assert found.epochs == {"large": 15 / 40, "small": 15 / 4}
    values, counts = np.unique(found.rows["small"][:, 0], return_counts=True)
    assert values.tolist() == [2]
    assert counts.tolist() == [15]


def test_equal_documents_give_equal_rows_and_another_seed_gives_others():
    arms = arms_of(list(range(20, 60)))
    options = {"length": 8, "batch_size": 2, "max_tokens": 3_000}
    found = equal_rows(arms, {"a": range(40), "b": range(40)}, seed=0, **options)
    other = equal_rows(arms, {"a": range(40)}, seed=1, **options)
    assert np.array_equal(found.rows["a"], found.rows["b"])
    assert not np.array_equal(found.rows["a"], other.rows["a"])


def test_an_arm_without_a_step_is_refused():
    with pytest.raises(InputError, match="arm 'small': 5 tokens give no step of 8 x 16"):
        equal_rows(
            arms_of([500, 4]), {"a": [0], "small": [1]}, seed=0, length=16, batch_size=8, max_tokens=999
        )


def test_every_held_out_token_is_a_target_once_after_the_end_of_another_text():
    found = held_out_rows(arms_of([10, 3]), {"d": {"one": 0, "two": 1}}, length=4, batch_size=8)
    assert found.inputs.shape == found.targets.shape == (8, 4)
    assert found.inputs[0].tolist() == [0, 1, 1, 1]
    assert found.targets[2].tolist() == [1, 1, -100, -100]
    assert found.inputs[3].tolist() == [0, 2, 2, 0]
    assert (found.targets == 1).sum() == 10
    assert (found.targets == 2).sum() == 3
    assert found.owners[:4].tolist() == [0, 0, 0, 1]
    assert found.num_bytes.tolist() == [20, 6]
    assert found.pages == [("d", "one"), ("d", "two")]


# -- files --------------------------------------------------------------------------------------------------


def test_a_file_of_arms_is_read_back(tmp_path):
    arms = arms_of([5, 0, 3])
    arms.write(tmp_path / "arms.npz")
    again = read_token_arms(tmp_path / "arms.npz")
    assert again.plan == PLAN
    assert [again.document(index).tolist() for index in range(3)] == [[1] * 5, [], [3] * 3]


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file; make one with benchmarks"):
        read_token_arms(tmp_path / "arms.npz")
    (tmp_path / "arms.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="is no file of arms"):
        read_token_arms(tmp_path / "arms.npz")
    dataclasses.replace(arms_of([5]), bounds=np.array([0, 6])).write(tmp_path / "arms.npz")
    with pytest.raises(InputError, match="is no file of arms"):
        read_token_arms(tmp_path / "arms.npz")


def test_ids_above_sixteen_bits_are_refused():
    with pytest.raises(InputError, match="100,000 ids do not fit 16 bits"):
        TokenArms.of_documents([np.arange(3)], [3], {**PLAN, "vocab_size": 100_000})


# -- training and questions ---------------------------------------------------------------------------------


def run_of(seed, gain):
    rng = np.random.default_rng(seed)
    level = {f"page{number}": 3 + float(rng.random()) for number in range(8)}
    better = {name: value - gain - 0.01 * float(rng.random()) for name, value in level.items()}
    bits = {"all-text": {ARTICLES: level}, "main-content": {ARTICLES: better}}
    same = dict.fromkeys(bits, 1.0)
    entry = {"tokens": 100, "epochs": same, "pool_tokens": same, "pool_pages": same, "bits": bits}
    return {"model": "11m", "seed": seed, "experiments": {LADDER: entry}}


@pytest.mark.parametrize(("gain", "verdict"), [(0.1, "holds"), (-0.1, "fails")])
def test_a_known_gain_is_the_answer(gain, verdict):
    ((one, note),) = answer_ladder([run_of(seed, gain) for seed in range(5)])
    assert one.answer.question.name == "11m-main-content-against-all-text"
    assert one.answer.verdict == verdict
    assert one.answer.effect == pytest.approx(-gain - 0.005, abs=0.002)
    assert "5 seeds and 8 held-out pages" in note


def test_names_of_questions_are_different():
    names = [asked.question.name for model in ("11m", "79m") for _, asked in questions_of(model)]
    assert len(set(names)) == len(names)


def test_training_starts_anew_and_bits_are_those_of_the_logits():
    import torch
    from dclm_bench.experiment.ladder_training import LadderBudget, LadderModel, LadderTrainer

    budget = LadderBudget(512, length=8, batch_size=4, evaluation_batch_size=4)
    trainer = LadderTrainer(LadderModel("tiny", 16, 1, 2), 258, budget, "cpu")
    arms = arms_of([300, 9])
    rows = equal_rows(arms, {"a": [0]}, seed=1, length=8, batch_size=4, max_tokens=512).rows["a"]
    held_out = held_out_rows(arms, {"d": {"two": 1}}, length=8, batch_size=4)

    trainer.train(rows[:4], seed=1)
    first = trainer.train(rows, seed=1)
    found = trainer.bits_per_byte(held_out)
    assert trainer.train(rows[:4], seed=1) > first  # it learns
    trainer.train(rows, seed=1)
    assert np.array_equal(trainer.bits_per_byte(held_out), found)

    nats = 0.0
    for inputs, targets in (([0] + [2] * 7, [2] * 8), ([2], [2])):
        with torch.no_grad():
            logits = trainer.model(torch.tensor([inputs]))[0].double()
        nats -= float(torch.log_softmax(logits, -1)[range(len(targets)), targets].sum())
    assert found.tolist() == pytest.approx([nats / np.log(2) / 18], rel=1e-5)
    assert trainer.arguments["vocab_size"] == 512
