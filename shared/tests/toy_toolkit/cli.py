"""The command table of the toy toolkit."""

from toolkit_shared.cli import Command, run

COMMANDS = {
    "train": Command("Train the toy.", "toy_toolkit.commands.train:train"),
    "check": Command("Check the inputs.", "toy_toolkit.commands.ends:check"),
    "refuse": Command("Refuse its input.", "toy_toolkit.commands.ends:refuse"),
    "interrupt": Command("Be interrupted.", "toy_toolkit.commands.ends:interrupt"),
    "crash": Command("Have a defect.", "toy_toolkit.commands.ends:crash"),
    "write": Command("Write a file.", "toy_toolkit.commands.ends:write"),
    "extra": Command("Need an extra inside.", "toy_toolkit.commands.ends:extra"),
    "missing": Command("Need an extra at import.", "toy_toolkit.commands.missing:missing"),
    "misplaced": Command("Have a default in an instance.", "toy_toolkit.commands.ends:misplaced"),
    "lines": Command("Print many lines.", "toy_toolkit.commands.ends:lines"),
    "wait": Command("Wait for an interrupt.", "toy_toolkit.commands.ends:wait"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command of the toy."""
    return run("toy-toolkit", "A toolkit for tests.", COMMANDS, argv)


if __name__ == "__main__":
    raise SystemExit(main())
