"""What the browser checks the first rows of a file with: the rules of each field, as data. Pure.

`checkCell` in ``api/static/rows.js`` follows them, in the order of `processor.validation.columns.Column.explain`. What
a browser can't check (dates in other formats, a pattern with Python's own signs) is left out: such a cell is not red.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from api.pages.creation.browser_patterns import browser_pattern
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.fields import Field
from schemas.descriptors.modes import MERGING, Mode
from schemas.descriptors.shapes import LONGEST_VALUE, plain_number, shape_of


def checks_of(dataset: Dataset, mode: Mode, *, keeps: bool) -> dict[str, dict[str, Any]]:
    """Field -> its rules, for a job in this mode. `keeps`: an empty cell keeps what a document has. Of a deletion only
    the key is read."""
    fields = dataset.fields
    if mode == "delete":
        fields = tuple(field for field in fields if field.name in dataset.primary_key)
    lenient = mode in MERGING and keeps
    return {field.name: _rules(field, lenient and field.name not in dataset.primary_key) for field in fields}


def _rules(field: Field, lenient: bool) -> dict[str, Any]:
    shape = shape_of(field)
    numeric = field.type in ("integer", "number")
    found: dict[str, Any] = {
        "type": field.type,
        "required": field.required and not lenient,
        "missing": field.missing,
        "shortest": field.min_length or 0,
        "longest": field.max_length if field.max_length is not None else LONGEST_VALUE,
        "patterns": list(_patterns(field)),
        "choices": field.enum,
        "words": [field.true_values, field.false_values] if field.type == "boolean" else None,
        "iso": field.type in ("date", "datetime") and field.format == "default",
        "number": None,
        "least": _bound(field.minimum, "less", "least"),
        "most": _bound(field.maximum, "more", "most"),
    }
    if numeric and shape is not None and not plain_number(field):
        found["number"] = {"source": browser_pattern(shape.pattern), "group": field.group_char}
        found["number"]["decimal"] = field.decimal_char
    return found


def _bound(value: Any, than: str, which: str) -> dict[str, Any] | None:
    return None if value is None else {"value": value, "reason": f"is {than} than {value}, the {which} allowed"}


def _patterns(field: Field) -> Iterable[tuple[str, str]]:
    """Pairs of a pattern that the whole text has to match, and what is wrong with one that does not."""
    shape = shape_of(field)
    told = [] if shape is None else [(shape.pattern, shape.reason)]
    if field.pattern:
        reason = field.pattern_reason or f"does not match the pattern {field.pattern}"
        told.append((re.compile(field.pattern), reason))
    for pattern, reason in told:
        source = browser_pattern(pattern)
        if source is not None:
            yield f"^(?:{source})$", reason
