"""A generated data-update task: short requests of 60 intents, hard enough that a small model errs in half.

An intent is one of 4 actions in one of 15 domains. A request names both by a word from a long-tailed list;
some words belong to two neighbouring domains or actions, words get lost, and some labels are another
annotator's. So there is an accuracy that no model reaches, and there are words that few training requests
hold: two models that differ by their seed err on different items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
from toolkit_shared.randomness import stream
from toolkit_shared.records import write_jsonl

DOMAINS: dict[str, str] = {
    "alarm": "alarm wakeup snooze bell buzzer chime ringer siren gong clock",
    "calendar": "meeting appointment event schedule agenda booking slot interview seminar call",
    "lists": "list groceries checklist errands inventory wishlist backlog shopping packing chores",
    "music": "song track album playlist tune ballad chorus melody record single",
    "radio": "station frequency channel broadcast show host jazz talkback tuner signal",
    "lights": "light lamp bulb dimmer brightness chandelier spotlight glow shade lantern",
    "heating": "heating thermostat radiator boiler furnace warmth temperature heater stove fireplace",
    "weather": "weather forecast rain snow storm sunshine wind humidity fog hail",
    "news": "news headline article bulletin story column editorial report digest scoop",
    "mail": "mail message inbox letter draft attachment reply thread newsletter memo",
    "contacts": "contact number address phonebook nickname birthday colleague neighbour cousin card",
    "travel": "train flight ticket taxi bus ferry seat route luggage hotel",
    "food": "pizza order restaurant delivery burger curry salad noodles takeaway table",
    "recipes": "recipe ingredient oven dough sauce marinade roast soup batter dessert",
    "money": "account balance payment transfer invoice bill currency exchange loan savings",
}
ACTIONS: dict[str, str] = {
    "create": "create|add|make|set up|start|new|put in|i need a|arrange|begin",
    "query": "show|what is|check|tell me|how is|find|look up|do i have|read|any",
    "remove": "remove|delete|cancel|stop|get rid of|drop|no more|turn off|clear|discard",
    "change": "change|move|update|rename|adjust|switch|edit|swap|modify|replace",
}
OPENERS = "please|hey|could you|can you|i want you to|okay|would you|hi there|quickly|kindly"
CLOSERS = "please|now|for me|right away|thanks|if possible|today|at once|when you can|again"
FILLERS = (
    "tomorrow|tonight|on monday|on friday|at seven|at noon|this week|next month|in the kitchen|at home|"
    "for anna|for my boss|from paris|near the office|in london|for the party|by email|with peter|upstairs|"
    "after lunch|before work|for the kids|every day|on the weekend|in the bedroom|downtown|for two|twice"
)
INTENTS: tuple[str, ...] = tuple(f"{domain}_{action}" for domain in DOMAINS for action in ACTIONS)


@dataclass(frozen=True, kw_only=True)
class IntentTask:
    """How many requests there are, and how hard they are.

    Attributes:
        old_train: Training requests of the old data.
        updated_train: Training requests of the updated data, the old ones among them.
        old_dev: Validation requests of the old data.
        updated_dev: Validation requests of the updated data, the old ones among them.
        test: Test requests, the same in both.
        neighbour_ratio: How often a word comes from the list of the neighbouring domain or action.
        lost_word_ratio: How often a word is missing.
        label_noise_ratio: How often the label is another one of the same domain.
        tail: Exponent of the words' frequencies, 1 / rank^tail.
        class_tail: Exponent of the intents' frequencies.
    """

    old_train: int = 1000
    updated_train: int = 1500
    old_dev: int = 333
    updated_dev: int = 500
    test: int = 4000
    neighbour_ratio: float = 0.05
    lost_word_ratio: float = 0.04
    label_noise_ratio: float = 0.04
    tail: float = 1.5
    class_tail: float = 0.8


def write_intents(folder: str | Path, task: IntentTask, seed: int = 0) -> None:
    """Write the task as FOLDER/{old,updated}/{train,dev,test}.jsonl, the layout of the data-update splits.

    No text of the test part is in another part. The same seed gives the same bytes.
    """
    folder = Path(folder)
    seen: set[str] = set()
    test = _requests(task, seed, "test", task.test, seen)
    dev = _requests(task, seed, "dev", task.updated_dev, seen)
    train = _requests(task, seed, "train", task.updated_train, seen)
    parts = {
        "old": (train[: task.old_train], dev[: task.old_dev], test),
        "updated": (train, dev, test),
    }
    for version, (train_part, dev_part, test_part) in parts.items():
        for name, rows in (("train", train_part), ("dev", dev_part), ("test", test_part)):
            write_jsonl(folder / version / f"{name}.jsonl", rows)


def intent_quotas(number: int, class_tail: float) -> npt.NDArray[np.int64]:
    """How many of `number` requests each intent gets, int64 [60]: at least one each where that can be.

    Frequencies fall as 1 / rank^class_tail; what rounding leaves goes to the largest remainders.
    """
    weights = np.arange(1, len(INTENTS) + 1, dtype=np.float64) ** -class_tail
    floor = 1 if number >= len(INTENTS) else 0
    exact = weights / weights.sum() * (number - floor * len(INTENTS))
    quotas: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    quotas[
        np.argsort(quotas - exact, kind="stable")[: int(number - floor * len(INTENTS) - quotas.sum())]
    ] += 1
    quotas += floor
    return quotas


def _requests(task: IntentTask, seed: int, part: str, number: int, seen: set[str]) -> list[dict[str, object]]:
    """The requests of one part in random order; texts are new, and are added to `seen`.

    Each prefix holds the intents in about their shares, for the old data are a prefix of the updated ones.
    """
    intents = np.repeat(np.arange(len(INTENTS)), intent_quotas(number, task.class_tail))
    intents = intents[stream(seed, f"intents {part} order").permutation(number)]
    # frequent intents are spread over the domains, the same way in every part
    ranked = stream(seed, "intents ranks").permutation(len(INTENTS))
    rows: list[dict[str, object]] = []
    for index, rank in enumerate(intents):
        label = int(ranked[rank])
        text = next(text for text in _attempts(task, seed, part, index, label) if text not in seen)
        seen.add(text)
        noisy = _noisy_label(task, seed, part, index, label)
        rows.append(
            {
                "id": f"{part}-{index}",
                "partition": part,
                "label": noisy,
                "text": text,
                "label_name": INTENTS[noisy],
            }
        )
    return rows


def _attempts(task: IntentTask, seed: int, part: str, index: int, label: int) -> Iterator[str]:
    """Texts for one request, ever longer ones at last, so that a new one is always found."""
    random = stream(seed, f"intents {part} text", index)
    for attempt in count():
        domain, action = divmod(label, len(ACTIONS))
        noun = _word(random, [words.split() for words in DOMAINS.values()], domain, task)
        verb = _word(random, [words.split("|") for words in ACTIONS.values()], action, task)
        parts = [verb, "the" if random.random() < 0.4 else "", noun]
        if random.random() < 0.25:
            parts = [parts[1], parts[2], verb]
        parts += [_some(random, FILLERS, 0.3)] + [_some(random, FILLERS, 0.2)] * (attempt > 20)
        parts = [_some(random, OPENERS, 0.2), *parts, _some(random, CLOSERS, 0.15)]
        text = " ".join(part for part in parts if part)
        if text:
            yield text


def _word(random: np.random.Generator, lists: Sequence[Sequence[str]], own: int, task: IntentTask) -> str:
    if random.random() < task.lost_word_ratio:
        return ""
    words = lists[(own + (random.random() < task.neighbour_ratio)) % len(lists)]
    weights = np.arange(1, len(words) + 1, dtype=np.float64) ** -task.tail
    return str(words[int(random.choice(len(words), p=weights / weights.sum()))])


def _some(random: np.random.Generator, phrases: str, probability: float) -> str:
    choices = phrases.split("|")
    chosen = choices[int(random.integers(len(choices)))]
    return chosen if random.random() < probability else ""


def _noisy_label(task: IntentTask, seed: int, part: str, index: int, label: int) -> int:
    random = stream(seed, f"intents {part} label", index)
    if random.random() >= task.label_noise_ratio:
        return label
    domain, action = divmod(label, len(ACTIONS))
    return domain * len(ACTIONS) + (action + 1 + int(random.integers(len(ACTIONS) - 1))) % len(ACTIONS)
