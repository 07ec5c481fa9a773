"""The command table of seqdecomp."""

from toolkit_shared.cli import Command, run

ABOUT = (
    "Dataset decomposition: cut documents into pieces of power-of-two length, "
    "and train on one length at a time with a length curriculum."
)

COMMANDS = {
    "stats": Command(
        "Show the buckets, what is lost and the predicted time of a corpus, before building anything.",
        "seqdecomp.commands.stats:stats",
    ),
    "build": Command(
        "Tokenise documents and index their pieces by length.", "seqdecomp.commands.build:build"
    ),
    "plan": Command("Lay out every step of a run, with its cost.", "seqdecomp.commands.plan:plan"),
    "train": Command("Train a language model on a store.", "seqdecomp.commands.train:train"),
    "eval": Command("Evaluate a model per document and on tasks.", "seqdecomp.commands.eval:evaluate"),
    "verify": Command("Check a store against its hashes and promises.", "seqdecomp.commands.verify:verify"),
    "export": Command("Write a store in another project's format.", "seqdecomp.commands.export:export"),
    "demo": Command(
        "Decompose, plan, train and compare in a minute and a half.", "seqdecomp.commands.demo:demo"
    ),
    "claims": Command("Test the paper's claims at small scale.", "seqdecomp.commands.claims:claims"),
}


def main() -> int:
    """Run one command; returns the exit code."""
    return run("seqdecomp", ABOUT, COMMANDS)
