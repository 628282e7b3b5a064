"""What the browser checks the first rows of a file with: the rules of each field, as data. Pure.

`checkCell` in ``api/static/rows.js`` follows them, in the order of `processor.validation.columns.Column.explain`. What
a browser can't check (dates in other formats, a pattern with Python's own signs) is left out: such a cell is not red.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from api.pages.creation.browser_patterns import browser_pattern
from schemas.descriptors.datasets import Dataset
from schemas.descriptors.fields import Field
from schemas.descriptors.modes import MERGING, Mode
from schemas.descriptors.shapes import longest, own_pattern, plain_number, shape_of, shortest, too_high, too_low


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
        "shortest": shortest(field),
        "longest": longest(field),
        "patterns": list(_patterns(field)),
        "choices": field.enum,
        "words": [field.true_values, field.false_values] if field.type == "boolean" else None,
        "iso": field.type in ("date", "datetime") and field.format == "default",
        "number": None,
        "least": _bound(field.minimum, too_low),
        "most": _bound(field.maximum, too_high),
    }
    if numeric and shape is not None and not plain_number(field):
        found["number"] = {"source": browser_pattern(shape.pattern), "group": field.group_char}
        found["number"]["decimal"] = field.decimal_char
    return found


def _bound(value: Any, beyond: Callable[[object], str]) -> dict[str, Any] | None:
    return None if value is None else {"value": value, "reason": beyond(value)}


def _patterns(field: Field) -> Iterable[tuple[str, str]]:
    """Pairs of a pattern that the whole text has to match, and what is wrong with one that does not."""
    for shape in (shape_of(field), own_pattern(field)):
        source = None if shape is None else browser_pattern(shape.pattern)
        if shape is not None and source is not None:
            yield f"^(?:{source})$", shape.reason
