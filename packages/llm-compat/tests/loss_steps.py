"""Random steps of the compatibility loss, in the plain form and in the fused one."""

import torch
from llm_compat.heads import Head, Heads
from llm_compat.objectives import compatibility_loss, fused_compatibility_loss

VOCABULARY, WIDTH, OLD_WIDTH = 13, 6, 5


class Step:
    """Random hidden states under random heads, in float64: three rows of eight, some not trained."""

    def __init__(self, seed=0, dtype=torch.float64, softcap=None, scale=1.0, bias=True):
        random = torch.Generator().manual_seed(seed)

        def draw(*shape):
            return torch.randn(*shape, generator=random, dtype=dtype)

        def head(width):
            return Head(
                draw(VOCABULARY, width),
                draw(VOCABULARY) if bias else None,
                scale=scale,
                softcap=softcap,
            )

        self.student, self.new = draw(3, 8, WIDTH), draw(3, 8, WIDTH)
        self.old = draw(3, 8, OLD_WIDTH)
        self.targets = torch.randint(VOCABULARY, (3, 8), generator=random)
        self.targets[0, :3] = -100
        self.targets[2, 6:] = -100
        shared = head(WIDTH)
        self.heads = Heads(student=shared, old=head(OLD_WIDTH), new=shared)

    def reference(self, arm, **options):
        student = self.student.detach().requires_grad_()
        loss = compatibility_loss(
            self.heads.student.logits(student),
            self.targets,
            arm,
            old_logits=self.heads.old.logits(self.old),
            new_logits=self.heads.new.logits(self.new),
            **options,
        )
        (gradient,) = torch.autograd.grad(loss.loss, student)
        return loss, gradient

    def fused(self, arm, heads=None, **options):
        student, trained = self.student.detach().requires_grad_(), self.targets != -100
        loss = fused_compatibility_loss(
            student[trained],
            self.targets[trained],
            arm,
            heads or self.heads,
            old_hidden=self.old[trained],
            new_hidden=self.new[trained],
            sequences=trained.nonzero()[:, 0],
            **options,
        )
        (gradient,) = torch.autograd.grad(loss.loss, student)
        return loss, gradient


def logits(seed, rows=2, length=5, scale=2.0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, length, VOCABULARY, generator=random, dtype=torch.float64) * scale


def some_targets(rows=2, length=5, seed=9):
    return torch.randint(VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))
