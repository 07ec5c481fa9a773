"""The official pipeline's page functions, out of a checkout of mlfoundations/dclm that is not changed.

Runs in an environment of its own with `REQUIREMENTS`. What the checkout imports beside those (KenLM, S3 and
tokenizer clients) is not needed for filters, and stands in as empty modules.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

REQUIREMENTS = [
    "uniseg==0.10.1",
    "retrie==0.3.1",
    "nltk==3.8.1",
    "fasttext-wheel==0.9.2",
    "numpy<2",
    "unidecode",
    "justext",
    "beautifulsoup4",
    "lxml[html_clean]",
]
NOT_NEEDED = (
    "transformers",
    "kenlm",
    "sentencepiece",
    "langdetect",
    "boto3",
    "botocore",
    "jsonlines",
    "zstandard",
    "s3fs",
    "smart_open",
    "cloudpathlib",
    "huggingface_hub",
    "simdjson",
    "psutil",
    "yaml",
    "requests",
    "tqdm",
)


def load_official(checkout: Path) -> Callable[..., Callable[[dict[str, Any]], list[dict[str, Any]]]]:
    """The official factory `get_mapper(func, **parameters)`; the working folder becomes the checkout."""
    os.chdir(checkout)
    sys.path[:0] = [str(checkout), str(checkout / "baselines")]
    for name in NOT_NEEDED:
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = _Absent(name)
            for child in ("exceptions", "detector_factory", "lang_detect_exception", "utils"):
                sys.modules[f"{name}.{child}"] = _Absent(f"{name}.{child}")
    factories = importlib.import_module("baselines.core.factories")
    get_mapper: Callable[..., Callable[[dict[str, Any]], list[dict[str, Any]]]] = factories.get_mapper
    return get_mapper


class _Absent(ModuleType):
    """A module of which every name can be imported, and nothing can be used."""

    __path__ = ()  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock()
