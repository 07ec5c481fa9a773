"""A command module whose import needs an extra."""

from toolkit_shared.errors import require

absent = require("no_such_module_anywhere", toolkit="toy-toolkit", extra="train")


def missing() -> None:
    """Never reached."""
