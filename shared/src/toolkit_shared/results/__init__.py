"""Results of benchmarks and claims: one JSON file a run, of one schema, with the environment it ran in.

Write a result as follows; the report is rendered from the files alone (`toolkit_shared.report`).

    environment = capture_environment(["numpy", "peer"], threads=1)  # before the run: the load counts
    started, clock = timestamp(), time.monotonic()
    ...
    ours = Arm(name="ours", metric="throughput", unit="tokens/s", higher_is_better=True, values=(3.1e7,))
    result = Result(
        toolkit="seqdecomp", question="decompose-throughput", kind="performance", arms=(ours, theirs),
        comparison=ratio_comparison(ours, theirs), expected="ratio above 1.5", verdict="holds",
        bound_by="memory bandwidth, 61 %", environment=environment, command="make bench-seqdecomp",
        commit=current_commit(), started=started, seconds=time.monotonic() - clock,
    )
    write_result(result, folder)
"""

from toolkit_shared.results.environment import Environment, capture_environment, current_commit, timestamp
from toolkit_shared.results.files import read_result, read_results, result_schema, write_result
from toolkit_shared.results.result import (
    Arm,
    Comparison,
    PairedComparison,
    RatioComparison,
    Result,
    Verdict,
    compare_again,
    paired_comparison,
    ratio_comparison,
)

__all__ = [
    "Arm",
    "Comparison",
    "Environment",
    "PairedComparison",
    "RatioComparison",
    "Result",
    "Verdict",
    "capture_environment",
    "compare_again",
    "current_commit",
    "paired_comparison",
    "ratio_comparison",
    "read_result",
    "read_results",
    "result_schema",
    "timestamp",
    "write_result",
]
