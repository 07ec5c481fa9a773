"""AskLLM: how probable an instruct model finds it that a page is useful."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit_shared.errors import InputError

from dclm_bench.quality.language_model import CausalModel, load_causal_model
from dclm_bench.quality.scores import once_per_process, require_path, scoring_step
from dclm_bench.steps.step import Step

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 1024
# The wording of the paper's prompt is not part of the method here; {text} is where the page goes.
PROMPT = (
    "Here is an extract of a web page.\n\n###\n{text}\n###\n\n"
    "Would a language model learn facts, reasoning or good writing from it? Answer yes or no.\nAnswer:"
)
ANSWERS = ("yes", "Yes", " yes", " Yes")


def answer_probability(logits: "Tensor", answers: Sequence[int]) -> "Tensor":
    """The probability that the next token is one of `answers`, for logits of shape (batch, vocabulary).

    Source: DataComp-LM section 4.4 (AskLLM), after Sachdeva et al. (2024), section 3.
    """
    return logits.float().softmax(-1)[:, list(answers)].sum(-1)


def prompt_tokens(model: CausalModel, text: str, prompt: str, window: int) -> list[int]:
    """The tokens of the prompt with as much of the begin of the text as the window has room for."""
    before, _, after = prompt.partition("{text}")
    head = model.tokens_of(before)
    body, tail = model.encode(text), model.encode(after)
    room = window - len(head) - len(tail)
    if room < 1:
        raise InputError(f"ask_llm_enricher: the prompt alone fills {window} tokens; shorten it")
    return [*head, *body[:room], *tail]


def answer_tokens(model: CausalModel, answers: Sequence[str]) -> list[int]:
    """The first token of each answer, each once."""
    first = (model.encode(answer) for answer in answers)
    return sorted({int(ids[0]) for ids in first if len(ids)})


def ask_llm_enricher(
    model_path: str,
    key: str = "ask_llm",
    overwrite: bool = False,
    prompt: str = PROMPT,
    answers: Sequence[str] = ANSWERS,
    window: int = WINDOW,
    device: str = "cpu",
) -> Step:
    """Puts the probability of a "yes" to the question in the prompt under `key`; None for an empty page.

    Args:
        model_path: Folder of an instruct model, in the format of transformers.
        key: Where the score goes.
        overwrite: Whether to replace a score.
        prompt: The question, with `{text}` where the page goes.
        answers: What counts as a yes; the first tokens of these are taken.
        window: Tokens of prompt and page together.
        device: Where the model runs.

    Raises:
        InputError: the folder is missing, or the prompt has no place for the page.

    Source: DataComp-LM section 4.4 (AskLLM, window of 1,024 tokens).
    """
    func = "ask_llm_enricher"
    require_path(func, "model_path", model_path, folder=True)
    if prompt.count("{text}") != 1:
        raise InputError(f"{func}: prompt: has no {{text}}, or several; write it where the page goes")
    if not answers or isinstance(answers, str):
        raise InputError(f"{func}: answers is {answers!r}; give a list, such as [yes, Yes]")

    def score(text: str) -> float | None:
        if not text.strip():
            return None
        model: CausalModel = once_per_process(load_causal_model, model_path, device)
        logits = model.logits_of(prompt_tokens(model, text, prompt, window))
        return float(answer_probability(logits[:, -1], answer_tokens(model, answers))[0])

    return scoring_step(func, key, overwrite, score)
