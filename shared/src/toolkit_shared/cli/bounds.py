"""Numbers of the command line that are too small."""

from toolkit_shared.errors import InputError


def require_at_least(least: int, /, **options: int | None) -> None:
    """Pass when no option is below `least`, which is 0 or 1; None is an option that was not given.

    The keywords are the options' names in Python, as in `require_at_least(1, batch_size=batch_size)`.

    Raises:
        InputError: one is, as `--batch-size: 0 is not positive; give 1 or more`.
    """
    wrong = "is not positive" if least else "is negative"
    for name, value in options.items():
        if value is not None and value < least:
            raise InputError(f"--{name.replace('_', '-')}: {value} {wrong}; give {least} or more")
