"""A folder of raw data: articles with gold text, further pages, texts with human labels."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from toolkit_shared.artifacts import fingerprint, read_json, sha256_file
from toolkit_shared.errors import InputError
from toolkit_shared.records import read_jsonl

MAX_PAGE_BYTES = 32 << 20
_HTML = (".html", ".html.gz", ".htm", ".htm.gz")
_LAYOUT = "--data wants articles/ground-truth.json, articles/html/ID.html.gz, quality/*.jsonl and pages/"


@dataclass(frozen=True)
class RawPage:
    """A page as a server sent it.

    Attributes:
        id: Its name in the folder, without the ending.
        html: Its bytes.
        gold: The text of the article as a person sees it; None where nobody looked.
    """

    id: str
    html: bytes
    gold: str | None


@dataclass(frozen=True)
class Collection:
    """What a folder holds.

    Attributes:
        articles: Pages with gold text, by id.
        pages: Pages without, by id.
        labelled: Text, and whether people call it good.
        fingerprint: A name for the bytes of all files.
    """

    articles: tuple[RawPage, ...]
    pages: tuple[RawPage, ...]
    labelled: tuple[tuple[str, bool], ...]
    fingerprint: str


def read_collection(folder: str | Path) -> Collection:
    """The data in a folder.

    `articles/` is required; `pages/` (HTML files, packed or not, at any depth) and `quality/` (JSON lines of
    `text` and `label` 0 or 1; the largest file counts, for the others are parts of it) may be missing.

    Raises:
        InputError: a file is missing, damaged, or not of that form.
    """
    folder = Path(folder)
    truth_path = folder / "articles" / "ground-truth.json"
    if not truth_path.is_file():
        raise InputError(f"{truth_path}: no such file; {_LAYOUT}")
    truth = read_json(truth_path)
    if not isinstance(truth, dict) or not truth:
        raise InputError(f"{truth_path}: holds no article; it maps each id to an object with 'articleBody'")
    files = {truth_path: sha256_file(truth_path)}
    articles = []
    for name in sorted(truth):
        entry = truth[name]
        if not isinstance(entry, dict) or not isinstance(entry.get("articleBody"), str):
            raise InputError(f"{truth_path}: '{name}' has no text 'articleBody'; add it or remove the entry")
        if not name.replace("-", "").replace("_", "").isalnum():
            raise InputError(f"{truth_path}: the id '{name}' is no file name; use letters, digits, - and _")
        path = folder / "articles" / "html" / f"{name}.html.gz"
        files[path] = sha256_file(path) if path.is_file() else ""
        articles.append(RawPage(name, _read_page(path), entry["articleBody"]))
    pages = []
    for path in sorted((folder / "pages").rglob("*")):
        if path.is_file() and path.name.lower().endswith(_HTML):
            files[path] = sha256_file(path)
            name = path.relative_to(folder / "pages").as_posix()
            pages.append(RawPage(f"pages/{name}", _read_page(path), None))
    quality = sorted((folder / "quality").glob("*.jsonl"), key=lambda path: path.stat().st_size)
    labelled = _read_labelled(quality[-1]) if quality else ()
    if quality:
        files[quality[-1]] = sha256_file(quality[-1])
    name = fingerprint({path.relative_to(folder).as_posix(): digest for path, digest in files.items()})
    return Collection(tuple(articles), tuple(pages), labelled, name)


def _read_page(path: Path) -> bytes:
    try:
        if not path.name.endswith(".gz"):
            if path.stat().st_size > MAX_PAGE_BYTES:
                raise InputError(f"{path}: is larger than {MAX_PAGE_BYTES:,} bytes; remove it")
            return path.read_bytes()
        with gzip.open(path, "rb") as stream:
            data = stream.read(MAX_PAGE_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {_LAYOUT}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from None
    if len(data) > MAX_PAGE_BYTES:
        raise InputError(f"{path}: unpacks to more than {MAX_PAGE_BYTES:,} bytes; remove it")
    return data


def _read_labelled(path: Path) -> tuple[tuple[str, bool], ...]:
    rows = []
    for place, row in read_jsonl(path):
        if not isinstance(row.get("text"), str) or row.get("label") not in (0, 1):
            raise InputError(
                f"{path}, {place}: wants 'text' and a 'label' of 0 or 1; mend or remove the line"
            )
        rows.append((row["text"], bool(row["label"])))
    return tuple(rows)
