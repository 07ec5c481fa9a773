import gzip
import io
import random
import re

import pytest
from crawl_records import HTML, packed, record, warcinfo
from dclm_bench.extraction.warc import read_warc
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses


def read(tmp_path, data, **options):
    """Numbers and bodies of the records that are found, and what was lost."""
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(data)
    losses = Losses()
    found = [
        (int(re.sub(r"\D", "", one.headers["WARC-Record-ID"])), one.body)
        for one in read_warc(path, losses=losses, **options)
    ]
    return found, losses


def three():
    return [record(number=number) for number in range(3)]


@pytest.mark.parametrize(
    "pack", [lambda *r: packed(*r), lambda *r: b"".join(r), lambda *r: packed(b"".join(r))]
)
def test_files_packed_by_record_as_a_whole_or_not_at_all_give_the_same_records(tmp_path, pack):
    found, losses = read(tmp_path, pack(*three()))
    assert found == [(0, HTML), (1, HTML), (2, HTML)]
    assert (losses.lost, losses.noted) == ({}, {})


@given(st.integers(100, 3000), st.integers(0, 5))
def test_members_that_begin_anywhere_give_the_same_records(tmp_path, size, seed):
    generator = random.Random(seed)
    stream = b"".join(record(generator.randbytes(generator.randrange(2000)), number=n) for n in range(8))
    blocks = [gzip.compress(stream[at : at + size], mtime=0) for at in range(0, len(stream), size)]
    whole, _ = read(tmp_path, stream)
    found, losses = read(tmp_path, b"".join(blocks))
    assert found == whole
    assert (len(whole), losses.lost, losses.noted) == (8, {}, {})


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_records_are_those_of_fastwarc(tmp_path, bodies):
    data = packed(*[record(body, number=n) for n, body in enumerate(bodies)])
    found, _ = read(tmp_path, data)
    theirs = ArchiveIterator(io.BytesIO(data), record_types=WarcRecordType.response)
    assert [body for _, body in found] == [one.reader.read() for one in theirs]


def test_requests_and_metadata_give_no_record_and_the_warcinfo_goes_to_what_follows_it(tmp_path):
    path = tmp_path / "crawl.warc.gz"
    others = [record(kind=kind, http=False) for kind in ("request", "metadata", "resource", "revisit")]
    path.write_bytes(packed(record(number=1), warcinfo(), *others, record(number=2)))
    assert [one.warcinfo for one in read_warc(path)] == [None, "software: a crawler"]


@pytest.mark.parametrize("again", [b"", b"X-A: 2\r\n", b"x-a: 2\r\n"])
def test_headers_are_those_of_fastwarc_repeated_ones_too(tmp_path, again):
    start = b"WARC-Type: response\r\n"
    data = record(number=1).replace(start, start + b"X-A: 1\r\n" + again)
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(packed(data))
    (found,) = read_warc(path)
    (theirs,) = ArchiveIterator(io.BytesIO(data))
    assert list(found.headers.items()) == list(dict(theirs.headers).items())


def test_conversions_are_read_from_a_wet_file(tmp_path):
    data = packed(record(b"plain text", kind="conversion", http=False, number=4), record(number=5))
    found, _ = read(tmp_path, data, kind="conversion")
    assert found == [(4, b"plain text")]


def test_a_broken_member_costs_its_own_record_only(tmp_path):
    members = [packed(one) for one in three()]
    broken = bytearray(members[1])
    broken[60] ^= 0xFF
    broken[90] ^= 0xFF
    found, losses = read(tmp_path, members[0] + bytes(broken) + members[2])
    assert [number for number, _ in found] == [0, 2]
    assert losses.lost == {"broken gzip data": 1}
    assert f"byte {len(members[0])}" in losses.examples[0]["place"]


def test_members_of_several_records_give_all_that_come_before_damage(tmp_path):
    records = [record(number=number) for number in range(6)]
    members = [packed(records[at] + records[at + 1]) for at in (0, 2, 4)]
    whole, _ = read(tmp_path, b"".join(members))
    assert [number for number, _ in whole] == list(range(6))
    cut_off, losses = read(tmp_path, b"".join(members)[:-100])
    assert [number for number, _ in cut_off] == list(range(5))
    assert losses.noted == {"file ends early": 1}
    broken = bytearray(members[1])
    broken[60] ^= 0xFF
    broken[90] ^= 0xFF
    found, losses = read(tmp_path, members[0] + bytes(broken) + members[2])
    assert [number for number, _ in found] == [0, 1, 4, 5]
    assert losses.lost == {"broken gzip data": 1}


