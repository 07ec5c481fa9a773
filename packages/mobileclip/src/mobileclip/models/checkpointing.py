"""Gradient checkpointing that leaves batch statistics as one forward pass would."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def checkpointed(block: nn.Module, inputs: Tensor) -> Tensor:
    """The block's output; what it needs for its gradient is computed again in the backward pass.

    The second computation does not update running statistics, which would otherwise count each batch twice.
    """
    computed: Tensor = checkpoint(
        block, inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), frozen_statistics(block))
    )
    return computed


@contextmanager
def frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Within, batch norms in training mode leave their running statistics alone."""
    # A momentum of zero, not statistics of None: the kernels save the same tensors in both computations.
    norms = [
        (module, module.momentum, module.num_batches_tracked)
        for module in block.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    for norm, _, _ in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, num_batches in norms:
            norm.momentum, norm.num_batches_tracked = momentum, num_batches


def run_block(block: nn.Module, inputs: Tensor, *, checkpointing: bool) -> Tensor:
    """The block's output, checkpointed if asked for and gradients are recorded."""
    if checkpointing and torch.is_grad_enabled():
        return checkpointed(block, inputs)
    outputs: Tensor = block(inputs)
    return outputs
