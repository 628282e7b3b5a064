"""Reads as much as possible of a record of the inbox that the strict decoder refuses. Pure.

It finds the fields of the record, and the rows of a list, by their strings and brackets alone, and decodes each by
itself. So a fault in one row is a problem of that row, and the rows beside it are taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite
from typing import Any

from schemas.bounds import InboxRowNumber
from schemas.messages.codec import UndecodableError, decode
from schemas.messages.inbox import MOST_LIST, Value

_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TOKEN = re.compile(
    rb"(?P<text>" + _TEXT + rb')|(?P<opening>[{\[]+)|(?P<closing>[}\]]+)|(?P<comma>,)|(?P<quote>")', re.DOTALL
)
_FIELD = re.compile(rb"(" + _TEXT + rb")[ \t\r\n]*:[ \t\r\n]*", re.DOTALL)
_BLANK = b" \t\r\n"
_LONE = re.compile("[\ud800-\udfff]")
_SHOWN = 80


@dataclass(slots=True)
class OddRecord:
    """What could be read of a record."""

    job_id: str
    row: int
    values: list[dict[str, Value]] = field(default_factory=list)
    """The values of each row; all of them can be encoded."""
    problems: dict[int, str] = field(default_factory=dict)
    """Index in `values` -> what is wrong with that row."""


def read_odd(value: bytes, problem: str | None) -> OddRecord:
    """The rows of a record; `problem` is the error of the strict decoder.

    Raises:
        UndecodableError: the job or the number of the row can't be read, or there are too many rows.
    """
    unreadable = UndecodableError(problem or "the record can't be read")
    try:
        fields = _fields(value)
        texts = {name: fields[name][0] for name in ("job_id", "row")}
    except (KeyError, _BrokenError):
        raise unreadable from None
    for name in texts:
        if len(fields[name]) > 1:
            raise UndecodableError(f"the record has the name {name!r} twice: it is not clear whose row it is")
    try:
        record = OddRecord(decode(texts["job_id"], str), decode(texts["row"], InboxRowNumber))
        rows = _rows(fields.get("values", []))
    except (UndecodableError, _BrokenError):
        raise unreadable from None
    except _NoRowsError as error:
        _add(record, {}, f"the row can't be read: {error.args[0] or problem}")
        return record
    if len(rows) > MOST_LIST:
        raise UndecodableError(f"a record holds at most {MOST_LIST:,} rows")
    for row in rows:
        _add(record, *_row(row))
    return record


def _rows(values: list[bytes]) -> list[bytes]:
    """The bytes of each row, from those of each field `values`."""
    if len(values) > 1:
        raise _NoRowsError("the record has the name 'values' twice")
    text = values[0] if values else b""
    if text.startswith(b"{"):
        return [text]
    rows = list(islice(_parts(text), MOST_LIST + 1)) if text.startswith(b"[") else []
    if not any(row.startswith(b"{") for row in rows):
        raise _NoRowsError(None)  # one row's values in another form, rather than several rows
    return rows


def _add(record: OddRecord, values: dict[str, Value], problem: str | None) -> None:
    if problem:
        record.problems[len(record.values)] = _LONE.sub("�", problem)
    record.values.append(values)


class _BrokenError(Exception):
    """Brackets or strings do not close."""


class _NoRowsError(Exception):
    """The values are neither a row nor a list of rows: why, or None."""


def _fields(record: bytes) -> dict[str, list[bytes]]:
    """The bytes of each field of an object, by its name; several where the name comes several times."""
    found: dict[str, list[bytes]] = {}
    for part in _parts(record):
        name = _FIELD.match(part)
        if name is None:
            raise _BrokenError
        try:
            known: str = decode(name[1], str)
        except UndecodableError:
            known = name[1].decode("utf-8", "replace")
        found.setdefault(known, []).append(part[name.end() :])
    return found


def _parts(text: bytes) -> Iterator[bytes]:
    """What stands between the commas of an object or a list, without regard to what it is."""
    text = text.strip(_BLANK)
    if text[:1] + text[-1:] not in (b"{}", b"[]"):
        raise _BrokenError
    depth, start, end = 0, 1, 0
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "text":
                pass
            case "opening":
                depth += token.end() - token.start()
            case "closing":
                depth -= token.end() - token.start()
                if depth <= 0:
                    end = token.end()
                    break
            case "comma" if depth == 1:
                yield _something(text[start : token.start()])
                start = token.end()
            case "quote":
                raise _BrokenError
    if depth != 0 or end != len(text):
        raise _BrokenError
    if start > 1 or text[start:-1].strip(_BLANK):
        yield _something(text[start:-1])


def _something(part: bytes) -> bytes:
    part = part.strip(_BLANK)
    if not part:
        raise _BrokenError  # two commas in a row: it would be a guess how many rows these are
    return part


class _BadNumber(str):
    """The text of a number that is none, or that is out of range; `reason` says why."""

    reason: str


def _bad_number(text: str, reason: str) -> _BadNumber:
    bad = _BadNumber(text[:_SHOWN])
    bad.reason = f"holds {bad}{'' if bad == text else '...'}, {reason}"
    return bad


def _integer(text: str) -> int | _BadNumber:
    try:
        return int(text)
    except ValueError:
        return _bad_number(text, "a number of thousands of digits: send it as a text")


def _float(text: str) -> float | _BadNumber:
    number = float(text)
    return number if isfinite(number) else _bad_number(text, "a number out of range: send it as a text")


_reader = json.JSONDecoder(
    object_pairs_hook=tuple,
    parse_constant=lambda text: _bad_number(text, "which is no number in JSON"),
    parse_int=_integer,
    parse_float=_float,
)


def _row(piece: bytes) -> tuple[dict[str, Value], str | None]:
    """One row's values, as far as they can be read and encoded, and what is wrong with it."""
    try:
        text = piece.decode()
        problem = None
    except UnicodeDecodeError as error:
        text = piece.decode(errors="replace")
        problem = f"the row is not UTF-8: byte {piece[error.start]:#x}"
    try:
        pairs: Any = _reader.decode(text)
    except RecursionError:
        return {}, "the row can't be read: its values are nested too deeply"
    except ValueError as error:
        return {}, f"the row can't be read: {error}"
    if not isinstance(pairs, tuple):
        return {}, "the row can't be read: it is not an object of columns and values"
    values: dict[str, Value] = {}
    for name, value in pairs:
        shown = f"column {name[:_SHOWN]!r}"
        if name in values:
            problem = problem or f"{shown} comes twice"
        elif isinstance(value, list | tuple):
            values[name] = ""
            problem = problem or f"{shown} holds an {'array' if isinstance(value, list) else 'object'}, not a value"
        elif isinstance(value, _BadNumber):
            values[name] = str(value)
            problem = problem or f"{shown} {value.reason}"
        elif isinstance(value, str) and _LONE.search(value):
            values[name] = _LONE.sub("�", value)
            problem = problem or f"{shown} holds half of a surrogate pair, which is no character"
        else:
            values[name] = value
    return {_LONE.sub("�", name): value for name, value in values.items()}, problem
