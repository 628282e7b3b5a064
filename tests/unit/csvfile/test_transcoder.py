"""Every encoding that can be named: its bytes become UTF-8, or a refusal, whatever the pieces they come in."""

from __future__ import annotations

import codecs
import random
from contextlib import suppress

import pytest

from csvfile.errors import CsvFileError
from csvfile.text.encodings import _names, encoding_named, likely
from csvfile.text.transcoder import Transcoder

ENCODINGS = sorted({found for name in _names().values() if (found := encoding_named(name))})
ODD = b"ab,\n\r\x1b$B~{}\xe4\x81\xd8\x00+-"


def made(encoding: str, data: bytes, step: int) -> bytes | None:
    transcoder = Transcoder(encoding)
    try:
        pieces = [transcoder.feed(data[at : at + step]) for at in range(0, len(data), step)]
        return b"".join([*pieces, transcoder.feed(b"", last=True)])
    except CsvFileError as error:
        assert str(error).startswith("the file is not valid")
        return None


def test_there_are_the_encodings_that_files_have() -> None:
    known = {"cp1252", "iso8859-1", "iso8859-15", "mac-roman", "cp437", "shift_jis", "gb18030", "big5", "utf-16-le"}
    assert known <= set(ENCODINGS)
    assert not {"base64", "hex", "zlib", "rot13", "idna", "punycode", "unicode_escape", "utf-7"} & set(ENCODINGS)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_bytes_become_text_or_a_refusal(encoding: str) -> None:
    chance = random.Random(encoding)
    for number in range(20):
        data = chance.randbytes(100) if number % 2 else bytes(chance.choice(ODD) for _ in range(100))
        assert len({made(encoding, data, step) for step in (1, 7, 100)}) == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_comes_out_as_it_went_in(encoding: str) -> None:
    text = "id,text\r\n1,'a b'\n" * 20
    assert made(encoding, text.encode(encoding), 3) == text.encode()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_decoder_keeps_what_it_has_taken(encoding: str) -> None:
    """It would look at all of it again with each piece, and a file's worth of it would be in memory."""
    for begins in (b"", b"+", b"\x1b$B", b"~{"):
        for unit in (b"A", b"+", b"&", b"\\", b"\x1b", b"\x1b(B", b"~{", b"\x0e", b"\x81", b"\xff", b"\0", b"\xd8\0"):
            decoder = codecs.getincrementaldecoder(encoding)()
            with suppress(UnicodeError):
                for piece in (b"a,b\n", begins, *[unit * 50] * 4):
                    decoder.decode(piece)
                    assert len(decoder.getstate()[0]) < 16, (begins, unit)


def test_a_decoder_that_keeps_all_of_a_file_is_given_up() -> None:
    transcoder = Transcoder("utf-7")
    assert transcoder.feed(b"a,b\n+") == b"a,b\n"
    for _ in range(6):
        assert transcoder.feed(b"A" * 10_000) == b""
    with pytest.raises(CsvFileError, match="the 64 KiB in front of offset 70,005 make no character"):
        transcoder.feed(b"A" * 10_000)


@pytest.mark.parametrize("step", [1, 10, 1000])
@pytest.mark.parametrize(
    ("encoding", "before", "bad", "where"),
    [
        ("cp1252", "a,ä\r\nb\r\n", b"\x8d", "byte 0x8D on line 3 (offset 8)"),
        ("shift_jis", "日本\nb,", b"\xfd", "byte 0xFD on line 2 (offset 7)"),
        ("utf-16", "a\n", b"\x00\xdcx\x00", "byte 0x00 on line 2 (offset 6)"),
    ],
)
def test_the_first_bad_byte_is_named(encoding: str, before: str, bad: bytes, where: str, step: int) -> None:
    transcoder = Transcoder(encoding)
    data = before.encode(encoding) + bad + b"x\n" * 10
    with pytest.raises(CsvFileError) as refused:
        for at in range(0, len(data), step):
            transcoder.feed(data[at : at + step])
    assert f"not valid {encoding}: {where} is no text in it" in str(refused.value)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("Jürgen,Zoë\n".encode("cp1252"), "cp1252"),
        ("Jürgen,Zoë\n".encode(), "utf-8"),
        ("name,city\n".encode("utf-16-le"), "utf-16-le"),
        ("name,city\n".encode("utf-16-be"), "utf-16-be"),
        ("Иванов,Москва\n".encode("cp1251"), None),
        (b"\x00\x01\x02\x03\xff\xfe", None),
        (b"caf\x81,x,y\n", None),
    ],
)
def test_what_an_encoding_looks_like(data: bytes, encoding: str | None) -> None:
    assert likely(data) == encoding


@pytest.mark.parametrize("encoding", ["gbk", "euc_kr", "utf-16"])
@pytest.mark.parametrize("apart", [True, False])
def test_a_file_that_breaks_off_within_a_character_says_so(encoding: str, apart: bool) -> None:
    data = "id,name\n1,中文".encode(encoding)[:-1] if encoding != "euc_kr" else "id,name\n1,한국".encode(encoding)[:-1]
    transcoder = Transcoder(encoding)
    with pytest.raises(CsvFileError, match=r"breaks off within its last character, at .* on line 2"):
        if apart:
            transcoder.feed(data)
            data = b""
        transcoder.feed(data, last=True)
