"""The settings that several commands share; plain values only, each checked where it is made."""

from dataclasses import dataclass
from typing import Literal

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


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: '{value}' is not one of {', '.join(choices)}")


def _nearest_power(value: int) -> int:
    if value < 1:
        return 1
    below = 1 << (value.bit_length() - 1)
    return below if value - below <= 2 * below - value else 2 * below
