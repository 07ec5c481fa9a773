"""A paper's claims at small scale: runs that are kept, questions with verdicts, result files. No torch here.

A toolkit's experiment is a set of runs (arms x paired seeds, in one or more scenarios), and questions that
were put, with what is expected, before anything ran:

    def accuracy(run: Run, runs: Runs) -> float | None:
        return run["accuracy"]

    QUESTIONS = (
        Question(name="accuracy-against-control", metric="accuracy", unit="", value=accuracy, first="method",
                 second="control", form="difference", direction="higher", higher_is_better=True,
                 expected="the method gains over training on", gated=True),
    )
    tasks = {run_name(arm, seed): Task(arm, seed) for arm, seed in paired_order(arms, seeds)}
    found = complete_runs(out, kind="toy-claims", config=..., toolkit_version=..., tasks=tasks, run=run_one)
    runs = {(arm, seed): found[run_name(arm, seed)] for arm in arms for seed in seeds}
    answers = answer_all(QUESTIONS, runs)
    passed = gate(answers)
    lines = answer_lines(answer_entries(answers))
    write_results(answers, folder, toolkit="toy", environment=..., command=..., started=..., seconds=...)

With several scenarios, `run_name(arm, seed, scenario)` names the files, there is one mapping `Runs` for each
scenario, and `write_results(..., variant=scenario)` tells their result files apart. A task may as well be a
whole seed whose arms share what is costly: `tasks` are any names, and a result is any JSON object.
"""

from toolkit_shared.claims.answers import answer_entries, answer_lines, write_results
from toolkit_shared.claims.runs import complete_runs, paired_order, run_name, run_path
from toolkit_shared.claims.verdicts import Answer, Question, Run, Runs, answer, answer_all, gate

__all__ = [
    "Answer",
    "Question",
    "Run",
    "Runs",
    "answer",
    "answer_all",
    "answer_entries",
    "answer_lines",
    "complete_runs",
    "gate",
    "paired_order",
    "run_name",
    "run_path",
    "write_results",
]
