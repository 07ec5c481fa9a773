import gzip
import json

import pytest
from crawl_records import FIRST_LINE, HTML, packed, record, warcinfo
from dclm_bench.data.generated.crawl import write_crawl
from dclm_bench.extraction.shard import extract_shard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses

LATIN = "<html><body><p>Füße über Straßen in München, sagte die alte Frau.</p></body></html>"


def extract(tmp_path, *records, name="crawl.warc.gz", **options):
    path = tmp_path / name
    path.write_bytes(packed(*records))
    losses = Losses()
    return list(extract_shard(path, losses=losses, **options)), losses


def test_pages_are_what_the_official_loop_gives_with_an_id_added(tmp_path):
    # the official loop, by its description: strict UTF-8, main content, all headers, the last warcinfo
    records = [
        warcinfo(),
        record(number=1),
        record(LATIN.encode("latin-1"), number=2),
        record(b'{"json": true}', media=b"application/json", number=3),
        record(b"\x89PNG\r\n\x1a\n\xff\xfe", media=b"image/png", number=4),
        record(b"", number=5),
        record(b"5\r\nhello\r\n0\r\n\r\n", http_headers=[b"Transfer-Encoding: chunked"], number=6),
    ]
    pages, losses = extract(tmp_path, *records)
    expected, info = [], None
    for one in ArchiveIterator(
        str(tmp_path / "crawl.warc.gz"), record_types=WarcRecordType.response | WarcRecordType.warcinfo
    ):
        body = one.reader.read()
        if one.record_type == WarcRecordType.warcinfo:
            info = body.decode().strip()
            continue
        try:
            text = extract_plain_text(body.decode("utf-8"), main_content=True)
        except UnicodeDecodeError:
            continue
        expected.append({"text": text, "metadata": dict(one.headers), "warcinfo": info})
    found = [page.to_json() for page in pages]
    assert [record.pop("id") for record in found] == [f"<urn:uuid:{n}>" for n in (1, 3, 5, 6)]
    assert found == expected
    assert losses.lost == {"not UTF-8": 2}
    assert losses.noted == {"page without text": 1, "body still chunked or gzipped": 1}
    assert losses.damaged == ""


def test_detection_saves_the_pages_that_strict_decoding_loses(tmp_path):
    records = [
        record(LATIN.encode("latin-1"), media=b"text/html; charset=iso-8859-1", number=1),
        record(gzip.compress(HTML), http_headers=[b"Content-Encoding: gzip"], number=2),
        record(b"\x89PNG\r\n", media=b"image/png", number=3),
        record(b'{"json": true}', media=b"application/json", number=4),
        record(gzip.compress(HTML)[:-9], http_headers=[b"Content-Encoding: gzip"], number=5),
    ]
    pages, losses = extract(tmp_path, *records, encoding="detect")
    assert "Füße über Straßen" in pages[0].text
    assert FIRST_LINE in pages[1].text
    assert len(pages) == 2
    assert losses.lost == {"not HTML": 2, "encoded body that cannot be undone": 1}
    strict, losses = extract(tmp_path, *records)
    assert [page.record["id"] for page in strict] == ["<urn:uuid:4>"]
    assert losses.lost == {"not UTF-8": 4}


def test_every_record_is_a_page_or_a_loss_with_a_place(tmp_path):
    bodies = [HTML, LATIN.encode("latin-1"), b"", b"\xff", ("<div>" * 9000).encode()]
    pages, losses = extract(tmp_path, *[record(body, number=n) for n, body in enumerate(bodies)])
    assert len(pages) + losses.num_lost == len(bodies)
    assert {example["reason"] for example in losses.examples} == {*losses.lost, *losses.noted}
    assert "record 2 (http://example.org/1)" in losses.examples[0]["place"]
    assert losses.lost == {"not UTF-8": 2, "HTML that cannot be extracted": 1}


def test_wet_files_give_their_text_stripped(tmp_path):
    text = record(b"  Title\nLine two\n", kind="conversion", http=False, number=7)
    pages, losses = extract(tmp_path, warcinfo(), text, name="c.warc.wet.gz", extractor="wet")
    assert pages[0].text == "Title\nLine two"
    assert pages[0].record["metadata"]["WARC-Target-URI"] == "http://example.org/7"
    assert losses.lost == {}


def test_a_file_without_a_page_is_noted(tmp_path):
    pages, losses = extract(tmp_path, warcinfo(), record(kind="request"))
    assert pages == []
    assert losses.noted == {"file without a page's record": 1}


def test_headers_in_no_encoding_can_still_be_written(tmp_path):
    odd = record().replace(b"http://example.org/", b"http://example.org/\xff\xe9")
    pages, _ = extract(tmp_path, odd)
    json.dumps(pages[0].to_json(), ensure_ascii=False).encode()


def test_strict_losses_stop_at_damage_and_not_at_an_encoding(tmp_path):
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(packed(record(b"\xff"), record(), record(b"x" * 99, content_length=5000)))
    reading = extract_shard(path, losses=Losses(strict=True))
    assert FIRST_LINE in next(reading).text
    with pytest.raises(InputError, match="body shorter than its Content-Length"):
        next(reading)
    path.write_bytes(packed(record(b"{}", media=b"application/json"), record(b"<div>" * 9000), record()))
    assert len(list(extract_shard(path, encoding="detect", losses=Losses(strict=True)))) == 1
    path.write_bytes(packed(record(b"\x1f\x8b\x08", http_headers=[b"Content-Encoding: gzip"])))
    with pytest.raises(InputError, match="encoded body that cannot be undone"):
        list(extract_shard(path, encoding="detect", losses=Losses(strict=True)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("c.warc.gz", {"extractor": "wet"}, "a WARC file cannot be read by 'wet'"),
        ("c.wet.gz", {}, "a WET file cannot be read by 'resiliparse'; give --extractor wet"),
        ("c.warc.gz", {"extractor": "resilparse"}, "extractor: 'resilparse' is not known"),
        ("c.warc.gz", {"encoding": "latin1"}, "encoding: 'latin1' is neither strict nor detect"),
        ("c.jsonl.gz", {}, "holds jsonl, not WARC or WET records"),
    ],
)
def test_what_does_not_fit_is_one_line_before_the_first_page(tmp_path, name, options, message):
    path = tmp_path / name
    path.write_bytes(packed(record()))
    with pytest.raises(InputError, match=message):
        extract_shard(path, **options)


def test_a_generated_crawl_loses_exactly_the_pages_that_cannot_be_read(tmp_path):
    truth = write_crawl(tmp_path, pages=64, files=1, truncated=True)
    found, losses = {}, {}
    for encoding in ("strict", "detect"):
        losses[encoding] = Losses()
        pages = extract_shard(tmp_path / "crawl-00000.warc.gz", encoding=encoding, losses=losses[encoding])
        found[encoding] = {page.record["id"] for page in pages}
    unreadable = {page.record_id for page in truth if page.lost in ("not-utf8", "not-html")}
    no_html = {page.record_id for page in truth if page.lost == "not-html"}
    everything = {page.record_id for page in truth}
    assert len(unreadable) > len(no_html) > 0
    assert found["strict"] == everything - unreadable
    assert found["detect"] == everything - no_html
    assert losses["strict"].lost == {"not UTF-8": len(unreadable)}
    assert losses["detect"].lost == {"not HTML": len(no_html)}
    assert losses["strict"].noted["file ends early"] == 1
