import re

import pytest
from llm_compat.arms import ARMS, arm_named
from toolkit_shared.errors import InputError


def test_the_papers_arms_and_the_controls_are_there():
    paper = ["muscle", "v1_correct", "kd_old", "ce+muscle", "ce+ll_token", "ce+ll_seq"]
    assert list(ARMS)[:8] == [*paper, "ce_more", "kd_new"]
    assert list(ARMS)[8:] == ["pct", "pct_l2", "xie", "new_error", "task"]
    assert [ARMS[name].cross_entropy for name in paper] == [False, False, False, True, True, True]


def test_each_arm_says_which_teachers_it_reads():
    read = {name: "on"[not arm.needs_old :][: arm.needs_new + arm.needs_old] for name, arm in ARMS.items()}
    both, old, new, neither = "on", "o", "n", ""
    assert read == {
        "muscle": both, "v1_correct": both, "kd_old": old, "ce+muscle": both, "ce+ll_token": both,
        "ce+ll_seq": both, "ce_more": neither, "kd_new": new, "pct": old, "pct_l2": old, "xie": old,
        "new_error": old, "task": neither,
    }  # fmt: skip


def test_only_the_task_arm_starts_from_a_fresh_adapter():
    assert [name for name, arm in ARMS.items() if arm.starts_from == "fresh"] == ["task"]


def test_lambda_splits_the_weight_between_the_two_terms():
    arm = arm_named("ce+ll_token").adjusted(distillation_weight=0.75, temperature=3)

    assert arm.divergence_weights == (0.75, 0.75)
    assert arm.cross_entropy_weights == (0.25, 0.25)
    assert arm.temperature == 3
    assert arm_named("ce+ll_token").divergence_weights == (0.5, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: arm_named("muscel"),
            "arm: 'muscel' is not one of muscle, v1_correct, kd_old, ce+muscle, ce+ll_token, ce+ll_seq, "
            "ce_more, kd_new, pct, pct_l2, xie, new_error, task; nearest: 'muscle'",
        ),
        (
            lambda: arm_named("ensemble"),
            "arm: 'ensemble' is two models at inference, and nothing is trained for it",
        ),
        (
            lambda: arm_named("muscle").adjusted(distillation_weight=0.5),
            "distillation_weight: arm 'muscle' has no such weight; leave it out, or take ce+muscle, "
            "ce+ll_token, ce+ll_seq",
        ),
        (
            lambda: arm_named("ce+muscle").adjusted(distillation_weight=1.5),
            "distillation_weight: 1.5 is not from 0 to 1",
        ),
        (
            lambda: arm_named("muscle").adjusted(temperature=0),
            "temperature: 0 is not positive; the paper's is 2",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(call, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        call()
