"""The tally of what could not be used."""

from pathlib import Path

import pytest
from toolkit_shared.errors import InputError
from toolkit_shared.images import BadImage
from toolkit_shared.losses import MAX_EXAMPLES, Losses
from toolkit_shared.records import BadRecord


def test_losses_are_counted_by_reason_with_the_first_five_of_each() -> None:
    losses = Losses()
    for i in range(7):
        losses.lose_error(BadImage("truncated", f"a.tar, sample {i}", "OSError"))
    losses.on_bad(BadRecord(Path("b.tar"), "byte 512", "the header is corrupt"))
    losses.note("no end mark", "b.tar")

    assert losses.num_lost == 8
    assert losses.to_text() == "8 lost (7 truncated, 1 corrupt record)"
    assert losses.damaged == "a.tar, sample 0: truncated (OSError)"
    value = losses.to_json()
    assert value["lost"] == {"truncated": 7, "corrupt record": 1}
    assert value["noted"] == {"no end mark": 1}
    assert [example["place"] for example in value["examples"]] == [
        *(f"a.tar, sample {i}" for i in range(5)),
        "b.tar, byte 512",
        "b.tar",
    ]


def test_tallies_add_up_whether_they_come_from_a_file_or_not() -> None:
    part = Losses()
    part.lose("empty", "a")
    total = Losses()
    total.add(part)
    total.add(part.to_json())

    assert total.lost == {"empty": 2}
    assert Losses().to_text() == "nothing lost"


def test_counts_of_parts_add_up_and_keep_few_examples() -> None:
    one, two = Losses(), Losses()
    for losses in (one, two):
        for number in range(4):
            losses.lose("x", f"record {number}")
    total = Losses()
    total.add(one)
    total.add(two.to_json())

    assert total.lost == {"x": 8}
    assert len(total.examples) == MAX_EXAMPLES


def test_strict_stops_at_damage_and_only_there() -> None:
    losses = Losses(strict=True)
    losses.lose("another encoding", "a", damaged=False)

    with pytest.raises(InputError, match="b: empty; mend or remove it, or leave out --strict"):
        losses.lose("empty", "b")
    assert losses.lost == {"another encoding": 1}
