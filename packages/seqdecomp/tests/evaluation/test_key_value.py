"""Retrieval of a value by its key: prompts, positions, losses."""

import pytest
from seqdecomp.evaluation.key_value import (
    KeyValuePrompt,
    KeyValueQuestion,
    evaluate_key_values,
    read_key_values,
)
from toolkit_shared.errors import InputError

PAIRS = [[f"k{number}", f"v{number}{number}"] for number in range(5)]
RECORD = {"ordered_kv_records": PAIRS, "key": "k2", "value": "v22"}


def test_the_wanted_pair_moves_and_the_others_keep_their_order(write_records):
    (question,) = read_key_values(write_records("kv.jsonl.gz", [RECORD]))
    assert question.position == 2
    moved = question.moved(4)
    assert [key for key, _ in moved.pairs] == ["k0", "k1", "k3", "k4", "k2"]
    assert [key for key, _ in question.moved(0, 3).pairs] == ["k2", "k0", "k1"]


def test_the_prompt_shows_the_pairs_as_one_object():
    question = KeyValueQuestion((("a", "1"), ("b", "2")), "b", "2")
    prompt = KeyValuePrompt(template="{formatted_kv_records}\n{key}:")
    assert prompt.render(question) == '{"a": "1",\n "b": "2"}\nb: "'


def test_a_value_is_retrieved_when_each_of_its_tokens_is_the_likeliest(write_records, reciting, tokenizer):
    (question,) = read_key_values(write_records("kv.jsonl", [RECORD]))
    prompt = KeyValuePrompt()
    known = prompt.render(question.moved(0)) + question.value
    result = evaluate_key_values(reciting(known), tokenizer, [question], positions=(0, 4))
    assert {place: found.accuracy.correct for place, found in result.by_position.items()} == {0: 1, 4: 0}
    assert result.accuracy.value == 0.5
    assert result.by_position[0].tokens == 3  # v, 2, 2: the quotation marks are not the value's
    assert result.by_position[0].loss_sum < 1e-6 < result.by_position[4].loss_sum


def test_the_value_loss_is_the_mean_over_the_values_tokens(
    write_records, bigram_scorer, tokenizer, expected_loss
):
    (question,) = read_key_values(write_records("kv.jsonl", [RECORD]))
    result = evaluate_key_values(bigram_scorer, tokenizer, [question])
    # a bigram model sees the quotation mark only
    expected = expected_loss('"', "v22")
    assert result.value_loss == pytest.approx(expected.mean(), rel=1e-5)
    assert tuple(result.by_position) == (0, 2, 4)


def test_published_numbers_of_pairs_have_their_published_positions(bigram_scorer, tokenizer):
    pairs = tuple((f"k{number}", "v") for number in range(75))
    result = evaluate_key_values(bigram_scorer, tokenizer, [KeyValueQuestion(pairs, "k3", "v")])
    assert tuple(result.by_position) == (0, 24, 49, 74)
    assert result.num_pairs == 75


def test_fewer_pairs_may_be_shown(bigram_scorer, tokenizer):
    question = KeyValueQuestion(tuple((a, b) for a, b in PAIRS), "k4", "v44")
    result = evaluate_key_values(bigram_scorer, tokenizer, [question], num_pairs=2)
    assert tuple(result.by_position) == (0, 1)
    with pytest.raises(InputError, match="num_pairs: 6 pairs asked for; the questions have 5"):
        evaluate_key_values(bigram_scorer, tokenizer, [question], num_pairs=6)
    with pytest.raises(InputError, match=r"positions: \(0, 5\) are not all within 0 to 4"):
        evaluate_key_values(bigram_scorer, tokenizer, [question], positions=(0, 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "v33"}, "the pair of 'key' and 'value' is not in ordered_kv_records; mend the record"),
        ({"ordered_kv_records": [*PAIRS, PAIRS[0]]}, "a key repeats in ordered_kv_records; mend the record"),
        ({"ordered_kv_records": [["a"]]}, "an entry of ordered_kv_records is no pair; mend the record"),
        ({"key": 1}, "needs ordered_kv_records (pairs), key and value (texts); mend the record"),
    ],
)
def test_a_wrong_record_is_refused_with_its_place(write_records, change, message):
    path = write_records("kv.jsonl", [{**RECORD, **change}])
    with pytest.raises(InputError) as error:
        read_key_values(path)
    assert str(error.value) == f"{path}: line 1: {message}"


def test_a_prompt_file_without_its_fields_is_refused():
    with pytest.raises(ValueError, match=r"template: lacks \{key\} or \{records\}"):
        KeyValuePrompt(template="{key}")
