"""Published weights by name and tag, as open_clip lists them, fetched from the Hugging Face Hub on request.

open_clip has no MobileCLIP-S0 of the first generation (its text encoder does not exist there); that one comes
from the official repository on the Hub.
"""

import difflib
from pathlib import Path

from toolkit_shared.errors import InputError

from mobileclip.architectures import ARCHITECTURES

_OFFICIAL_FILES = {("MobileCLIP-S0", "datacompdr"): ("apple/MobileCLIP-S0", "mobileclip_s0.pt")}


def list_models() -> list[str]:
    """The names that `create_model` knows, in alphabetical order."""
    return sorted(ARCHITECTURES)


def list_pretrained() -> list[tuple[str, str]]:
    """The published weights as (model name, tag), in alphabetical order."""
    return sorted((name, tag) for name in ARCHITECTURES for tag in _tags(name))


def canonical_name(name: str) -> str | None:
    """The name of the architecture that is meant, or None.

    Case, `-`, `_` and `/` do not count, so that the official `mobileclip_s0` is MobileCLIP-S0.
    """
    return next((known for known in ARCHITECTURES if _plain(known) == _plain(name)), None)


def nearest_name(name: str, known: list[str]) -> str:
    """What to say about an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in known], n=1, cutoff=0.5)
    if near:
        return f"did you mean '{next(each for each in known if each.lower() == near[0])}'?"
    return f"known: {', '.join(known)}" if known else "none is published"


def checkpoint_path(name: str, pretrained: str | Path) -> Path:
    """The file of a checkpoint: a path that exists, or the tag of published weights, which are fetched.

    Raises:
        InputError: neither a file nor a tag of this model, or the Hub did not give it.
    """
    path = Path(pretrained)
    if path.exists():
        return path
    tag = str(pretrained)
    tags = _tags(name)
    if tag not in tags:
        # A tag is one word; anything else was meant as a file.
        if path.suffix or "/" in tag or not tags:
            raise InputError(f"{tag}: no such file; give a checkpoint, or a tag ({_known(tags)})")
        raise InputError(f"{name}: no weights '{tag}' and no such file; {nearest_name(tag, tags)}")
    return _fetched(name, tag)


def _known(tags: list[str]) -> str:
    return ", ".join(tags) if tags else "this model has none"


def _tags(name: str) -> list[str]:
    from open_clip.pretrained import list_pretrained_tags_by_model

    tags = set(list_pretrained_tags_by_model(name))
    tags |= {tag for known, tag in _OFFICIAL_FILES if known == name}
    return sorted(tags)


def _fetched(name: str, tag: str) -> Path:
    repository = f"{name}/{tag}"
    try:
        if (name, tag) in _OFFICIAL_FILES:
            from huggingface_hub import hf_hub_download

            repository, file = _OFFICIAL_FILES[name, tag]
            return Path(hf_hub_download(repository, file))
        from open_clip.pretrained import download_pretrained, get_pretrained_cfg

        configuration = get_pretrained_cfg(name, tag)
        repository = configuration.get("hf_hub", repository).rstrip("/")
        return Path(download_pretrained(configuration))
    except (OSError, ValueError, RuntimeError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise InputError(
            f"{name}: the weights '{tag}' could not be fetched from {repository} on the Hugging Face Hub: "
            f"{reason}; fetch the file elsewhere and give its path"
        ) from None


def _plain(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())
