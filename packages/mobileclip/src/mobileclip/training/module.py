"""The LightningModules: plain pairs, stored reinforcement, or teachers that run along."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from toolkit_shared.contrastive import gather_features, own_rows
from toolkit_shared.training.image_text import ImageTextTraining
from torch import Tensor, nn

from mobileclip.models.clip import ImageTextModel
from mobileclip.objectives import Distillation, reinforced_loss, split_teachers
from mobileclip.training.online import OnlineTeachers

Batch = Mapping[str, Any]
TEACHER_TEXTS = ("teacher_texts", "teacher_synthetic_texts")
INITIAL_LOGIT_BIAS = -10.0


class ReinforcedTraining(ImageTextTraining):
    """Trains a student with the reinforced loss, on batches of `StepDataset`.

    Without teachers in the batch, lambda must be 0, and the loss is CLIP's, summed over the caption streams.

    Args:
        model: The student.
        teacher_widths: Width of each teacher's rows in the batch.
        teacher_scales: Logit scale of each.
        teacher_biases: Logit bias of each, of the sigmoid loss.
        distillation_weight: Lambda.
        distillation: Softmax or sigmoid.
        online: Teachers that run along, whose rows are put into each batch; None: the batch has them.
        options: Of `ImageTextTraining`.
    """

    term_names = ("contrastive", "distillation", "divergence")

    def __init__(
        self,
        model: ImageTextModel,
        *,
        teacher_widths: Sequence[int] = (),
        teacher_scales: Sequence[float] = (),
        teacher_biases: Sequence[float] | None = None,
        distillation_weight: float = 0.0,
        distillation: Distillation = "softmax",
        online: OnlineTeachers | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.teacher_widths, self.teacher_scales = tuple(teacher_widths), tuple(teacher_scales)
        self.teacher_biases = teacher_biases
        self.distillation_weight, self.distillation = distillation_weight, distillation
        self.online = online
        # not one of the model's weights: it moves all similarities alike, so ranks do not depend on it
        bias = torch.full((), INITIAL_LOGIT_BIAS)
        self.logit_bias = nn.Parameter(bias) if distillation == "sigmoid" else None

    def losses(self, batch: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        """The reinforced loss of a batch, and its parts."""
        if self.online is not None:
            batch = {**batch, **self.online.embed(batch, self.device)}
        streams = [batch[name] for name in ("texts", "synthetic_texts") if name in batch]
        images, texts, scale = self.encode(batch["images"], streams)
        rows = len(batch["images"])
        taught = self.distillation_weight > 0
        found = reinforced_loss(
            images,
            texts,
            scale,
            self._of_teachers(batch["teacher_images"]) if taught else (),
            [self._of_teachers(batch[name]) for name in TEACHER_TEXTS[: len(streams)]] if taught else (),
            self.teacher_scales if taught else (),
            distillation_weight=self.distillation_weight,
            distillation=self.distillation,
            logit_bias=0.0 if self.logit_bias is None else self.logit_bias,
            teacher_biases=self.teacher_biases,
            offset=own_rows(rows),
            num_rows=rows,
        )
        return found.loss, found[1:]

    def _of_teachers(self, embeddings: Tensor) -> tuple[Tensor, ...]:
        """Each teacher's rows of all processes, in the order in which the student's features stand."""
        return split_teachers(gather_features(embeddings), self.teacher_widths)