def test_bytes_between_members_are_counted_and_passed_over(tmp_path):
    found, losses = read(tmp_path, packed(record(number=0)) + b"not gzip" + packed(record(number=1)))
    assert [number for number, _ in found] == [0, 1]
    assert losses.lost == {"broken gzip data": 1}


def test_zeros_after_the_last_member_are_no_damage(tmp_path):
    found, losses = read(tmp_path, packed(*three()) + bytes(500))
    assert len(found) == 3
    assert losses.lost == {}


@pytest.mark.parametrize("missing", [1, 5, 100])
def test_a_file_that_is_cut_off_gives_what_is_left_and_a_note(tmp_path, missing):
    found, losses = read(tmp_path, packed(*three())[:-missing])
    assert [number for number, _ in found] == [0, 1, 2]
    assert found[2][1] == HTML[: len(found[2][1])]
    assert losses.noted == {"file ends early": 1}


def test_a_length_that_is_too_large_does_not_swallow_the_next_record(tmp_path):
    found, losses = read(tmp_path, packed(record(number=0, content_length=5000), record(number=1)))
    assert found[1] == (1, HTML)
    assert found[0][1].startswith(HTML)
    assert losses.noted == {"body shorter than its Content-Length": 1}


@pytest.mark.parametrize("length", ["50", "abc", "-5", "99999999999999999999999"])
def test_a_wrong_length_is_counted_and_costs_no_other_record(tmp_path, length):
    found, losses = read(tmp_path, packed(record(number=0, content_length=length), record(number=1)))
    assert found[-1] == (1, HTML)
    assert losses.lost == {"broken WARC record": 1}


def test_a_body_above_the_limit_is_lost_and_not_held(tmp_path):
    found, losses = read(tmp_path, packed(record(b"x" * 5000), record(number=1)), max_body_bytes=1000)
    assert [number for number, _ in found] == [1]
    assert losses.lost == {"body above the limit": 1}
    found, losses = read(tmp_path, packed(record(b"x" * 1000), record(b"x" * 1001)), max_body_bytes=1000)
    assert [len(body) for _, body in found] == [1000]


def test_a_header_of_endless_length_is_a_broken_record(tmp_path):
    data = packed(record(headers=[b"X: " + b"a" * 100_000]), record(number=1))
    found, losses = read(tmp_path, data)
    assert [number for number, _ in found] == [1]
    assert losses.lost == {"broken WARC record": 1}


def test_records_without_http_headers_or_body_are_records_with_an_empty_body(tmp_path):
    found, losses = read(tmp_path, packed(record(http=False), record(b"", number=1), record(number=2)))
    assert found == [(0, b""), (1, b""), (2, HTML)]
    assert losses.lost == {}


def test_an_unpacked_file_gives_what_comes_before_the_damage(tmp_path):
    found, losses = read(tmp_path, record(number=0) + record(number=1, content_length=50) + record(number=2))
    assert [number for number, _ in found] == [0, 1]
    assert losses.lost == {"broken WARC record": 1}


LINES = b"hello\nworld\n" * 10


@pytest.mark.parametrize("data", [b"", LINES, gzip.compress(LINES, mtime=0)])
def test_a_file_without_records_gives_none(tmp_path, data):
    found, losses = read(tmp_path, data)
    assert found == []
    assert losses.lost == ({"broken WARC record": 1} if data else {})


def test_strict_losses_stop_at_the_damage(tmp_path):
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(packed(*three())[:-100])
    reading = read_warc(path, losses=Losses(strict=True))
    assert len([next(reading), next(reading)]) == 2
    with pytest.raises(InputError, match=r"crawl\.warc\.gz, byte \d+: file ends early; mend or remove it"):
        next(reading)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"no\.warc\.gz: no such file; check the path"):
        list(read_warc(tmp_path / "no.warc.gz"))
