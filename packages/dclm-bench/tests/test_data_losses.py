import pytest
from dclm_bench.data.losses import MAX_EXAMPLES, Losses
from toolkit_shared.errors import InputError
from toolkit_shared.records import BadRecord


def test_losses_are_counted_by_reason_with_the_first_few_examples():
    losses = Losses()
    for number in range(10):
        losses.lose("not UTF-8", f"record {number}", "byte 3", damaged=False)
    losses.note("page without text", "record 11")
    losses.on_bad(BadRecord("a.jsonl", "line 4", "no JSON"))
    assert losses.lost == {"not UTF-8": 10, "corrupt record": 1}
    assert losses.num_lost == 11
    assert len(losses.examples) == MAX_EXAMPLES + 2
    assert losses.damaged == "a.jsonl, line 4: corrupt record (no JSON)"
    assert list(losses.to_json()["lost"]) == ["not UTF-8", "corrupt record"]


def test_counts_of_shards_add_up_and_keep_few_examples():
    one, two = Losses(), Losses()
    for losses in (one, two):
        for number in range(4):
            losses.lose("x", f"record {number}")
    total = Losses()
    total.add(one)
    total.add(two.to_json())
    assert total.lost == {"x": 8}
    assert len(total.examples) == MAX_EXAMPLES


def test_strict_losses_raise_at_damage_only():
    losses = Losses(strict=True)
    losses.lose("not UTF-8", "record 1", damaged=False)
    with pytest.raises(InputError, match=r"^record 2: broken gzip data \(bad\); mend or remove it"):
        losses.lose("broken gzip data", "record 2", "bad")
