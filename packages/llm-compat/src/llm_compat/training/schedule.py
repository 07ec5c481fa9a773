"""The learning rate of the paper's runs, as far as it is known."""


def linear_schedule(step: int, *, warmup_steps: int, total_steps: int, lr: float) -> float:
    """Learning rate of optimizer step `step` (from 0): linear warm-up to `lr`, then linear to 0.

    Step 0 trains with lr / warmup_steps (with `lr` when there is no warm-up), step `warmup_steps` with
    `lr`; at `total_steps`, which is no step any more, it is 0.

    Raises:
        ValueError: `warmup_steps` or `step` is negative.

    Source: arXiv 2407.09435, appendix, gives the warm-up of 500 steps; what follows it is our choice.
    """
    if warmup_steps < 0 or step < 0:
        raise ValueError(f"step {step} and warmup_steps {warmup_steps} must not be negative")
    if step < warmup_steps:
        return lr * (step + 1) / warmup_steps
    return lr * max(0.0, (total_steps - step) / max(1, total_steps - warmup_steps))
