"""Where a model runs."""

import torch
from toolkit_shared.errors import InputError


def usable_device(name: str) -> torch.device:
    """The device of a name; `auto` is a CUDA device where there is one, and else the CPU.

    Raises:
        InputError: torch knows no such device, or there is none here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(
            f"--device {name}: torch knows no such device; give auto, cpu, cuda or cuda:N"
        ) from None
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).split(". ")[0].splitlines()[0][:120]  # some of torch's reasons fill a screen
        raise InputError(f"--device {name}: cannot be used here ({reason}); pass --device cpu") from None
    return device
