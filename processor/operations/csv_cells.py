"""Documents as the cells of a CSV file, a column at a time: in the forms that an upload reads as the same values."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any

import msgspec

from processor.errors import CannotGoOnError
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.dates import date_writer
from schemas.descriptors.fields import Field
from schemas.descriptors.formulas import guard

_ROWS_AT_ONCE = 2000
_SIGNS = frozenset("=+-@\t\r'")
_TEXTS = frozenset({str, NoneType})
_NUMBERS = frozenset({int, float, str, NoneType})
"""Elasticsearch takes a text for the number that it says."""
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
"""What a struct's fields can't have in their names, since JSON has it in another form."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents, in order."""

    documents: list[Any]
    end: list[Any] | None
    """Place of the last one in the order: what follows is asked for with it."""
    answer: bytes
    """What they were read from."""


class Documents:
    """Reads documents of a dataset from answers of Elasticsearch, without making dicts of them."""

    def __init__(self, dataset: Dataset) -> None:
        names = [f"field_{number}" for number in range(len(dataset.fields))]
        columns = dict(zip(names, dataset.columns, strict=True))
        # Such names are rare, and dicts slower.
        self._named = dataset.columns if any(map(_ESCAPED.search, dataset.columns)) else None
        source: Any = dict[str, Any]
        if self._named is None:
            fields = [(name, Any, None) for name in names]
            source = msgspec.defstruct("Row", fields, rename=columns, frozen=True, gc=False)
        hit = msgspec.defstruct(
            "Hit", [("source", source), ("sort", msgspec.Raw)], rename={"source": "_source"}, frozen=True, gc=False
        )
        hits = msgspec.defstruct("Hits", [("hits", list[hit])])  # type: ignore[valid-type]
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(msgspec.defstruct("Found", [("hits", hits)])).decode
        self._fields = dataset.fields
        self._writers = [_writer(field) for field in dataset.fields]
        self._header = dataset.columns

    def header(self) -> bytes:
        """The file's first line."""
        return _csv([self._header])

    def read(self, answer: bytes) -> Page:
        """The documents of a search's answer. Raises as `lines`."""
        try:
            hits = self._decode(answer).hits.hits
        except msgspec.DecodeError as error:
            raise self._refusal(answer, error) from error
        return Page([hit.source for hit in hits], msgspec.json.decode(hits[-1].sort) if hits else None, answer)

    def lines(self, page: Page, raw: bool) -> Iterator[bytes]:
        """A page as CSV lines, some rows at a time.

        `raw`: cells stay as they are, also those that a spreadsheet would run as a formula.

        Raises:
            CannotGoOnError: a document has a value that no cell can stand for; Elasticsearch takes some from other
                programs that no upload writes.
        """
        for first in range(0, len(page.documents), _ROWS_AT_ONCE):
            try:
                chunk = self._chunk(page.documents[first : first + _ROWS_AT_ONCE], raw)
            except Exception as error:
                raise self._refusal(page.answer, error) from error
            yield chunk

    def _chunk(self, some: Sequence[Any], raw: bool) -> bytes:
        if self._named is None:
            columns = zip(*map(msgspec.structs.astuple, some), strict=True)
        else:
            columns = zip(*(map(document.get, self._named) for document in some), strict=True)
        written = [writer(column, raw) for writer, column in zip(self._writers, columns, strict=True)]
        return _csv(zip(*written, strict=True))

    def _refusal(self, answer: bytes, error: Exception) -> Exception:
        """Which document can't be written, and why; where it is none of them, the error itself.

        It does not tell the value: reasons are kept when values are removed.
        """
        hit = next((hit for hit in json.loads(answer)["hits"]["hits"] if not self._can_write(hit["_source"])), None)
        if hit is None:
            return error
        source, where = hit["_source"], ""
        for field in self._fields:
            if not self._can_write({field.name: source.get(field.name)}):
                where = f" in field {field.name!r} {_kind(source[field.name])} that can't be written as {field.type}:"
                break
        return CannotGoOnError(
            f"document {hit.get('_id')!r} of index {hit.get('_index')} has{where or ' something that is no JSON:'} "
            "another program has written it. Mend the document, and start the export again"
        )

    def _can_write(self, source: Any) -> bool:
        try:
            (hit,) = self._decode(json.dumps({"hits": {"hits": [{"_source": source, "sort": []}]}}).encode()).hits.hits
            self._chunk([hit.source], raw=True)
        except Exception:
            return False
        return True


@lru_cache(maxsize=64)
def documents(dataset: Dataset) -> Documents:
    """The reader of a dataset's documents, made once."""
    return Documents(dataset)


Writer = Callable[[Sequence[Any], bool], Sequence[Any]]


def _writer(field: Field) -> Writer:
    """Writes a column in the way that the field's texts are read: with its own signs, formats and words.

    Raises TypeError, ValueError or LookupError for what is no value of the field. What no upload writes, but what
    Elasticsearch takes for a value, is written as that one.
    """
    match field.type:
        case "boolean":
            true, false = _word(field.true_values, field), _word(field.false_values, field)
            words = {True: true, False: false, None: None, "true": true, "false": false, "": false}
            return lambda column, raw: _guarded([words[value] for value in column], raw)
        case "integer" | "number":
            decimal = field.decimal_char if field.type == "number" else "."
            return lambda column, raw: _numbers(column, raw, decimal)
        case "date" | "datetime" if "%" in field.format:
            date = date_writer(field.format)
            return lambda column, raw: _guarded([value and date(value) for value in _texts(column)], raw)
        case _:
            return lambda column, raw: _guarded(_texts(column), raw)


def _guarded(column: Sequence[Any], raw: bool) -> Sequence[Any]:
    return column if raw else [guard(value) if value and value[0] in _SIGNS else value for value in column]


def _texts(column: Sequence[Any]) -> Sequence[str | None]:
    return column if _TEXTS.issuperset(map(type, column)) else [_text(value) for value in column]


def _text(value: Any) -> str | None:
    """A text as it is, and a number or a truth value as JSON writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    raise TypeError(type(value))


def _numbers(column: Sequence[Any], raw: bool, decimal: str) -> Sequence[Any]:
    if not _NUMBERS.issuperset(map(type, column)):
        raise TypeError(next(type(value) for value in column if type(value) not in _NUMBERS))
    if decimal != ".":
        return _guarded([None if value is None else str(value).replace(".", decimal) for value in column], raw)
    return column if raw else [_guarded_number(value) for value in column]


def _guarded_number(value: Any) -> Any:
    return guard(str(value)) if value is not None and str(value)[:1] in _SIGNS else value


def _kind(value: Any) -> str:
    """What a value is, without the value."""
    kinds = {list: "a list", dict: "an object", str: "a text", bool: "a truth value"}
    return kinds.get(type(value), "a number")


def _word(words: Sequence[str], field: Field) -> str:
    return next(word for word in words if word not in field.missing)


def _csv(rows: Any) -> bytes:
    # Line ends as RFC 4180 has them: with others a lone CR or LF in a value would not be quoted by every Python.
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
