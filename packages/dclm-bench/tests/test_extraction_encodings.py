import gzip
import zlib

import brotli
import pytest
import zstandard
from dclm_bench.extraction.encodings import (
    BodyError,
    decode_detected,
    decode_strict,
    is_encoded,
    media_type,
    undo_encodings,
)
from hypothesis import given
from hypothesis import strategies as st

TEXT = "<p>Schöne Grüße aus Köln, où l'été est beau</p>"


def chunked(body, size):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


PACKERS = {
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("name", PACKERS)
@given(st.binary(min_size=1, max_size=2000), st.integers(1, 500))
def test_content_and_transfer_encodings_are_undone_in_order(name, body, size):
    headers = {"content-encoding": name.upper(), "transfer-encoding": "chunked"}
    sent = chunked(PACKERS[name](body), size)
    assert undo_encodings(sent, headers, 10_000) == body


def test_encodings_in_one_header_are_undone_from_the_last():
    sent = brotli.compress(gzip.compress(b"hello"))
    assert undo_encodings(sent, {"content-encoding": "gzip, br"}, 1000) == b"hello"


def test_what_follows_the_last_chunk_is_no_body():
    sent = b"5;name=value\r\nhello\r\n0\r\nExpires: never\r\n\r\n"
    assert undo_encodings(sent, {"transfer-encoding": "chunked"}, 1000) == b"hello"


def test_bare_deflate_is_undone():
    assert undo_encodings(zlib.compress(b"hello")[2:-4], {"content-encoding": "deflate"}, 100) == b"hello"


@pytest.mark.parametrize("name", ["chunked", *PACKERS])
def test_a_body_that_a_crawler_has_undone_is_left_as_it_is(name):
    header = "transfer-encoding" if name == "chunked" else "content-encoding"
    assert undo_encodings(TEXT.encode(), {header: name}, 10_000) == TEXT.encode()


@pytest.mark.parametrize(
    ("header", "name", "body", "reason"),
    [
        ("content-encoding", "gzip", gzip.compress(b"hello" * 50, mtime=0)[:-12], "end early"),
        ("content-encoding", "gzip", b"\x1f\x8b\x08" + bytes(20), "corrupt data"),
        ("content-encoding", "br", b"\xff\xff\xff\xff", "corrupt data"),
        ("content-encoding", "rot13", b"uryyb", "unknown encoding 'rot13'"),
        ("transfer-encoding", "chunked", b"5\r\nhel", "cut off"),
        ("transfer-encoding", "chunked", b"3\r\nhelXX\r\n", "no size of a chunk at byte 6"),
    ],
)
def test_what_cannot_be_undone_says_why(header, name, body, reason):
    with pytest.raises(BodyError, match=reason):
        undo_encodings(body, {header: name}, 10_000)


@pytest.mark.parametrize("name", PACKERS)
def test_a_bomb_is_refused_at_the_limit(name):
    with pytest.raises(BodyError, match="more than 1,000 bytes"):
        undo_encodings(PACKERS[name](bytes(10**6)), {"content-encoding": name}, 1000)


def test_strict_decoding_knows_utf8_only():
    assert decode_strict(TEXT.encode()) == TEXT
    with pytest.raises(BodyError, match=r"byte 6 of 47: invalid"):
        decode_strict(TEXT.encode("latin-1"))


@pytest.mark.parametrize(
    ("encoding", "content_type", "before"),
    [
        ("utf-8", "text/html", ""),
        ("latin-1", "text/html; charset=ISO-8859-1", ""),
        ("latin-1", "text/html", '<meta charset="iso-8859-1">'),
        ("utf-8", "text/html; charset=no-such-name", ""),
        ("utf-16", "text/html", ""),
        ("utf-8-sig", "text/html; charset=latin-1", ""),
    ],
)
def test_detection_takes_what_is_declared_where_it_fits_and_guesses_otherwise(encoding, content_type, before):
    body = (before + TEXT).encode(encoding)
    assert decode_detected(body, {"content-type": content_type}) == before + TEXT


def test_detection_guesses_cyrillic_and_japanese():
    russian = "Привет, мир! Как дела сегодня? Погода хорошая, и мы идём гулять."
    japanese = "これは日本語の文章です。今日は天気がとても良いので、公園を散歩しましょう。"
    assert decode_detected(russian.encode("cp1251"), {}) == russian
    declared_wrongly = {"content-type": "text/html; charset=utf-8"}
    assert decode_detected(russian.encode("cp1251"), declared_wrongly) == russian
    assert decode_detected(japanese.encode("shift_jis"), {}) == japanese


@given(st.binary(max_size=200), st.sampled_from(["", "utf-8", "gbk", "utf-16", "hex", "idna", "x" * 50]))
def test_detection_never_fails_and_gives_text_that_can_be_written(body, charset):
    decode_detected(body, {"content-type": f"text/html; charset={charset}"}).encode("utf-8")


def test_whether_a_body_is_still_encoded_is_seen_from_its_first_bytes():
    assert is_encoded(b"1f\r\n<p>", {"transfer-encoding": "chunked"})
    assert not is_encoded(b"<p>", {"transfer-encoding": "chunked"})
    assert is_encoded(gzip.compress(b""), {"content-encoding": "gzip"})
    assert not is_encoded(gzip.compress(b""), {})


def test_the_media_type_has_no_parameters():
    assert media_type({"content-type": "Text/HTML ; charset=x"}) == "text/html"
    assert media_type({}) == ""
