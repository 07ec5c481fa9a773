"""The settings that several commands share; plain values only, each checked where it is made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Target = Literal["exact", "plus1"]
Overflow = Literal["greedy", "random"]
Tail = Literal["drop", "anchor-end", "keep-small", "pad"]
OddsScale = Literal["none", "by_tokens"]
Repeat = Literal["refuse", "repeat"]
Leftovers = Literal["keep", "drop"]
InputFormat = Literal[
    "auto", "text", "jsonl", "parquet", "arrow", "olmo", "megatron", "datatrove", "nanogpt", "released"
]
TextUnit = Literal["file", "line", "blank-line"]
TokenType = Literal["auto", "uint16", "uint32"]
Attention = Literal["auto", "masked", "varlen", "loop"]
ChoiceScoring = Literal["mean", "sum", "letter"]
ContextCut = Literal["end", "start", "middle"]
Precision = Literal["auto", "32-true", "bf16-mixed", "bf16-true"]

TARGETS: tuple[Target, ...] = ("exact", "plus1")
OVERFLOWS: tuple[Overflow, ...] = ("greedy", "random")
TAILS: tuple[Tail, ...] = ("drop", "anchor-end", "keep-small", "pad")


@dataclass(frozen=True, kw_only=True)
class DecompositionSettings:
    """How documents are cut into sequences whose lengths are powers of two.

    Attributes:
        min_length: Shortest sequence, in tokens; a power of two.
        max_length: Longest sequence, in tokens; a power of two.
        target: "exact": a sequence of length n holds n tokens; "plus1": it holds n + 1, so that each of
            its n inputs has a target.
        overflow: What a document longer than max_length becomes: "greedy": as many pieces of max_length as
            fit; "random": pieces of random length, as the released code of the paper cuts them.
        tail: What becomes of the end of a document that is shorter than min_length: "drop"; "anchor-end"
            (the last piece moves to the document's end, so that the end-of-text token survives);
            "keep-small" (shorter buckets); "pad" (one padded sequence of min_length).
        seed: Seed of the random overflow.
    """

    min_length: int = 256
    max_length: int = 8192
    target: Target = "exact"
    overflow: Overflow = "greedy"
    tail: Tail = "drop"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("min_length", "max_length"):
            value = getattr(self, name)
            if value < 1 or value & (value - 1):
                raise ValueError(f"{name}: {value} is not a power of two; nearest: {_nearest_power(value)}")
        if self.min_length > self.max_length:
            raise ValueError(f"min_length: {self.min_length} is above max_length {self.max_length}; lower it")
        _check_choice("target", self.target, TARGETS)
        _check_choice("overflow", self.overflow, OVERFLOWS)
        _check_choice("tail", self.tail, TAILS)
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed} is negative; give 0 or more")


@dataclass(frozen=True, kw_only=True)
class CurriculumSettings:
    """In which order the lengths are trained on, and how many tokens of each.

    Attributes:
        curriculum: Name of a preset (uniform, grow-linear, grow-p2, grow-p100, shrink-p100, olmo-natural,
            olmo-grow-p2, olmo-grow-linear), or odds from the shortest bucket on, such as "32:16:8:4:2:1".
        cycles: How often the curriculum starts anew over the run.
        odds_scale: "none": odds as Algorithm 1 has them; "by_tokens": odds times each bucket's tokens.
        mixture: Name of a preset (natural, equal, 1k-only, at-most-2k, mid, at-least-1k, at-least-256), or
            parts by length, such as "256:3,512:6".
        repeat: When more is asked for than a bucket holds: "refuse", or "repeat" whole passes.
        leftovers: Sequences that fill no whole batch at the end of a cycle's bucket: they are carried to the
            next cycle; at the end of the run "keep" serves them as a smaller batch, "drop" reports them.
    """

    curriculum: str = "grow-p2"
    cycles: int = 8
    odds_scale: OddsScale = "none"
    mixture: str = "natural"
    repeat: Repeat = "refuse"
    leftovers: Leftovers = "keep"

    def __post_init__(self) -> None:
        if self.cycles < 1:
            raise ValueError(f"cycles: {self.cycles} is not positive; give 1 or more")
        _check_choice("odds_scale", self.odds_scale, ("none", "by_tokens"))
        _check_choice("repeat", self.repeat, ("refuse", "repeat"))
        _check_choice("leftovers", self.leftovers, ("keep", "drop"))


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """How input files are read.

    Attributes:
        format: Format of every input; "auto" tells it from names and first bytes.
        text_field: Field or column that holds a document's text.
        ids_field: Field or column that holds a document's token ids; read where there is no text field.
        text_unit: What one document is in a plain text file.
        dtype: Type of the ids in headerless token files; "auto": by the vocabulary.
        eos: Text of the end-of-text token; empty: the known names are tried.
        eos_id: Id of the end-of-text token, for token files without their tokenizer.
        vocab_size: Number of ids, for token files without their tokenizer.
        append_eos: Append the end-of-text token also to documents that come as token ids and lack it.
        unit_mib: Size of one work unit in MiB of input; the store's files depend on it.
    """

    format: InputFormat = "auto"
    text_field: str = "text"
    ids_field: str = "input_ids"
    text_unit: TextUnit = "file"
    dtype: TokenType = "auto"
    eos: str = ""
    eos_id: int | None = None
    vocab_size: int | None = None
    append_eos: bool = False
    unit_mib: int = 64

    def __post_init__(self) -> None:
        _check_choice("text_unit", self.text_unit, ("file", "line", "blank-line"))
        _check_choice("dtype", self.dtype, ("auto", "uint16", "uint32"))
        if self.eos_id is not None and self.eos_id < 0:
            raise ValueError(f"eos_id: {self.eos_id} is negative; give 0 or more")
        if self.vocab_size is not None and self.vocab_size < 1:
            raise ValueError(f"vocab_size: {self.vocab_size} is not positive; give 1 or more")
        if self.unit_mib < 1:
            raise ValueError(f"unit_mib: {self.unit_mib} is not positive; give 1 or more")


MODEL_PRESETS: Mapping[str, Mapping[str, int]] = {
    "tiny": {"width": 96, "num_layers": 2, "num_heads": 4},
    "160m": {"width": 768, "num_layers": 12, "num_heads": 12},
    "410m": {"width": 1024, "num_layers": 24, "num_heads": 16},
    "1b": {"width": 2048, "num_layers": 24, "num_heads": 16},
    "3b": {"width": 2560, "num_layers": 32, "num_heads": 32},
    "7b": {"width": 4096, "num_layers": 32, "num_heads": 32},
}
PAPER_VOCABULARY = 50_432


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The size of the transformer; a preset, of which each field may be changed.

    Attributes:
        name: Preset: tiny, 160m, 410m, 1b, 3b, 7b.
        width: Model width; unset: of the preset. So are num_layers and num_heads.
        num_layers: Number of blocks.
        num_heads: Attention heads.
        vocab_size: Rows of the embedding; unset: the store's vocabulary, rounded up to a multiple of 64,
            and at least the paper's 50,432 for the presets of the paper.
        max_length: Longest sequence the rotary table is built for; unset: that of the data.
        rope_base: Base of the rotary frequencies; the paper's mixture study has 10,000.
        norm_eps: Added to the variance in every normalisation.
        attention: How attention stays inside documents where an arm masks them.
    """

    name: str = "tiny"
    width: int | None = None
    num_layers: int | None = None
    num_heads: int | None = None
    vocab_size: int | None = None
    max_length: int | None = None
    rope_base: float = 100_000.0
    norm_eps: float = 1e-5
    attention: Attention = "auto"

    def __post_init__(self) -> None:
        _check_choice("model", self.name, tuple(MODEL_PRESETS))
        _check_choice("attention", self.attention, ("auto", "masked", "varlen", "loop"))
        for name in ("width", "num_layers", "num_heads", "vocab_size", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: {value} is not positive; give 1 or more")
        if not 1 < self.rope_base < math.inf:
            raise ValueError(f"rope_base: {self.rope_base:g} is not a number above 1; the paper has 100000")
        if not 0 < self.norm_eps < math.inf:
            raise ValueError(f"norm_eps: {self.norm_eps:g} is not a number above 0; give for example 1e-5")
        sizes = self.sizes()
        if sizes["width"] % sizes["num_heads"] or (sizes["width"] // sizes["num_heads"]) % 2:
            raise ValueError(
                f"num_heads: {sizes['num_heads']} does not divide width {sizes['width']} "
                "into an even head width"
            )

    def sizes(self) -> dict[str, int]:
        """Width, layers and heads, after the preset."""
        given = {name: getattr(self, name) for name in ("width", "num_layers", "num_heads")}
        return {
            **MODEL_PRESETS[self.name],
            **{name: value for name, value in given.items() if value is not None},
        }

    def arguments(self, *, vocab_size: int = 0, max_length: int = 8192) -> dict[str, Any]:
        """Keyword arguments of the model, for data with `vocab_size` token ids and rows of `max_length`.

        Raises:
            ValueError: a size that was set is too small for the data.
        """
        vocabulary = self.vocab_size
        if vocabulary is None:
            vocabulary = 64 * -(-max(vocab_size, 1) // 64)
            vocabulary = vocabulary if self.name == "tiny" else max(vocabulary, PAPER_VOCABULARY)
        if vocabulary < vocab_size:
            raise ValueError(
                f"vocab_size: {vocabulary} is below the data's {vocab_size}; raise it or leave it out"
            )
        longest = max_length if self.max_length is None else self.max_length
        if longest < max_length:
            raise ValueError(
                f"max_length: {longest} is below the data's rows of {max_length} tokens; raise it"
            )
        return {
            **self.sizes(),
            "vocab_size": vocabulary,
            "max_length": longest,
            "rope_base": self.rope_base,
            "norm_eps": self.norm_eps,
        }


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings:
    """AdamW, its schedule and the objective; the defaults are the released 1B recipe.

    Attributes:
        lr: Highest learning rate. That of models other than 160M to 1B is unconfirmed.
        final_lr: Learning rate at the end of the cosine.
        warmup_steps: Steps of linear warm-up, 5,000 in the paper; unset: a twentieth of the run,
            at most 5,000.
        weight_decay: On matrices only.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        eps: Added to the root of the second moment; the paper does not say.
        gradient_clip: Largest norm of the gradient; 0: no clipping, as in the paper's stability arm.
        z_loss: Coefficient of the squared log partition function.
    """

    lr: float = 3e-3
    final_lr: float = 3e-5
    warmup_steps: int | None = None
    weight_decay: float = 0.033
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    gradient_clip: float = 1.0
    z_loss: float = 1e-4

    def __post_init__(self) -> None:
        for name, usual in (("lr", "the paper has 0.003"), ("eps", "give for example 1e-8")):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name):g} is not a number above 0; {usual}")
        for name in ("final_lr", "weight_decay", "gradient_clip", "z_loss", "warmup_steps"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name}: {value:g} is negative or no number; give 0 or more")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name):g} is not in [0, 1); give for example 0.95")

    def warmup(self, total_steps: int) -> int:
        """Steps of warm-up in a run of `total_steps`."""
        return min(5000, total_steps // 20) if self.warmup_steps is None else self.warmup_steps


@dataclass(frozen=True, kw_only=True)
class LengthRange:
    """Lengths of the sequences of a run, where they are not those of its store.

    Attributes:
        min: Shortest sequence; unset: as the store was built.
        max: Longest sequence, also that of concatenated and packed rows; unset: as the store was built.
    """

    min: int | None = None
    max: int | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutionSettings:
    """How a training run is carried out; nothing here changes what is learned, beyond rounding.

    Attributes:
        precision: auto: bf16-mixed on CUDA, 32-true on a CPU.
        compile: Compile the model, one static graph a sequence length, the longest first.
        chunk_tokens: Tokens whose logits exist at a time; 0: all of a micro-batch. Saves memory, costs time.
        checkpoint_steps: Steps between checkpoints.
        log_steps: Steps between lines of metrics.jsonl.
    """

    precision: Precision = "auto"
    compile: bool = False
    chunk_tokens: int = 0
    checkpoint_steps: int = 500
    log_steps: int = 10

    def __post_init__(self) -> None:
        _check_choice("precision", self.precision, ("auto", "32-true", "bf16-mixed", "bf16-true"))
        if self.chunk_tokens < 0:
            raise ValueError(f"chunk_tokens: {self.chunk_tokens} is negative; give 0 or more")
        for name in ("checkpoint_steps", "log_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive; give 1 or more")


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocolSettings:
    """How the questions of an evaluation are put; the paper states little of it.

    Attributes:
        num_fewshot: Solved examples before each in-context question; unset: the paper's number, by task.
        mdqa_documents: Documents of a multi-document prompt, where it is made from gold documents.
        mdqa_prompt: File with the prompt ({documents} and {question}); unset: the package's own words.
        key_value_prompt: File with the prompt ({records} and {key}); unset: the package's own words.
        key_value_pairs: Show only so many pairs; unset: all.
        choice_scoring: What decides between the options about a long text: "mean" or "sum" of the token
            losses of its text, or its "letter".
        context_cut: What of a text too long for the context is left out.
        max_new_tokens: Longest answer about many documents, in tokens.
    """

    num_fewshot: int | None = None
    mdqa_documents: tuple[int, ...] = (10, 20, 30)
    mdqa_prompt: Path | None = None
    key_value_prompt: Path | None = None
    key_value_pairs: int | None = None
    choice_scoring: ChoiceScoring = "mean"
    context_cut: ContextCut = "end"
    max_new_tokens: int = 100

    def __post_init__(self) -> None:
        if self.num_fewshot is not None and self.num_fewshot < 0:
            raise ValueError(f"num_fewshot: {self.num_fewshot} is negative; give 0 or more")
        if not self.mdqa_documents or min(self.mdqa_documents) < 2:
            raise ValueError(
                "mdqa_documents: a prompt needs 2 documents or more; the paper has 10, 20 and 30"
            )
        if self.key_value_pairs is not None and self.key_value_pairs < 1:
            raise ValueError(f"key_value_pairs: {self.key_value_pairs} is not positive; give 1 or more")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: {self.max_new_tokens} is not positive; give 1 or more")
        _check_choice("choice_scoring", self.choice_scoring, ("mean", "sum", "letter"))
        _check_choice("context_cut", self.context_cut, ("end", "start", "middle"))


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: '{value}' is not one of {', '.join(choices)}")


def _nearest_power(value: int) -> int:
    if value < 1:
        return 1
    below = 1 << (value.bit_length() - 1)
    return below if value - below <= 2 * below - value else 2 * below
