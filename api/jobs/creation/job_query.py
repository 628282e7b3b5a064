"""A request for a job as a query of its address, for a form that has nothing but a file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import inspect

from api.errors import invalid
from api.models.requests import JobRequest
from api.web.parsing import number_in, values_as
from schemas.job import Options

FIELDS: Final = ("operation", "dataset", "organisation", "reason", "start_at")


def _flat(kind: inspect.Type) -> Iterator[inspect.Type]:
    for one in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        yield from _flat(one.type) if isinstance(one, inspect.Metadata) else (one,)


def _options_of(*kinds: type[inspect.Type]) -> frozenset[str]:
    """The options of which a value may be one of these."""
    options = inspect.type_info(Options)
    fields = options.fields if isinstance(options, inspect.StructType) else ()
    return frozenset(field.encode_name for field in fields if any(isinstance(one, kinds) for one in _flat(field.type)))


OPTIONS: Final = tuple(name for name in Options.__struct_fields__ if name not in _options_of(inspect.DictType))
"""Options with a single value each; the others belong into JSON."""
_DECIMAL: Final = re.compile(r"\d{1,18}\.\d{1,18}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}
_NUMBERS: Final = _options_of(inspect.IntType, inspect.FloatType)
_TRUTHS: Final = _options_of(inspect.BoolType)


def request_in_query(query: Iterable[tuple[str, str]]) -> JobRequest | None:
    """The request in a query's names and values; None: it has none.

    Raises:
        ApiError: 400, a name is not known or comes twice, or a value does not fit.
    """
    job: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, text in query:
        place = job if name in FIELDS else options
        if name not in (*FIELDS, *OPTIONS):
            raise invalid(f"the parameter {name[:80]!r} is not known; use {', '.join((*FIELDS, *OPTIONS))}")
        if name in place:
            raise invalid(f"the parameter {name!r} comes twice; give it once")
        place[name] = _value(name, text)
    return values_as({**job, "options": options}, JobRequest) if job or options else None


def _value(name: str, text: str) -> object:
    if name in _TRUTHS:
        return _TRUTH.get(text, text)
    if name not in _NUMBERS:
        return text
    return float(text) if _DECIMAL.fullmatch(text) else number_in(text)
