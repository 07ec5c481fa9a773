"""How many tokens a second does scale 400m-1x train on one GPU, and how far is that from the published cost?

Whole optimizer steps of 512 sequences of 2,048 tokens, as the scale has them: bfloat16 autocast, model and
objective compiled into one graph, z-loss, clipping, fused AdamW with decay on all parameters. Token ids are
random and lie on the device already, so reading shards is not in the figure.

The denominator is no run of ours: it is what the published 26 H100 hours for 8.23 billion tokens imply, the
same figure in every round. MFU is 6ND (official parameters) over the dense bfloat16 peak of the device; with
attention counted, 12 layers x width x length more a token, it is higher. At scale smoke the same code runs
with a tiny model on the CPU.
"""

import sys

import torch
from dclm_bench.scales import Scale, find_scale
from toolkit_shared.language_model import build_model
from toolkit_shared.language_model.objectives import next_token_loss, weighted_loss
from toolkit_shared.optimization import parameter_groups
from torch import Tensor

from benchmarks.measurement import Sample, alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, PUBLISHED = "ours, one GPU", "published: 26 H100 hours"
LENGTH = 2048
MICRO_BATCH = 8  # sequences; took 24 GiB on an H100, where larger ones have not been tried
# Dense bfloat16 peak in FLOP/s, by a part of the device's name; H100 is the SXM form.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
QUESTION = Question(
    name="scale-step-gpu",
    toolkit="dclm-bench",
    expected="at least 2 times the tokens/s that the published 26 H100 hours imply (45 % MFU by 6ND)",
    holds=lambda ratio: ratio >= 2.0,
    packages=["dclm-bench", "torch"],
    scale="gpu",
)


class ScaleStep:
    """A model of the scale with its optimizer on one device.

    Args:
        scale: Model and optimizer.
        device: Where.
        length: Tokens of a sequence.
        micro_batches: Of a step.
    """

    def __init__(self, scale: Scale, device: str, *, length: int, micro_batches: int) -> None:
        self.scale, self.device, self.length, self.micro_batches = scale, device, length, micro_batches
        arguments = scale.model_arguments(vocab_size=300, sequence_length=length)
        self.model = build_model(arguments, seed=scale.seed, low_precision_norm=True).to(device)
        self.vocab_size: int = arguments["vocab_size"]
        on_gpu = device == "cuda"
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.model, scale.weight_decay, decay_vectors=True),
            lr=1e-4,
            betas=(scale.beta1, scale.beta2),
            eps=scale.eps,
            fused=on_gpu,
        )
        self.compiled = torch.compile(self.loss, dynamic=False) if on_gpu else self.loss
        generator = torch.Generator().manual_seed(0)
        rows = torch.randint(self.vocab_size, (MICRO_BATCH, length + 1), generator=generator).to(device)
        self.inputs, self.targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy and z-loss of a micro-batch, in its share of the step."""
        sums = next_token_loss(self.model(inputs), targets)
        weight = 1 / (self.micro_batches * targets.numel())
        return weighted_loss(sums, weight, z_loss_coefficient=self.scale.z_loss)

    def autocast(self) -> torch.autocast:
        """The precision of the scale; float32 on a CPU."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")

    def step(self) -> float:
        """One optimizer step; its tokens."""
        for _ in range(self.micro_batches):
            with self.autocast():
                loss = self.compiled(self.inputs, self.targets)
            loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.scale.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.device == "cuda":
            torch.cuda.synchronize()
        return float(self.micro_batches * self.inputs.numel())

    def check_parity(self) -> None:
        """Make sure that the compiled graph computes the loss of the plain model."""
        with torch.no_grad(), self.autocast():
            plain, compiled = (f(self.inputs, self.targets).item() for f in (self.loss, self.compiled))
        assert abs(plain - compiled) <= 1e-2 * abs(plain), f"loss {plain} of the model, {compiled} compiled"


def measure(options: Options) -> Finding | None:
    """Time whole steps; nothing where there is no GPU."""
    smoke = options.scale == "smoke"
    if not smoke and not torch.cuda.is_available():
        print("scale step gpu: skipped, there is no CUDA device")
        return None
    published = find_scale("400m-1x")
    scale = find_scale("tiny") if smoke else published
    training = ScaleStep(
        scale,
        "cpu" if smoke else "cuda",
        length=options.pick(32, LENGTH),
        micro_batches=options.pick(1, published.sequences_per_step // MICRO_BATCH),
    )
    training.check_parity()
    samples = alternate(
        {OURS: lambda: timed(training.step)},
        repeats=options.repeats,
        warm_up=options.pick(1, 2),
        progress=report_round,
    )
    assert published.h100_hours is not None
    seconds = published.h100_hours * 3600
    implied = Sample(float(published.budget_tokens()), seconds, seconds)
    rates = sorted(sample.work / sample.wall_seconds for sample in samples[OURS])
    note = "" if smoke else describe(scale, rates[len(rates) // 2])
    return Finding(
        {**samples, PUBLISHED: [implied] * len(samples[OURS])},
        OURS,
        PUBLISHED,
        f"matrix products of the GPU; {note}" if note else "",
        note=note,
    )


def describe(scale: Scale, rate: float) -> str:
    """Tokens a second as MFU, with peak memory and the hours that the scale would take."""
    name = torch.cuda.get_device_name()
    hours = scale.budget_tokens() / rate / 3600
    memory = torch.cuda.max_memory_allocated() / 2**30
    peak = next((value for part, value in PEAKS.items() if part in name), None)
    if peak is None:
        return f"{name}: {rate:,.0f} tokens/s, {hours:.1f} hours for the scale; its peak is not known here"
    parameters = scale.num_parameters(qk_norm=False)
    attention = 12 * scale.num_layers * scale.width * LENGTH / 2  # causal: half of the square
    by_6nd, with_attention = (rate * flops / peak for flops in (6 * parameters, 6 * parameters + attention))
    return (
        f"{name}: {rate:,.0f} tokens/s, MFU {by_6nd:.1%} by 6ND ({with_attention:.1%} with attention), "
        f"{hours:.1f} hours for the scale, peak memory {memory:.1f} GiB"
    )


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=5)


if __name__ == "__main__":
    sys.exit(main())
