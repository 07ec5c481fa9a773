"""Which pairs a run trains on, found out before its first step, and which it leaves out and why."""

import dataclasses
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path, write_text
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.images import BadImage, decode_image, image_size
from toolkit_shared.losses import Losses
from toolkit_shared.pairs import BadPair, Pair, PairSource, open_pairs

from mobileclip.reinforcement.dropped import Dropped
from mobileclip.reinforcement.sample import BadReinforcement, Reinforcement, check_reinforcement
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.replay.augmentation import same_aspect
from mobileclip.settings import CheckSettings, ReinforcementSettings
from mobileclip.training.sampling import wanted_groups

PLAN = "plan.npz"
DROPPED = "dropped.jsonl"
PAIRS_PER_UNIT = 256
NO_SYNTHETIC = "no synthetic caption of the wanted captioners"
OTHER_CAPTIONS = "other captions than the stored ones"
_ADVICE = {
    NO_SYNTHETIC: ", another --reinforced.caption-groups, or --reinforced.synthetic none",
    OTHER_CAPTIONS: ", or --checks.mismatched-captions keep where the images are those of the store",
}


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where the pairs and their reinforcements lie, so that every process can open them for itself.

    Attributes:
        pairs: As `open_pairs` takes it.
        store: Folder of the store; None: there is none.
        image_field: Of a table's images; None: the usual names.
        caption_field: Likewise.
    """

    pairs: Path
    store: Path | None = None
    image_field: str | None = None
    caption_field: str | None = None

    def open(self, losses: Losses | None = None) -> tuple[PairSource, ReinforcedStore | None]:
        """Both, opened; what is damaged in the lists of pairs is counted in `losses`."""
        pairs = open_pairs(
            self.pairs,
            image_field=self.image_field,
            caption_field=self.caption_field,
            require_captions=self.store is None,  # else the store has them
            losses=losses or Losses(),
        )
        return pairs, None if self.store is None else ReinforcedStore.open(self.store)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run trains on.

    Attributes:
        pairs: Numbers of the pairs in their source, int64 [kept].
        stored: Numbers of their reinforcements in the store, int64 [kept]; -1 without a store.
        dropped: The others.
        without_image: Reinforcements to which no pair belongs.
        several_captioners: Whether a kept pair has synthetic captions of more than one captioner.
    """

    pairs: npt.NDArray[np.int64]
    stored: npt.NDArray[np.int64]
    dropped: tuple[Dropped, ...]
    without_image: int = 0
    several_captioners: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Dropped pairs by reason."""
        return dict(sorted(Counter(one.reason for one in self.dropped).items()))

    def write(self, folder: Path) -> None:
        """Keep the plan in a run's folder: numbers in `plan.npz`, a line for every dropped pair."""
        lines = [json.dumps(dataclasses.asdict(one), ensure_ascii=False) for one in self.dropped]
        write_text(folder / DROPPED, "".join(f"{line}\n" for line in lines))
        numbers = [self.without_image, int(self.several_captioners)]
        with atomic_path(folder / PLAN) as temporary, temporary.open("wb") as file:
            np.savez(file, pairs=self.pairs, stored=self.stored, numbers=np.array(numbers))

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """The plan in a run's folder.

        Raises:
            FileNotFoundError: there is none yet.
        """
        with np.load(folder / PLAN, allow_pickle=False) as arrays:
            pairs, stored = arrays["pairs"], arrays["stored"]
            without_image, several = arrays["numbers"].tolist()
        lines = (folder / DROPPED).read_text(encoding="utf-8").splitlines()
        dropped = tuple(Dropped(**json.loads(line)) for line in lines)
        return cls(pairs, stored, dropped, without_image, bool(several))


# number of the pair, its key, its number in the store, how many captioners it has captions of, and its fault
Checked = tuple[int, str, int, int, Dropped | None]


def make_plan(
    sources: Sources,
    settings: CheckSettings,
    reinforced: ReinforcementSettings | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Plan:
    """Look at every pair once, and say which of them can be trained on.

    Left out are pairs without an entry in the store, without a caption where there is no store, with a key
    that came before, with an image that cannot be decoded, with an image of another size than the one for
    which its crops were stored, with other captions than the stored ones, without the synthetic captions
    that are wanted, and with stored rows that are no unit vectors. Nothing is replaced by another pair.

    Args:
        sources: Pairs and store.
        settings: How closely to look, and what to do with images of another size.
        reinforced: What will be drawn of a store; None: the usual.
        workers: Processes; the plan is the same for any number.
        progress: Called with the number of pairs done since the last call.

    Raises:
        InputError: no pair is left; or, when strict, a pair cannot be used.
    """
    losses = Losses(strict=settings.strict)
    pairs, store = sources.open(losses)
    _opened.cache_clear()  # the files may have changed since an earlier plan of this process
    units = [
        (start, min(start + PAIRS_PER_UNIT, block.stop))
        for block in pairs.blocks()
        for start in range(block.start, block.stop, PAIRS_PER_UNIT)
    ]
    kept, stored_of_kept, matched = array("q"), array("q"), array("q")
    dropped = [
        Dropped("", f"in the lists of pairs: {reason}", str(sources.pairs))
        for reason, count in losses.lost.items()
        for _ in range(count)
    ]
    seen: set[str] = set()
    several = False
    check = partial(_check_unit, sources, settings, reinforced or ReinforcementSettings())
    for unit in map_shards(check, units, workers=max(1, workers)):
        for number, key, stored, captioners, fault in unit:
            if stored >= 0:
                matched.append(stored)
            if fault is None and key in seen:
                fault = Dropped(key, "key seen before", f"pair number {number}")
            if fault is None:
                seen.add(key)
                kept.append(number)
                stored_of_kept.append(stored)
                several = several or captioners > 1
                continue
            if settings.strict:
                raise InputError(
                    f"{sources.pairs}: {fault.key}: {fault.reason} ({fault.detail}); mend or remove it, or "
                    "leave out --checks.strict to count such pairs and go on"
                )
            dropped.append(fault)
        if progress is not None:
            progress(len(unit))
    without_image = 0 if store is None else len(store) - len(np.unique(np.array(matched)))
    plan = Plan(
        np.array(kept, np.int64), np.array(stored_of_kept, np.int64), tuple(dropped), without_image, several
    )
    if not kept:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in plan.counts.items()) or "none is there"
        advice = "".join(text for reason, text in _ADVICE.items() if reason in plan.counts)
        advice = f"give pairs that belong together{advice}"
        raise InputError(f"{sources.pairs}: no pair can be used ({reasons}); {advice}")
    return plan


