"""Makes UTF-8 of a text in another encoding, a piece at a time."""

from __future__ import annotations

import codecs
from contextlib import suppress
from typing import Final

from csvfile.errors import CsvFileError
from csvfile.grammar import LineCounter
from csvfile.text.encodings import EBCDIC, advice, bad_byte

_HELD_BYTES: Final = 64 * 1024
"""A decoder may keep this many bytes for later, at most: it looks at all of them again with each piece."""


class Transcoder:
    """Takes a file's bytes from its beginning on."""

    def __init__(self, encoding: str) -> None:
        """`encoding` is one of `encoding_named`."""
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._seen = 0
        self._lines = LineCounter()

    def feed(self, data: bytes, last: bool = False) -> bytes:
        """The next bytes, in UTF-8; `last`: there are no more.

        Raises:
            CsvFileError: they are not in this encoding, or make no character for very long.
        """
        state = self._decoder.getstate()
        try:
            text = self._decoder.decode(data, last)
            if self._encoding in EBCDIC:
                text = text.replace("\x85", "\n")
            made = text.encode()
        except UnicodeDecodeError as error:
            self._decoder.setstate(state)
            raise CsvFileError(self._problem(error, data, last and self._begins_well(data))) from error
        except UnicodeEncodeError as error:
            raise CsvFileError(f"the file is not valid {self._encoding}: it has half a character") from error
        except UnicodeError as error:  # no byte order mark, say
            raise CsvFileError(f"the file is not valid {self._encoding}: {error}; {advice(data)}") from error
        self._seen += len(data)
        if len(self._decoder.getstate()[0]) > _HELD_BYTES:
            what = f"the {_HELD_BYTES // 1024} KiB in front of offset {self._seen:,} make no character"
            raise CsvFileError(f"the file is not valid {self._encoding}: {what}; save it as UTF-8")
        self._lines.feed(made)
        return made

    def _begins_well(self, data: bytes) -> bool:
        """Whether more bytes could make a text of these."""
        state = self._decoder.getstate()
        try:
            self._decoder.decode(data)
        except UnicodeError:
            return False
        finally:
            self._decoder.setstate(state)
        return True

    def _problem(self, error: UnicodeDecodeError, data: bytes, broken_off: bool) -> str:
        kept = len(error.object) - len(data)  # the beginning of a character, from the piece before
        with suppress(UnicodeError):  # as it is where a byte order mark is missing
            before = self._decoder.decode(data[: max(0, error.start - kept)])
            self._lines.feed(before.encode(errors="replace"))
        place = min(error.start, len(error.object) - 1)
        where = bad_byte(error.object[place], self._lines.ends + 1, self._seen - kept + place)
        if broken_off:
            what = f"it breaks off within its last character, at {where}"
            return f"the file is not valid {self._encoding}: {what}; send it whole, or name another encoding"
        return f"the file is not valid {self._encoding}: {where} is no text in it; {advice(data)}"
