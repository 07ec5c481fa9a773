"""What a text is taken for when copies are looked for; the official names."""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime

from toolkit_shared.errors import InputError

_SCHEME = re.compile(r"https?://(www\.)?")
_TRACKING = re.compile(r"\?(utm_|ref|feed).*")


def normalize_url(url: str) -> str:
    """The URL without scheme, "www.", tracking parameters and slashes at its end.

    Source: official `normalize_url`, the rule of the TensorFlow Datasets version of C4.
    """
    return _TRACKING.sub("", _SCHEME.sub("", url)).rstrip("/")


def normalize_whitespace_and_lowercase(text: str) -> str:
    """The text in lower case, without white space at its ends."""
    return text.strip().lower()


def normalize_timestamps(timestamp: str) -> float:
    """Seconds since 1970, taken in local time as the official function does; -1 for what is no timestamp."""
    try:
        return datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").timestamp()
    except ValueError:
        return -1.0


def hash_text(text: str) -> str:
    """The MD5 hash of the text in hexadecimal digits."""
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


NORMALIZERS: dict[str, Callable[[str], str | float]] = {
    "normalize_url": normalize_url,
    "normalize_timestamps": normalize_timestamps,
    "normalize_whitespace_and_lowercase": normalize_whitespace_and_lowercase,
    "hash_text": hash_text,
}


def require_normalizer(name: str | None, where: str) -> None:
    """Refuse a name that is none; the official program takes it for no normaliser at all.

    Raises:
        InputError: there is no such normaliser.
    """
    if name is not None and name not in NORMALIZERS:
        raise InputError(f"{where}: '{name}' is no normaliser; known are {', '.join(NORMALIZERS)}")
