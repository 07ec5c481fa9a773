"""The command table of dclm-bench."""

from toolkit_shared.cli import Command, run

ABOUT = (
    "DataComp-LM: from crawl files to a filtered, deduplicated, ranked and tokenised dataset with an audit "
    "trail, to a model at a fixed scale, to a score file."
)

COMMANDS: dict[str, Command] = {}


def main() -> int:
    """Run one command; returns the exit code."""
    return run("dclm-bench", ABOUT, COMMANDS)
