"""fastText classifiers without the fastText library: its binary files, its predictions, its training."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dclm_bench.fasttext.model import FastTextModel, load_fasttext, score_texts
    from dclm_bench.fasttext.training import train_supervised

__all__ = ["FastTextModel", "load_fasttext", "score_texts", "train_supervised"]


def __getattr__(name: str) -> Any:
    # resolved late, so that naming the room loads neither numpy nor numba
    if name == "train_supervised":
        from dclm_bench.fasttext.training import train_supervised

        return train_supervised
    if name in __all__:
        from dclm_bench.fasttext import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
