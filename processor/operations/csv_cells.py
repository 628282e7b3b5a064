"""Documents as the cells of a CSV file, a column at a time: in the forms that an upload reads as the same values."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from schemas.descriptors.datasets import Dataset
from schemas.descriptors.dates import date_writer
from schemas.descriptors.fields import Field
from schemas.descriptors.formulas import guard

_ROWS_AT_ONCE = 2000
_SIGNS = frozenset("=+-@\t\r'")
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
"""What a struct's fields can't have in their names, since JSON has it in another form."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents, in order."""

    documents: list[Any]
    end: list[Any] | None
    """Place of the last one in the order: what follows is asked for with it."""


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
        self._writers = [_writer(field) for field in dataset.fields]
        self._header = dataset.columns

    def header(self) -> bytes:
        """The file's first line."""
        return _csv([self._header])

    def read(self, answer: bytes) -> Page:
        """The documents of a search's answer."""
        hits = self._decode(answer).hits.hits
        return Page([hit.source for hit in hits], msgspec.json.decode(hits[-1].sort) if hits else None)

    def lines(self, page: Page, raw: bool) -> Iterator[bytes]:
        """A page as CSV lines, some rows at a time.

        `raw`: cells stay as they are, also those that a spreadsheet would run as a formula.
        """
        for first in range(0, len(page.documents), _ROWS_AT_ONCE):
            some = page.documents[first : first + _ROWS_AT_ONCE]
            if self._named is None:
                columns = zip(*map(msgspec.structs.astuple, some), strict=True)
            else:
                columns = zip(*(map(document.get, self._named) for document in some), strict=True)
            written = [writer(column, raw) for writer, column in zip(self._writers, columns, strict=True)]
            yield _csv(zip(*written, strict=True))


@lru_cache(maxsize=64)
def documents(dataset: Dataset) -> Documents:
    """The reader of a dataset's documents, made once."""
    return Documents(dataset)


Writer = Callable[[Sequence[Any], bool], Sequence[Any]]


def _writer(field: Field) -> Writer:
    """Writes a column in the way that the field's texts are read: with its own signs, formats and words."""
    match field.type:
        case "boolean":
            words = {True: _word(field.true_values, field), False: _word(field.false_values, field), None: None}
            return lambda column, raw: _guarded([words.get(value, value) for value in column], raw)
        case "number" if field.decimal_char != ".":
            return lambda column, raw: _guarded([_number(value, field.decimal_char) for value in column], raw)
        case "integer" | "number":
            return lambda column, raw: column if raw else [_guarded_number(value) for value in column]
        case "date" | "datetime" if "%" in field.format:
            date = date_writer(field.format)
            return lambda column, raw: _guarded([value and date(value) for value in column], raw)
        case _:
            return _guarded


def _guarded(column: Sequence[Any], raw: bool) -> Sequence[Any]:
    return column if raw else [guard(value) if value and value[0] in _SIGNS else value for value in column]


def _guarded_number(value: Any) -> Any:
    return guard(str(value)) if value is not None and str(value)[0] == "-" else value


def _number(value: Any, decimal_char: str) -> Any:
    return None if value is None else str(value).replace(".", decimal_char)


def _word(words: Sequence[str], field: Field) -> str:
    return next(word for word in words if word not in field.missing)


def _csv(rows: Any) -> bytes:
    # Line ends as RFC 4180 has them: with others a lone CR or LF in a value would not be quoted by every Python.
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
