"""The command table of dclm-bench."""

from toolkit_shared.cli import Command, run

ABOUT = (
    "DataComp-LM: from crawl files to a filtered, deduplicated, ranked and tokenised dataset with an audit "
    "trail, to a model at a fixed scale, to a score file."
)

COMMANDS = {
    "run": Command("Run a recipe, with an audit of every verdict.", "dclm_bench.commands.run:run"),
    "extract": Command("Take the text out of crawl files.", "dclm_bench.commands.extract:extract"),
    "filter": Command("Filter pages one at a time.", "dclm_bench.commands.filter:filter"),
    "dedup": Command("Remove what is duplicated.", "dclm_bench.commands.dedup:dedup"),
    "quality train": Command(
        "Train a fastText classifier of good pages.", "dclm_bench.commands.quality_train:quality_train"
    ),
    "quality score": Command(
        "Score pages with a classifier, and keep the best.", "dclm_bench.commands.quality_score:quality_score"
    ),
    "tokenize": Command(
        "Tokenise pages and shuffle them into training shards.", "dclm_bench.commands.tokenize:tokenize"
    ),
    "mix": Command("Mix tokenised datasets into one.", "dclm_bench.commands.mix:mix"),
    "train": Command("Train a model of a DataComp-LM scale.", "dclm_bench.commands.train:train"),
    "evaluate": Command("Measure a model on task files.", "dclm_bench.commands.evaluate:evaluate"),
    "score": Command("Recompute CORE, EXTENDED and MMLU.", "dclm_bench.commands.score:score"),
    "compare": Command(
        "Say whether scores differ by more than noise.", "dclm_bench.commands.compare:compare"
    ),
    "contamination": Command(
        "Find evaluation questions in training text.", "dclm_bench.commands.contamination:contamination"
    ),
    "explain": Command("Show why a page was kept or dropped.", "dclm_bench.commands.explain:explain"),
    "what-if": Command("Try other limits on a finished run.", "dclm_bench.commands.what_if:what_if"),
    "funnel": Command("Show what each rule of a run dropped.", "dclm_bench.commands.funnel:funnel"),
    "demo": Command("The whole way once, on a generated crawl.", "dclm_bench.commands.demo:demo"),
    "claims": Command("Test the paper's claims at small scale.", "dclm_bench.commands.claims:claims"),
}


def main() -> int:
    """Run one command; returns the exit code."""
    return run("dclm-bench", ABOUT, COMMANDS)
