"""The generated crawl: real formats, equal bytes for equal seeds, and defects that are there."""

import gzip
import io
import json
import zlib
from collections import Counter

import pytest
from dclm_bench.data.generated import KINDS, pages_jsonl, write_crawl
from dclm_bench.data.generated.crawl import BLOCK
from toolkit_shared.errors import InputError

CRAWL = 64


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    out = tmp_path_factory.mktemp("crawl")
    return out, write_crawl(out, pages=CRAWL, seed=3)


def read_responses(path):
    """URL -> payload of every response, read by a library that others wrote."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with path.open("rb") as stream:
        return {
            record.headers["WARC-Target-URI"]: record.reader.read()
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response)
        }


def test_every_kind_is_there_and_every_block_has_the_same_numbers_of_each(crawl):
    _, truths = crawl
    kinds = Counter(truth.kind for truth in truths)
    assert set(kinds) == {*KINDS, "duplicate", "near-duplicate"} == set(BLOCK)
    block = sum(BLOCK.values())
    assert Counter(truth.kind for truth in truths[:block]) == BLOCK


def test_a_warc_library_finds_every_page_once_and_in_its_file(crawl):
    out, truths = crawl
    found = {path.name: read_responses(path) for path in sorted(out.glob("*.warc.gz"))}
    assert list(found) == ["crawl-00000.warc.gz", "crawl-00001.warc.gz"]
    assert [truth.url for truth in truths] == [url for pages in found.values() for url in pages]
    assert all(truth.url in found[truth.file] for truth in truths)


def test_every_record_is_a_gzip_member_of_its_own(crawl):
    out, truths = crawl
    packed = (out / "crawl-00000.warc.gz").read_bytes()
    kinds = []
    while packed:
        member = zlib.decompressobj(wbits=31)
        record = member.decompress(packed) + member.flush()
        assert record.startswith(b"WARC/1.0\r\n")
        assert record.endswith(b"\r\n\r\n")
        kinds.append(record.split(b"WARC-Type: ")[1].split(b"\r\n")[0])
        packed = member.unused_data
    number = sum(truth.file == "crawl-00000.warc.gz" for truth in truths)
    assert kinds == [b"warcinfo", *[b"request", b"response"] * number]


def test_the_main_text_stands_in_the_html_between_what_the_site_adds(crawl):
    out, truths = crawl
    pages = read_responses(out / "crawl-00000.warc.gz")
    truth = next(truth for truth in truths if truth.kind == "boilerplate")
    html = pages[truth.url].decode()
    paragraphs = truth.text.split("\n\n")
    assert all(f"<p>{line}</p>".replace("'", "&#x27;") in html for line in paragraphs[1:])
    assert len(html) > 3 * len(truth.text)


def test_only_pages_said_to_be_lost_are_not_utf8(crawl):
    out, truths = crawl
    for path in sorted(out.glob("*.warc.gz")):
        pages = read_responses(path)
        for truth in (truth for truth in truths if truth.file == path.name):
            try:
                pages[truth.url].decode()
                readable = True
            except UnicodeDecodeError:
                readable = False
            assert readable == (truth.lost == ""), truth.kind


def test_copies_name_their_original_and_have_its_words(crawl):
    _, truths = crawl
    copies = [truth for truth in truths if truth.duplicate_of is not None]
    assert {truth.kind for truth in copies} == {"duplicate", "near-duplicate"}
    for copy in copies:
        original = truths[copy.duplicate_of]
        assert original.page < copy.page
        assert original.url != copy.url
        assert original.kind == "article"
        if copy.kind == "duplicate":
            assert copy.text == original.text
        else:
            shared = set(copy.text.split("\n\n")) & set(original.text.split("\n\n"))
            assert len(shared) == len(original.text.split("\n\n")) - 2  # without title and last paragraph


def test_defects_are_those_that_the_kinds_are_named_for(crawl):
    _, truths = crawl
    by_kind = {kind: [truth for truth in truths if truth.kind == kind] for kind in BLOCK}
    assert all(len(truth.text.split()) < 50 for truth in by_kind["short"])
    assert all(len(truth.text.split()) >= 60 for truth in truths if truth.good)
    assert all(truth.language != "en" for truth in by_kind["foreign"])
    assert all("/jackpots/" in truth.url for truth in by_kind["banned-url"])
    for truth in by_kind["repetitive"]:
        assert max(Counter(truth.text.split("\n\n")).values()) == 4
    for truth in by_kind["listicle"]:
        lines = truth.text.split("\n\n")
        assert sum(line.startswith("•") for line in lines) / len(lines) > 0.9
    for truth in by_kind["keywords"]:
        assert not {"the", "be", "to", "of", "and", "that", "have", "with"} & set(truth.text.split())


def test_equal_arguments_give_equal_bytes_and_another_seed_other_texts(tmp_path, crawl):
    out, truths = crawl
    again = write_crawl(tmp_path / "again", pages=CRAWL, seed=3)
    other = write_crawl(tmp_path / "other", pages=CRAWL, seed=4)
    assert again == truths
    for path in sorted(out.iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert not {truth.text for truth in other} & {truth.text for truth in truths}


def test_a_page_does_not_depend_on_how_many_there_are_nor_on_the_files(tmp_path, crawl):
    _, truths = crawl
    fewer = write_crawl(tmp_path, pages=40, files=3, seed=3)
    assert [truth.text for truth in fewer] == [truth.text for truth in truths[:40]]


def test_a_truncated_crawl_ends_within_its_last_member(tmp_path):
    truths = write_crawl(tmp_path, pages=5, files=1, truncated=True)
    assert [truth.lost == "truncated" for truth in truths] == [False] * 4 + [True]
    with pytest.raises(EOFError):
        gzip.GzipFile(fileobj=io.BytesIO((tmp_path / "crawl-00000.warc.gz").read_bytes())).read()


def test_json_lines_hold_the_same_texts_without_what_is_no_html(tmp_path, crawl):
    _, truths = crawl
    told = pages_jsonl(tmp_path / "pages.jsonl.gz", pages=CRAWL, seed=3)
    with gzip.open(tmp_path / "pages.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == [truth.text for truth in told]
    assert [row["text"] for row in rows] == [truth.text for truth in truths if truth.kind != "not-html"]
    assert all(row["metadata"]["WARC-Target-URI"] == row["url"] for row in rows)


def test_the_truth_table_is_written_beside_the_crawl(crawl):
    out, truths = crawl
    rows = json.loads((out / "truth.json").read_text())
    assert [row["url"] for row in rows] == [truth.url for truth in truths]


@pytest.mark.parametrize(("pages", "files"), [(0, 1), (3, 0), (3, 4)])
def test_impossible_numbers_are_refused(tmp_path, pages, files):
    with pytest.raises(InputError, match=f"{pages} pages in {files} files cannot be made"):
        write_crawl(tmp_path, pages=pages, files=files)
