"""Generated runs: as lm-evaluation-harness writes them, with the outcomes that were asked for."""

import hashlib
import json
from pathlib import Path

from llm_compat.data.generate import (
    FLEXIBLE,
    STRICT,
    GeneratedTask,
    documents_of,
    records_of,
    write_harness_run,
)

KEYS = [
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"),
    *("doc_hash", "prompt_hash", "target_hash"),
]


def task(kind: str, **more: object) -> GeneratedTask:
    values: dict[str, object] = {"name": "t", "kind": kind, "answers": [1, 0, 2]} | more
    return GeneratedTask(**values)  # type: ignore[arg-type]


def test_files_are_named_by_task_and_time_in_a_folder_of_the_model(tmp_path: Path) -> None:
    place = write_harness_run(tmp_path, model="org/model:1", tasks=[task("choice")])

    assert place == tmp_path / "org__model__1"
    assert sorted(file.name for file in place.iterdir()) == [
        "results_2026-03-01T12-00-00.250000.json",
        "samples_t_2026-03-01T12-00-00.250000.jsonl",
    ]


def test_records_have_the_keys_of_the_harness_in_its_order_and_then_the_metrics() -> None:
    for kind in ("choice", "generation", "loglikelihood", "summary"):
        for record in records_of(task(kind)):
            assert list(record) == [*KEYS, *record["metrics"]]
            assert isinstance(record["target"], str)
            text = json.dumps(record["doc"], indent=2, ensure_ascii=False)
            assert record["doc_hash"] == hashlib.sha256(text.encode()).hexdigest()
            assert record["target_hash"] == hashlib.sha256(record["target"].encode()).hexdigest()


def test_numbers_in_responses_are_text() -> None:
    (record, *_) = records_of(task("choice"))
    assert all(type(part) is str for pair in record["filtered_resps"] for part in pair)
    assert record["resps"] == [[pair] for pair in record["filtered_resps"]]


def test_the_model_gives_the_answers_that_were_asked_for() -> None:
    asked = task("choice", answers=[0, 3, 1, 2])
    for record, answer in zip(records_of(asked), asked.answers, strict=True):
        values = [float(value) for value, _ in record["filtered_resps"]]
        assert values.index(max(values)) == answer
        assert record["acc"] == float(str(answer) == record["target"])


def test_all_documents_come_under_the_first_filter_then_under_the_next() -> None:
    asked = task("generation", answers=[5, None], unmarked=frozenset({0}))
    records = list(records_of(asked))

    assert [(record["filter"], record["doc_id"]) for record in records] == [
        *((STRICT, 0), (STRICT, 1)),
        *((FLEXIBLE, 0), (FLEXIBLE, 1)),
    ]
    assert [record["filtered_resps"] for record in records] == [
        ["[invalid]"],
        ["[invalid]"],
        ["5."],
        ["[invalid]"],
    ]


def test_documents_depend_on_name_and_seed_and_not_on_the_model() -> None:
    def prompts(**more: object) -> list[str]:
        return [document.prompt for document in documents_of(task("choice", **more))]

    assert prompts() == prompts(answers=[3, 3, 3])
    assert prompts() != prompts(seed=1)
    assert prompts() != prompts(name="u")
    assert len(set(prompts(answers=[0] * 1500))) == 1500


def test_lines_are_as_long_as_was_asked_for() -> None:
    for size in (100, 2000):
        (document, *_) = documents_of(task("choice", context_characters=size))
        assert 0.6 * size < len(document.prompt) < 1.5 * size


def test_results_tell_means_counts_and_directions(tmp_path: Path) -> None:
    place = write_harness_run(
        tmp_path, model="m", tasks=[task("loglikelihood", answers=[1, 0, 1, 1]), task("generation", name="g")]
    )
    results = json.loads(next(place.glob("results_*")).read_text())

    assert results["results"]["t"]["acc,none"] == 0.75
    assert results["n-samples"]["t"] == {"original": 4, "effective": 4}
    assert results["higher_is_better"]["t"] == {"perplexity": False, "acc": True}
    assert results["n-samples"]["g"]["effective"] == 3
    assert {f"exact_match,{name}" for name in (STRICT, FLEXIBLE)} < results["results"]["g"].keys()
    assert results["configs"]["g"]["output_type"] == "generate_until"
