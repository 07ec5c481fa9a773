"""Which solved examples are shown before a question."""

from collections import defaultdict
from collections.abc import Sequence

from toolkit_shared.randomness import stream


def draw_examples(
    groups: Sequence[str], asked: int, *, num_fewshot: int, task: str, seed: int
) -> list[list[int]]:
    """The numbers of the examples before each of the first `asked` questions, in the order shown.

    Those of question i are drawn without repeat from the others of its group, by a stream of (seed, task, i):
    they do not depend on how many questions are asked. Where a group has fewer others than are wanted, all of
    them are shown.

    Args:
        groups: Of each question the group that its examples come from.
        asked: How many questions are asked.
        num_fewshot: Examples before each.
        task: The task's name.
        seed: Of the draw.

    Source: LLM-Foundry, `InContextLearningDataset`; its generator is another, so its draws are as well.
    """
    if not num_fewshot:
        return [[] for _ in range(asked)]
    pools: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        pools[group].append(index)
    shown = []
    for index in range(asked):
        pool = pools[groups[index]]
        # one more than needed, for the question itself may be among them
        size = min(num_fewshot + 1, len(pool))
        drawn = stream(seed, f"few-shot {task}", index).choice(len(pool), size=size, replace=False)
        shown.append([pool[place] for place in drawn.tolist() if pool[place] != index][:num_fewshot])
    return shown
