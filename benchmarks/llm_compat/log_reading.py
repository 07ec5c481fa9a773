"""How fast is a log of lm-evaluation-harness read, against decoding every line into a dictionary?

The log is generated: a choice task of four choices under one filter, in lines of about 6 KB, as few-shot
tasks have them. It is in the page cache. All arms give the mean accuracy and the number of documents, which
are compared; ours also rebuilds the choice of every document and checks both accuracies on every line.
"""

import importlib
import importlib.util
import json
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from llm_compat.data.generate import GeneratedTask, write_harness_run
from llm_compat.data.runs import read_run

from benchmarks.bandwidth import read_bandwidth
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

ONE, TWO = "ours, 1 process", "ours, 2 processes allowed"
LOOP, PANDAS = "json loop (standard library)", "pandas.read_json"
CONTEXT_CHARACTERS = 1000
SMOKE_RECORDS, FULL_RECORDS = 300, 34_000

QUESTION = Question(
    name="log-reading",
    toolkit="llm-compat",
    expected="at least 5 times the bytes/s of a loop of json.loads into dictionaries",
    holds=lambda ratio: ratio >= 5,
    packages=["llm-compat", "msgspec", "numpy"],
    unit="bytes",
)

Found = tuple[int, float]


def read_ours(log: Path, workers: int) -> Found:
    """Number of documents and accuracy by this repository."""
    (one,) = read_run(log, workers=workers)
    return len(one), float(one.scores["acc"].mean())


def read_loop(log: Path) -> Found:
    """The same by the loop that scripts have: a dictionary a line, by document and filter."""
    records = {}
    with open(log, encoding="utf-8") as stream:
        for line in stream:
            record = json.loads(line)
            records[record["doc_id"], record["filter"]] = record
    return len(records), sum(record["acc"] for record in records.values()) / len(records)


def read_pandas(log: Path) -> Found:
    """The same by pandas, which makes a column of every field."""
    frame = importlib.import_module("pandas").read_json(log, lines=True)
    return len(frame), float(frame["acc"].mean())


def measure(options: Options) -> Finding:
    """Time the arms in turn on the same log, and measure the memory of ours."""
    records = options.pick(SMOKE_RECORDS, FULL_RECORDS)
    with tempfile.TemporaryDirectory() as name:
        answers = [number * 7 % 4 for number in range(records)]
        task = GeneratedTask(
            name="choices", kind="choice", answers=answers, context_characters=CONTEXT_CHARACTERS
        )
        place = write_harness_run(name, model="model", tasks=[task])
        log = next(place.glob("samples_*"))
        size = log.stat().st_size
        found: dict[str, Found] = {}

        def arm(which: str, read: Callable[[], Found]) -> Callable[[], Sample]:
            def run() -> float:
                found[which] = read()
                return float(size)

            return lambda: timed(run)

        arms = {
            TWO: arm(TWO, lambda: read_ours(log, 2)),
            ONE: arm(ONE, lambda: read_ours(log, 1)),
            LOOP: arm(LOOP, lambda: read_loop(log)),
        }
        versions = {}
        if options.peers and importlib.util.find_spec("pandas") is not None:
            arms[PANDAS] = arm(PANDAS, lambda: read_pandas(log))
            versions["pandas"] = importlib.import_module("pandas").__version__
        samples = alternate(arms, repeats=options.repeats, progress=report_round)
        counts = {count for count, _ in found.values()}
        assert counts == {records}, f"the arms read {counts} documents, not {records}"
        accuracies = [accuracy for _, accuracy in found.values()]
        assert max(accuracies) - min(accuracies) < 1e-12, f"the arms found accuracies {accuracies}"
        memory = peak_memory(log)
    rate = max(sample.work / sample.wall_seconds for sample in samples[ONE])
    bound = (
        f"decoding JSON in one process: {rate / 1e9:.2f} GB/s, {rate / read_bandwidth():.0%} of what one "
        "core reads from memory"
    )
    note = (
        f"{records:,} records in {size / 1e6:.0f} MB, {size / records:.0f} bytes a line; memory above that "
        f"of the imports: {memory / 1e6:.1f} MB, {memory / size:.1%} of the log; a second process is started "
        "only for logs above 512 MiB, as starting it takes as long as reading some hundred megabytes"
    )
    return Finding(samples, TWO, LOOP, bound, versions, note)


def peak_memory(log: Path) -> int:
    """Bytes that a process needs for reading a log, beyond what it needed before: the peak of its memory."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_read_and_tell, args=(str(log), theirs))
    process.start()
    theirs.close()
    peak = ours.recv()
    process.join()
    assert process.exitcode == 0
    return int(peak)


def _read_and_tell(log: str, connection: Connection) -> None:
    with tempfile.TemporaryDirectory() as name:
        # imports and buffers of the first run belong to the program, not to the log
        task = GeneratedTask(name="few", kind="choice", answers=[0] * 20)
        read_run(write_harness_run(name, model="model", tasks=[task]))
    before = _peak()
    read_run(log)
    connection.send(_peak() - before)


def _peak() -> int:
    """The most bytes of memory that this process has had."""
    status = Path("/proc/self/status")
    if (
        status.exists()
    ):  # what getrusage tells there begins with the peak of the process that started this one
        found = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(found.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