@lru_cache(maxsize=2)
def _opened(sources: Sources) -> tuple[PairSource, ReinforcedStore | None]:
    return sources.open()


def _check_unit(
    sources: Sources, settings: CheckSettings, reinforced: ReinforcementSettings, unit: tuple[int, int]
) -> list[Checked]:
    """What was found of the pairs `unit[0]` to `unit[1]`."""
    return list(_checked(sources, settings, reinforced, *unit))


def _checked(
    sources: Sources, settings: CheckSettings, reinforced: ReinforcementSettings, start: int, end: int
) -> Iterator[Checked]:
    pairs, store = _opened(sources)
    for number in range(start, end):
        try:
            pair = pairs[number]
        except BadPair as error:
            name = f"number {number}"
            yield number, name, -1, 0, Dropped(name, error.reason, str(error))
            continue
        stored = None if store is None else store.index_of(pair.key)
        if store is not None and stored is None:
            yield number, pair.key, -1, 0, Dropped(pair.key, "not in the store", str(sources.store))
            continue
        sample = None if store is None or stored is None else store[stored]
        captioners = 0 if sample is None else len(sample.groups)
        number_in_store = -1 if stored is None else stored
        fault = check_pair(pair, sample, settings)
        if fault is None and sample is not None:
            fault = _check_reinforcement(pair, sample, settings, reinforced)
        yield number, pair.key, number_in_store, captioners, fault


def check_pair(pair: Pair, reinforcement: Reinforcement | None, settings: CheckSettings) -> Dropped | None:
    """What is wrong with a pair and its image, or None."""
    if reinforcement is None and not any(caption.strip() for caption in pair.captions):
        return Dropped(pair.key, "no caption", pair.where)
    try:
        if settings.images == "decode":
            size = decode_image(pair.image, where=pair.where).size
        else:
            size = image_size(pair.image, where=pair.where)
    except BadImage as error:
        return Dropped(pair.key, f"image: {error.reason}", str(error))
    return None if reinforcement is None else _check_size(pair, size, reinforcement, settings)


def _check_size(
    pair: Pair, size: tuple[int, int], reinforcement: Reinforcement, settings: CheckSettings
) -> Dropped | None:
    stored = reinforcement.image_size
    if stored is not None and stored != size:
        detail = f"{pair.where}: {_by(size)}, the crops are of {_by(stored)}"
        if settings.mismatched_sizes == "drop":
            return Dropped(pair.key, "image of another size than the stored crops", detail)
        if not same_aspect(stored, size):
            return Dropped(pair.key, "image of another aspect than the stored crops", detail)
        return None
    for augmentation in reinforcement.augmentations:
        try:
            augmentation.require_inside(*size)
        except InputError as error:
            return Dropped(pair.key, "crop outside the image", f"{pair.where}: {error}")
    return None


def _check_reinforcement(
    pair: Pair, sample: Reinforcement, settings: CheckSettings, reinforced: ReinforcementSettings
) -> Dropped | None:
    """What is wrong with captions and rows, or None."""
    found = {caption.strip() for caption in pair.captions} - {""}
    stored = {caption.strip() for caption in sample.captions}
    if found and not found & stored and settings.mismatched_captions == "drop":
        detail = f"{pair.where}: {min(found)[:60]!r}, stored {min(stored)[:60]!r}"
        return Dropped(pair.key, OTHER_CAPTIONS, detail)
    if reinforced.synthetic != "none" and not wanted_groups(sample.groups, reinforced.caption_groups):
        names = ", ".join(name for name, _ in sample.groups) or "none"
        return Dropped(pair.key, NO_SYNTHETIC, f"wanted: {reinforced.caption_groups}, stored: {names}")
    if settings.images == "decode":  # else the rows are looked at when they are drawn
        try:
            check_reinforcement(sample)
        except BadReinforcement as error:
            return Dropped(pair.key, f"stored rows: {error.reason}", error.detail)
    return None


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def describe(plan: Plan, pairs: PairSource) -> str:
    """One line: how many pairs are used, how many are not and why."""
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in plan.counts.items())
    text = f"{len(plan.pairs):,} of {len(pairs):,} pairs are used"
    if reasons:
        text += f"; dropped: {reasons}"
    if plan.without_image:
        text += f"; {plan.without_image:,} reinforcements have no pair"
    return text


def without_content(settings: CheckSettings) -> dict[str, Any]:
    """The settings on which the kept pairs depend, for the record of a run."""
    values = dataclasses.asdict(settings)
    del values["strict"]
    return values
