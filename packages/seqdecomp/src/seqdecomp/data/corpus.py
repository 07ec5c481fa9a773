"""Real text that is on every machine: the running interpreter's standard library, as documents.

Which files count: `.py` files below `sysconfig.get_path("stdlib")` (inside a virtual environment that is the
base interpreter's library) whose top-level module is in `sys.stdlib_module_names`. That leaves out installed
packages, `sitecustomize` and the sources generated while the interpreter was built. Left out by name are test
suites, `__pycache__` and the embedded `_vendor` copies of other projects.

The documents depend on the interpreter's sources and on nothing else: not on the order in which the file
system lists them, and not on where the library stands. Another Python version gives other documents, so
results should name the version together with `count_corpus`.
"""

import ast
import hashlib
import logging
import sys
import sysconfig
import textwrap
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolkit_shared.errors import InputError

logger = logging.getLogger(__name__)

EXCLUDED_FOLDERS = frozenset(
    {"__pycache__", "_vendor", "dist-packages", "idle_test", "site-packages", "test", "tests"}
)


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Attributes:
        text: Its text.
        path_in_library: The file that it comes from, relative to the library, with forward slashes.
    """

    text: str
    path_in_library: str


@dataclass(frozen=True, slots=True)
class CorpusCount:
    """How much text a corpus holds, for reports: files, documents and characters."""

    files: int
    documents: int
    characters: int


def standard_library_functions(library: Path | None = None) -> Iterator[Document]:
    """The functions and methods of the standard library, by file and then by line, none inside another.

    A function nested in a function is part of the outer one's text and no document of its own; of texts that
    are equal to the letter only the first is given. Decorators belong to the text; common indentation is
    removed. A file that does not parse is logged and skipped.

    Args:
        library: Folder to read; default: the running interpreter's standard library.

    Raises:
        InputError: the library's sources are not there as files.
    """
    seen: set[bytes] = set()
    for path, source in _sources(library):
        tree = _parse(source, path)
        if tree is None:
            continue
        # Not str.splitlines: it also splits at form feeds, which the parser does not count as line ends.
        lines = source.split("\n")
        for function in _outermost_functions(tree):
            first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
            text = textwrap.dedent("\n".join(lines[first - 1 : function.end_lineno])).rstrip() + "\n"
            digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if digest not in seen:
                seen.add(digest)
                yield Document(text, path)


def standard_library_modules(library: Path | None = None) -> Iterator[Document]:
    """The modules of the standard library, one document a file, ordered by path; empty files are left out.

    Args:
        library: Folder to read; default: the running interpreter's standard library.

    Raises:
        InputError: the library's sources are not there as files.
    """
    for path, source in _sources(library):
        if source.strip():
            yield Document(source, path)


def is_validation(path_in_library: str, validation_fraction: float = 0.1) -> bool:
    """Whether a source file belongs to the validation part; a fixed function of the file's path.

    All documents of a file fall on the same side, so that a function is never validated by a model that
    trained on its neighbours.

    Raises:
        ValueError: `validation_fraction` is outside 0..1.
    """
    if not 0 <= validation_fraction <= 1:
        raise ValueError(f"validation_fraction: {validation_fraction} is outside 0..1")
    digest = hashlib.blake2b(path_in_library.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < validation_fraction * 2**64


def split_by_file(
    documents: Iterable[Document], validation_fraction: float = 0.1
) -> tuple[list[Document], list[Document]]:
    """The training and the validation documents, each in the given order, split by `is_validation`."""
    train: list[Document] = []
    validation: list[Document] = []
    for document in documents:
        chosen = validation if is_validation(document.path_in_library, validation_fraction) else train
        chosen.append(document)
    return train, validation


def count_corpus(documents: Iterable[Document]) -> CorpusCount:
    """Files, documents and characters of a corpus; reads it to its end."""
    files: set[str] = set()
    count = characters = 0
    for document in documents:
        files.add(document.path_in_library)
        count += 1
        characters += len(document.text)
    return CorpusCount(files=len(files), documents=count, characters=characters)


def _sources(library: Path | None) -> Iterator[tuple[str, str]]:
    """Path in the library and decoded text of each source file, in the order of the paths' parts."""
    is_interpreters = library is None
    root = Path(sysconfig.get_path("stdlib")) if library is None else library
    paths = sorted(
        (path.relative_to(root).as_posix() for path in root.rglob("*.py")),
        key=lambda path: PurePosixPath(path).parts,
    )
    paths = [path for path in paths if _is_counted(path, is_interpreters)]
    if not paths:
        raise InputError(
            f"{root}: no Python sources of the standard library here; use an interpreter that ships its "
            "library as .py files"
        )
    for path in paths:
        try:
            with tokenize.open(root / path) as file:
                source = file.read()
        except (SyntaxError, UnicodeDecodeError, OSError) as error:
            logger.info("skipped %s: cannot be read (%s)", path, error)
            continue
        yield path, source


def _is_counted(path: str, is_interpreters: bool) -> bool:
    parts = PurePosixPath(path).parts
    if EXCLUDED_FOLDERS.intersection(parts):
        return False
    # A folder that the caller names has modules of its own; the interpreter's is mixed with other things.
    return not is_interpreters or parts[0].removesuffix(".py") in sys.stdlib_module_names


def _parse(source: str, path: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the library's authors wrote is not the reader's concern
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError) as error:
            logger.info("skipped %s: does not parse (%s)", path, error)
            return None


def _outermost_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions in source order that stand in no other function; classes and blocks are entered."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _outermost_functions(child)
