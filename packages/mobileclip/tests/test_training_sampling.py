"""What of a reinforced pair is used when it is seen."""

from collections import Counter

import numpy as np
import pytest
from mobileclip.reinforcement.store import Counts
from mobileclip.settings import ReinforcementSettings
from mobileclip.training.sampling import draw, take
from reinforced_pairs import open_store, reinforcement
from toolkit_shared.errors import InputError

COUNTS = Counts(augmentations=3, captions=2, synthetic=4)


def draws(settings, *, epochs=600, groups=None, key="a", seed=0):
    return [draw(key, COUNTS, settings, seed=seed, epoch=epoch, groups=groups) for epoch in range(epochs)]


def test_everything_is_drawn_evenly_and_apart_from_the_rest():
    found = Counter((one.augmentation, one.caption, one.synthetic) for one in draws(ReinforcementSettings()))
    assert len(found) == 3 * 2 * 4
    assert max(found.values()) < 3 * 600 / 24


def test_a_draw_depends_on_seed_key_and_epoch():
    settings = ReinforcementSettings()
    assert draws(settings) == draws(settings)
    assert draws(settings) != draws(settings, key="b")
    assert draws(settings) != draws(settings, seed=1)


def test_one_mode_does_not_change_what_the_others_draw():
    plain, mixed = draws(ReinforcementSettings()), draws(ReinforcementSettings(synthetic="mix"))
    assert [one.augmentation for one in plain] == [one.augmentation for one in mixed]
    assert [one.caption for one in plain] == [one.caption for one in mixed]


def test_in_sequence_the_epoch_tells_the_number():
    found = draws(ReinforcementSettings(sampling="sequential"), epochs=5)
    assert [one.augmentation for one in found] == [0, 1, 2, 0, 1]
    assert [one.caption for one in found] == [0, 1, 0, 1, 0]
    assert [one.synthetic for one in found] == [0, 1, 2, 3, 0]


def test_mixing_replaces_the_real_caption_at_its_ratio():
    found = draws(ReinforcementSettings(synthetic="mix", mix_ratio=0.25))
    share = sum(one.replaces for one in found) / len(found)
    assert abs(share - 0.25) < 0.06
    assert all((one.synthetic is not None) == one.replaces for one in found)
    never, always = (ReinforcementSettings(synthetic="mix", mix_ratio=ratio) for ratio in (0.0, 1.0))
    assert not any(one.replaces for one in draws(never))
    assert all(one.replaces for one in draws(always))


def test_a_captioner_is_drawn_before_its_caption():
    found = Counter(one.synthetic for one in draws(ReinforcementSettings(), groups=[("a", 1), ("b", 3)]))
    assert abs(found[0] / 600 - 0.5) < 0.07


def test_captions_of_unwanted_captioners_are_not_used():
    settings = ReinforcementSettings(caption_groups="syn_text_b")
    found = {one.synthetic for one in draws(settings, groups=[("syn_text_a", 1), ("syn_text_b", 3)])}
    assert found == {1, 2, 3}
    with pytest.raises(
        InputError, match=r"sample a: has no synthetic captions of 'syn_text_b' \(it has: x\)"
    ):
        draws(settings, groups=[("x", 4)])


def test_rows_belong_to_the_augmentation_and_the_captions_that_are_used(tmp_path):
    store = open_store(tmp_path / "store")
    settings = ReinforcementSettings()
    for epoch in range(12):
        sample = reinforcement(2)
        chosen = draw("0002", store.counts(2), settings, seed=0, epoch=epoch)
        taken = take(store, 2, chosen)
        assert taken.augmentation == sample.augmentations[chosen.augmentation]
        assert taken.caption == sample.captions[chosen.caption]
        assert taken.synthetic == sample.synthetic_captions[chosen.synthetic]
        rows = taken.embeddings
        assert np.array_equal(rows["teacher_images"], sample.image_embeddings[chosen.augmentation])
        assert np.array_equal(rows["teacher_texts"], sample.text_embeddings[chosen.caption])
        assert np.array_equal(rows["teacher_synthetic_texts"], sample.synthetic_embeddings[chosen.synthetic])


def test_a_mixed_in_caption_brings_its_own_row(tmp_path):
    store = open_store(tmp_path / "store")
    chosen = draw(
        "0001", store.counts(1), ReinforcementSettings(synthetic="mix", mix_ratio=1.0), seed=0, epoch=3
    )
    taken, sample = take(store, 1, chosen), reinforcement(1)
    assert (taken.caption, taken.synthetic) == (sample.synthetic_captions[chosen.synthetic], None)
    assert set(taken.embeddings) == {"teacher_images", "teacher_texts"}
    assert np.array_equal(taken.embeddings["teacher_texts"], sample.synthetic_embeddings[chosen.synthetic])


def test_without_synthetic_captions_there_is_one_stream(tmp_path):
    store = open_store(tmp_path / "store")
    chosen = draw("0001", store.counts(1), ReinforcementSettings(synthetic="none"), seed=0, epoch=0)
    taken = take(store, 1, chosen)
    assert taken.synthetic is None
    assert set(taken.embeddings) == {"teacher_images", "teacher_texts"}
