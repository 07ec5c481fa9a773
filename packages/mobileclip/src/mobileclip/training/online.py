"""Teachers that run along with the student, on augmentations which are drawn afresh."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mobileclip.models.teachers import load_teacher
from mobileclip.reinforcement.teacher import Teacher, ensemble_rows

STREAMS = ("teacher_texts", "teacher_synthetic_texts")


class OnlineTeachers:
    """Embeds the batches of a run; each process loads the teachers onto its own device.

    Args:
        specifications: As `load_teacher` takes them.
        loaded: Teachers that are there already, instead of loading them.

    Source: online distillation of the official second patch of open_clip (`--distill`), there with one
        image for student and teacher; here each gets its own size and normalisation of one augmentation.
    """

    def __init__(self, specifications: Sequence[str] = (), *, loaded: Sequence[Teacher] = ()) -> None:
        self.specifications = tuple(specifications)
        self._teachers = tuple(loaded) or None

    def teachers(self, device: torch.device | str = "cpu") -> tuple[Teacher, ...]:
        """The teachers, loaded at the first call."""
        if self._teachers is None:
            self._teachers = tuple(load_teacher(text, str(device)) for text in self.specifications)
        return self._teachers

    def embed(self, batch: Mapping[str, Any], device: torch.device) -> dict[str, Tensor]:
        """What a store would have held of the batch: `teacher_images`, and a `teacher_texts` a stream."""
        teachers = self.teachers(device)
        views = {
            size: [Image.fromarray(pixels) for pixels in views.cpu().numpy()]
            for size, views in batch["teacher_views"].items()
        }
        rows = {
            "teacher_images": ensemble_rows([one.embed_images(views[one.image_size]) for one in teachers])
        }
        for name, texts in zip(STREAMS, batch["captions"], strict=False):
            rows[name] = ensemble_rows([one.embed_texts(texts) for one in teachers])
        return {name: torch.from_numpy(np.ascontiguousarray(row)).to(device) for name, row in rows.items()}

    def __getstate__(self) -> dict[str, Any]:
        """Without the models: another process loads its own."""
        return {"specifications": self.specifications, "_teachers": None}
