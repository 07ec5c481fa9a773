"""The batches of a run, one item a step: replayed images, tokens, and the teachers' stored rows."""

from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from toolkit_shared.errors import InputError
from toolkit_shared.images import BadImage, decode_image
from toolkit_shared.loading import PositionedSampler, load_batches
from toolkit_shared.pairs import PairSource, shuffled_order
from toolkit_shared.randomness import stream
from torch import Tensor
from torch.utils.data import Dataset

from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.replay import Augmentation, AugmentationSettings, draw_augmentation, normalize_image, replay
from mobileclip.settings import ReinforcementSettings
from mobileclip.tokenization import ClipTokenizer
from mobileclip.training.plan import Plan
from mobileclip.training.sampling import draw, take

Batch = dict[str, Any]
# "weak" is open_clip's default for training; "strong" is what the released sets were augmented with
AUGMENTATIONS = {
    "weak": AugmentationSettings(scale=(0.9, 1.0), probability=0.0),
    "strong": AugmentationSettings(),
}


class PairOrder:
    """Which kept pair stands at which position of a run: an order of its own for every epoch.

    Args:
        pairs: The source, whose blocks are mixed a few at a time.
        plan: Which of its pairs are kept.
        seed: Of the order.
    """

    def __init__(self, pairs: PairSource, plan: Plan, *, seed: int) -> None:
        self.pairs, self.plan, self.seed = pairs, plan, seed
        self._epoch = -1

    def at(self, positions: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
        """Epoch and number in the plan of each position."""
        epochs, places = np.divmod(positions, len(self.plan.pairs))
        pairs = zip(epochs.tolist(), places.tolist(), strict=True)
        return [(epoch, int(self._order(epoch)[place])) for epoch, place in pairs]

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch != self._epoch:
            self._epoch = epoch
            numbers = np.full(len(self.pairs), -1, np.int64)
            numbers[self.plan.pairs] = np.arange(len(self.plan.pairs))
            order = numbers[shuffled_order(self.pairs, seed=self.seed, epoch=epoch)]
            self._kept: npt.NDArray[np.int64] = order[order >= 0]
        return self._kept


class StepDataset(Dataset[Batch]):
    """The batches of a run for one process.

    An item has `images` (float32 [rows, 3, size, size]), `texts` and, with a second stream,
    `synthetic_texts` (int64 [rows, tokens]); with a store `teacher_images`, `teacher_texts` and
    `teacher_synthetic_texts` (float32 [rows, width of all teachers]); for teachers that run along
    `teacher_views`, by image size (uint8 [rows, size, size, 3]), and `captions`, the texts of each stream.
    Row i of all belongs to one pair.

    Args:
        pairs: Images, and captions where there is no store.
        store: Reinforcements; None: augmentations are drawn afresh.
        plan: Which pairs are used.
        steps: Optimizer steps.
        batch_size: Pairs of a step, all processes together.
        seed: Of order and draws.
        image_size: Of the student.
        mean: Normalisation of the student's images.
        std: Likewise.
        context_length: Tokens of a text.
        settings: What is drawn of a reinforcement.
        augmentation: "stored", or "weak" or "strong" afresh.
        scale_crops: Scale stored crops to images of another resolution.
        teacher_sizes: Image sizes of teachers that run along.
        rank: This process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        pairs: PairSource,
        store: ReinforcedStore | None,
        plan: Plan,
        *,
        steps: int,
        batch_size: int,
        seed: int,
        image_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        context_length: int,
        settings: ReinforcementSettings,
        augmentation: str = "stored",
        scale_crops: bool = False,
        teacher_sizes: Sequence[int] = (),
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_shares(batch_size, world_size)
        self.pairs, self.store, self.plan = pairs, store, plan
        self.steps, self.batch_size, self.seed = steps, batch_size, seed
        self.image_size, self.mean, self.std = image_size, tuple(mean), tuple(std)
        self.settings, self.augmentation, self.scale_crops = settings, augmentation, scale_crops
        self.teacher_sizes, self.rank, self.world_size = tuple(sorted(set(teacher_sizes))), rank, world_size
        self.order = PairOrder(pairs, plan, seed=seed)
        self.tokenizer = ClipTokenizer(context_length)

    def __len__(self) -> int:
        """Steps of the whole run."""
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        """This process's rows of step `step`.

        Raises:
            InputError: an image cannot be decoded that the plan has let pass.
        """
        rows = self.batch_size // self.world_size
        first = step * self.batch_size + self.rank * rows
        samples = [self.sample(*place) for place in self.order.at(np.arange(first, first + rows))]
        batch: Batch = {"images": torch.stack([sample["image"] for sample in samples])}
        captions = [[sample["caption"] for sample in samples]]
        if samples[0]["synthetic"] is not None:
            captions.append([sample["synthetic"] for sample in samples])
        for name, texts in zip(("texts", "synthetic_texts"), captions, strict=False):
            batch[name] = self.tokenizer(texts)
        for name in samples[0]["embeddings"]:
            batch[name] = torch.from_numpy(np.stack([sample["embeddings"][name] for sample in samples]))
        if self.teacher_sizes:
            batch["captions"] = captions
            batch["teacher_views"] = {
                size: torch.stack([sample["views"][size] for sample in samples])
                for size in self.teacher_sizes
            }
        return batch

    def sample(self, epoch: int, number: int) -> dict[str, Any]:
        """What is used of pair `number` of the plan in an epoch."""
        pair = self.pairs[int(self.plan.pairs[number])]
        try:
            image = decode_image(pair.image, where=pair.where)
        except BadImage as error:
            raise InputError(
                f"{pair.where}: {pair.key}: {error.reason}; it changed since the pairs were checked, or only "
                "headers were read then: mend it, or take --checks.images decode in a new run"
            ) from None
        found: dict[str, Any] = {"synthetic": None, "embeddings": {}}
        if self.store is None:
            random = stream(self.seed, f"mobileclip: caption of {pair.key}", epoch)
            captions = [caption for caption in pair.captions if caption.strip()]
            found["caption"] = captions[int(random.integers(len(captions)))]
            augmentation = self._fresh(pair.key, epoch, image)
        else:
            augmentation = self._take(found, number, pair.key, epoch, image)
        geometry = self.settings.geometry
        view = replay(image, augmentation, size=self.image_size, geometry=geometry)
        found["image"] = normalize_image(view, self.mean, self.std)
        found["views"] = {
            size: _pixels(replay(image, augmentation, size=size, geometry=geometry))
            for size in self.teacher_sizes
        }
        return found

    def _take(
        self, found: dict[str, Any], number: int, key: str, epoch: int, image: Image.Image
    ) -> Augmentation:
        assert self.store is not None
        index = int(self.plan.stored[number])
        grouped = self.plan.several_captioners or self.settings.caption_groups != ".*"
        chosen = draw(
            key,
            self.store.counts(index),
            self.settings,
            seed=self.seed,
            epoch=epoch,
            groups=self.store[index].groups if grouped else None,
        )
        taken = take(self.store, index, chosen)
        found["caption"], found["synthetic"] = taken.caption, taken.synthetic
        if self.augmentation != "stored":
            return self._fresh(key, epoch, image)  # stored rows belong to other augmentations
        found["embeddings"] = taken.embeddings
        stored_size = self.store.image_size(index)
        if self.scale_crops and stored_size is not None:
            return taken.augmentation.fit_to(stored_size, image.size)
        return taken.augmentation

    def _fresh(self, key: str, epoch: int, image: Image.Image) -> Augmentation:
        random = stream(self.seed, f"mobileclip: augmentation of {key}", epoch)
        return draw_augmentation(image.size, random, AUGMENTATIONS[self.augmentation])


class StepSampler(PositionedSampler):
    """The steps of a run from the current one on."""

    def __init__(self, steps: int) -> None:
        self.steps, self.micro_steps = steps, 0

    def __len__(self) -> int:
        """Steps of the whole run."""
        return self.steps

    def __iter__(self) -> Iterator[int]:
        """Numbers of steps."""
        return iter(range(self.micro_steps, self.steps))


class StepLoader(Sized):
    """The batches of one process, with a position that counts what was handed out.

    Args:
        dataset: The batches.
        workers: Loading processes; 0 loads in this one.
    """

    def __init__(self, dataset: StepDataset, *, workers: int = 0) -> None:
        self.dataset, self.workers = dataset, workers
        self.sampler = StepSampler(len(dataset))

    def __len__(self) -> int:
        """Steps of the whole run, those before the current position included."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[Batch]:
        """From the current position to the end."""
        pin = torch.cuda.is_available()
        return load_batches(self.dataset, self.sampler, workers=self.workers, pin_memory=pin)

    def state_dict(self) -> dict[str, int]:
        """Steps that are done."""
        return {"step": self.sampler.micro_steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the steps that `state` counts."""
        self.sampler.micro_steps = state["step"]


def check_shares(batch_size: int, devices: int) -> None:
    """Make sure that a batch can be shared out.

    Raises:
        InputError: the number of devices does not divide the batch.
    """
    if devices < 1:
        raise InputError(f"--devices {devices}: give 1 or more")
    if batch_size % devices:
        raise InputError(
            f"--devices {devices}: does not divide the {batch_size} pairs of a step; choose another number"
        )


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image))
