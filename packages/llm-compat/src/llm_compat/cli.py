"""The command table of llm-compat."""

from toolkit_shared.cli import Command, run

ABOUT = (
    "Will the new model break what the old one got right? Compare two evaluations item by item, "
    "and train adapters that break less."
)

COMMANDS = {
    "diff": Command(
        "Compare two evaluation runs: what regressed, whether it is real, and what to do.",
        "llm_compat.commands.diff:diff",
    ),
    "gate": Command(
        "Pass only when the negative flip rate is certified to be below a limit.",
        "llm_compat.commands.gate:gate",
    ),
    "flips": Command("List the items that flipped, with both answers.", "llm_compat.commands.flips:flips"),
    "convert": Command(
        "Write a run as one table that every command reads.", "llm_compat.commands.convert:convert"
    ),
    "cache": Command(
        "Store what both teachers say of the training data, so that training needs neither.",
        "llm_compat.commands.cache:cache",
    ),
    "train": Command("Train a compatibility adapter on the new model.", "llm_compat.commands.train:train"),
    "demo": Command(
        "Show all of it on generated data in a minute and a half.", "llm_compat.commands.demo:demo"
    ),
    "claims": Command("Test the paper's claims at small scale.", "llm_compat.commands.claims:claims"),
}


def main() -> int:
    """Run one command; returns the exit code."""
    return run("llm-compat", ABOUT, COMMANDS)
