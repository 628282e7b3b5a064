"""Fields: what one column of a file is, read from a field descriptor of a Table Schema.

A property that Sluice does not support is refused: a check that is silently left out is worse than none.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_args

from schemas.descriptors.dates import DATE, DATETIME, date_writer, moment, stored_date, stored_datetime, text_of_moment
from schemas.names import LONGEST_NAME, folded, name_problem

FieldType = Literal["string", "integer", "number", "boolean", "date", "datetime", "any"]

MISSING = ("",)
TRUE_VALUES = ("true", "True", "TRUE", "1")
FALSE_VALUES = ("false", "False", "FALSE", "0")


class DatasetError(ValueError):
    """A descriptor that can't be used; the message names it and says what to change."""


@dataclass(frozen=True, slots=True)
class UploadTime:
    """The default that is the time at which the job was made: one value for all its rows, in each process."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column."""

    name: str
    type: FieldType = "string"
    format: str = "default"
    """For texts: ``email``, ``phone`` or ``default``. For dates: ``default``, ``any``, or a pattern as of
    `strptime`."""
    required: bool = False
    unique: bool = False
    pattern: str | None = None
    pattern_reason: str | None = None
    """What is wrong with a value that does not match the pattern, in words that go on after the column's name."""
    enum: tuple[Any, ...] = ()
    minimum: Any = None
    maximum: Any = None
    min_length: int | None = None
    max_length: int | None = None
    missing: tuple[str, ...] = MISSING
    """Texts that stand for no value; the empty text is one of them."""
    true_values: tuple[str, ...] = TRUE_VALUES
    false_values: tuple[str, ...] = FALSE_VALUES
    decimal_char: str = "."
    group_char: str = ""
    """What sets thousands off; empty: nothing does."""
    bare_number: bool = True
    """Nothing but the number may stand in a value; False: a currency or a percent sign may, before or after it."""
    aliases: tuple[str, ...] = ()
    """What else a file may call the column, its title included."""
    default: str | UploadTime | None = None
    """The text that a file without the column has in every row; None: a file must have it."""
    indexed: bool = True
    """Whether documents can be searched and sorted by it; the value is kept and exported either way."""

    def default_text(self, uploaded_at: int) -> str | None:
        """The default of a job that was made at this time, in milliseconds since 1970."""
        if isinstance(self.default, UploadTime):
            return text_of_moment(uploaded_at, self.type, self.format)
        return self.default


_TYPES = frozenset(get_args(FieldType))
_PROPERTIES = frozenset(
    {"name", "type", "format", "title", "description", "example", "rdfType", "constraints", "missingValues", "sluice"}
)
_OF_TYPE: dict[str, frozenset[str]] = {
    "integer": frozenset({"groupChar", "bareNumber"}),
    "number": frozenset({"groupChar", "decimalChar", "bareNumber"}),
    "boolean": frozenset({"trueValues", "falseValues"}),
}
_OWN = frozenset({"pattern_reason", "aliases", "default", "index"})
_CONSTRAINTS = frozenset({"required", "unique", "pattern", "enum", "minimum", "maximum", "minLength", "maxLength"})
_VALUES: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}
"""Type -> what its values are in JSON, where they are no texts."""
_SAMPLE = "2024-12-31T13:45:56.000123+05:30"
MOST_DIGITS = 18
"""Digits of a whole number, at most."""
_SHOWN = 80
"""Characters of a refused value that a message quotes."""


def parse_field(dataset: str, item: Any, missing: tuple[str, ...] = MISSING) -> Field:
    """The field that a descriptor (a decoded JSON object) describes; `missing` is what stands for no value elsewhere.

    Raises:
        DatasetError: a property is missing, unknown, or not of the kinds that Sluice knows.
    """
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise DatasetError(f"dataset {dataset}: each field is an object with a 'name', a text; this is {shown(item)}")
    name = item["name"]
    where = f"dataset {dataset}, field {shown(name)}"
    require_plain(where, item)
    if problem := name_problem(name):
        raise DatasetError(f"{where}: {problem}")
    kind = item.get("type", "string")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise DatasetError(f"{where}: type {shown(kind)} is not known; use one of {', '.join(sorted(_TYPES))}")
    refuse_unknown(where, "property", item, _PROPERTIES | _OF_TYPE.get(kind, frozenset()), f" for type {kind}")
    constraints, own = item.get("constraints", {}), item.get("sluice", {})
    refuse_unknown(where, "constraint", constraints, _CONSTRAINTS)
    refuse_unknown(where, "property sluice", own, _OWN)
    require_texts(where, item, "title", "description", "rdfType")
    _require_constraints(where, kind, constraints)
    field = Field(
        name=name,
        type=cast(FieldType, kind),
        format=_format(where, kind, item.get("format", "default")),
        required=constraints.get("required", False),
        unique=constraints.get("unique", False),
        pattern=constraints.get("pattern"),
        pattern_reason=own.get("pattern_reason"),
        enum=tuple(constraints.get("enum", ())),
        minimum=constraints.get("minimum"),
        maximum=constraints.get("maximum"),
        min_length=constraints.get("minLength"),
        max_length=constraints.get("maxLength"),
        missing=missing_values(where, item, missing),
        true_values=_texts(where, item, "trueValues", TRUE_VALUES),
        false_values=_texts(where, item, "falseValues", FALSE_VALUES),
        # A whole number has no decimals: a dot may set off its thousands.
        decimal_char=item.get("decimalChar", "," if (kind, item.get("groupChar")) == ("integer", ".") else "."),
        group_char=item.get("groupChar", ""),
        bare_number=item.get("bareNumber", True),
        aliases=_aliases(where, item.get("title", ""), own.get("aliases", [])),
        default=_default(where, kind, own.get("default")),
        indexed=_indexed(where, own.get("index", True)),
    )
    _require_readable(where, field)
    return field


def refuse_unknown(where: str, what: str, given: Any, known: frozenset[str], scope: str = "") -> None:
    """Raises DatasetError for the first key of `given` that is not `known`."""
    if not isinstance(given, dict):
        raise DatasetError(f"{where}: {what} has to be an object")
    unknown = sorted(set(given) - known, key=str)
    if unknown:
        raise DatasetError(
            f"{where}: {what} {shown(unknown[0])} is not known{scope}, so it would not be checked; take it out "
            f"(known: {', '.join(sorted(known))})"
        )


def require_plain(where: str, given: Any) -> None:
    """Raises DatasetError for NaN and infinity, for lone surrogates, and for lists and objects nested too deeply."""
    try:
        json.dumps(given, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"{where}: a text holds half a character (a lone surrogate); write it anew") from error
    except RecursionError as error:
        raise DatasetError(f"{where}: lists and objects lie too deep in each other") from error
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{where}: a value is not of JSON: {error}") from error


def require_texts(where: str, given: dict[str, Any], *names: str) -> None:
    """Raises DatasetError for a property of these that is there and is no text."""
    for name in names:
        if not isinstance(given.get(name, ""), str):
            raise DatasetError(f"{where}: {name} is a text, not {shown(given[name])}")


def shown(value: Any) -> str:
    """A value as a message quotes it."""
    try:
        text = repr(value)
    except RecursionError:
        text = "lists and objects that lie too deep in each other"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def missing_values(where: str, item: dict[str, Any], default: tuple[str, ...] = MISSING) -> tuple[str, ...]:
    """The texts that stand for no value, of a field or of a whole dataset."""
    missing = _texts(where, item, "missingValues", default)
    if "" not in missing:
        raise DatasetError(f"{where}: missingValues has to hold the empty text '', which is always a missing value")
    return missing


def _texts(where: str, item: dict[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    texts = item.get(name, default)
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"{where}: {name} is a list of texts")
    return tuple(texts)


def _aliases(where: str, title: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(alias, str) for alias in given):
        raise DatasetError(f"{where}: sluice.aliases is a list of texts, not {shown(given)}")
    for alias in given:
        if not folded(alias) or len(alias) > LONGEST_NAME:
            raise DatasetError(
                f"{where}: the alias {shown(alias)} can't be a column's name: it needs a sign that can be seen besides "
                f"_ and -, and has at most {LONGEST_NAME} characters"
            )
        if folded(alias).startswith("sluice_"):
            raise DatasetError(f"{where}: the alias {shown(alias)} is a name that is taken by Sluice itself")
    return tuple(dict.fromkeys([*([title] if folded(title) else []), *given]))


def _indexed(where: str, given: Any) -> bool:
    if not isinstance(given, bool):
        raise DatasetError(f"{where}: sluice.index is true or false, not {shown(given)}")
    return given


def _default(where: str, kind: str, given: Any) -> str | UploadTime | None:
    if given == {"time": "upload"}:
        if kind not in ("date", "datetime"):
            raise DatasetError(f"{where}: the time of the upload is a default for type date or datetime, not {kind}")
        return UploadTime()
    if given is not None and not isinstance(given, str):
        raise DatasetError(
            f"{where}: sluice.default is a text, as a file would have it, or {{'time': 'upload'}}, not {shown(given)}"
        )
    return given


def _format(where: str, kind: str, given: Any) -> str:
    if kind in ("date", "datetime") and isinstance(given, str) and "%" in given:
        try:
            write = date_writer(given)
            read = datetime.strptime(write(_SAMPLE), given)
            again = datetime.strptime(write(read.isoformat()), given)
        except (ValueError, re.error) as error:  # an `re.error`: a part is named twice
            raise DatasetError(f"{where}: format {shown(given)} can't be read: {error}") from error
        if read.date() != moment(_SAMPLE).date():
            raise DatasetError(f"{where}: format {shown(given)} has to name the year, the month and the day")
        if again != read:
            raise DatasetError(
                f"{where}: what format {shown(given)} reads could not be written for it; set its parts apart"
            )
        return given
    known = {"string": ("default", "email", "phone"), "date": ("default", "any")}
    allowed = known.get({"any": "string", "datetime": "date"}.get(kind, kind), ("default",))
    if given not in allowed:
        pattern = ", or a pattern such as '%d/%m/%Y'" if kind in ("date", "datetime") else ""
        raise DatasetError(
            f"{where}: format {shown(given)} is not known for type {kind}; use {' or '.join(allowed)}{pattern}"
        )
    return cast(str, given)


def _require_constraints(where: str, kind: str, constraints: dict[str, Any]) -> None:
    """A constraint that could only fail at the first row is refused here."""
    for name in ("required", "unique"):
        if not isinstance(constraints.get(name, False), bool):
            raise DatasetError(f"{where}: {name} is true or false")
    _require_pattern(where, constraints.get("pattern"))
    if kind == "boolean" and {"minimum", "maximum"} & set(constraints):
        raise DatasetError(f"{where}: a boolean has no minimum or maximum")
    bounds = [constraints[name] for name in ("minimum", "maximum") if constraints.get(name) is not None]
    for name in ("minimum", "maximum"):
        if constraints.get(name) is not None:
            _require_value(where, kind, name, constraints[name])
    if len(bounds) == 2 and _measured(kind, bounds[0]) > _measured(kind, bounds[1]):
        raise DatasetError(f"{where}: minimum {shown(bounds[0])} is more than maximum {shown(bounds[1])}")
    enum = constraints.get("enum", [""])
    if not isinstance(enum, list) or not enum:
        raise DatasetError(f"{where}: enum is a list of values, one at least")
    for value in constraints.get("enum", ()):
        _require_value(where, kind, "enum", value)
    for name in ("minLength", "maxLength"):
        value = constraints.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise DatasetError(f"{where}: {name} is a whole number from 0 on")
    least, most = constraints.get("minLength", 0), constraints.get("maxLength")
    if most is not None and least > most:
        raise DatasetError(f"{where}: minLength {shown(least)} is more than maxLength {shown(most)}")


def _require_pattern(where: str, pattern: Any) -> None:
    if pattern is not None and not isinstance(pattern, str):
        raise DatasetError(f"{where}: the pattern is a text, not {shown(pattern)}")
    try:
        re.compile(pattern or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise DatasetError(f"{where}: the pattern is no regular expression: {error}") from error


def _require_value(where: str, kind: str, name: str, value: Any) -> None:
    """A value in a constraint has the field's type; a date is one of ISO 8601, also if the field has another format."""
    types = _VALUES.get(kind, (str,))
    fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if not fits:
        raise DatasetError(f"{where}: {name} {shown(value)} is not of the field's type, {kind}")
    if kind in ("date", "datetime"):
        shape, stored = (DATE, stored_date) if kind == "date" else (DATETIME, stored_datetime)
        try:
            if not shape.match(value):
                raise ValueError("is not in the form of ISO 8601")
            stored(value)
        except ValueError as error:
            raise DatasetError(f"{where}: {name} {shown(value)} is no {kind}; write it as 2026-01-31") from error
    if kind == "integer" and abs(value) >= 10**MOST_DIGITS:
        raise DatasetError(f"{where}: {name} {shown(value)} has more than {MOST_DIGITS} digits")
    if kind == "number" and not _finite(value):
        raise DatasetError(f"{where}: {name} {shown(value)} is too large for a number")


def _measured(kind: str, value: Any) -> Any:
    return moment(value) if kind == "datetime" else value


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def _require_readable(where: str, field: Field) -> None:
    """Each text may have one reading only, and each stored value needs a text that is read as that value."""
    if field.required and field.default in field.missing:
        raise DatasetError(f"{where}: sluice.default {shown(field.default)} stands for no value, and one is required")
    both = set(field.true_values) & set(field.false_values)
    if both:
        raise DatasetError(f"{where}: {shown(sorted(both)[0])} is in trueValues and in falseValues")
    for words, name in ((field.true_values, "trueValues"), (field.false_values, "falseValues")):
        if field.type == "boolean" and set(words) <= set(field.missing):
            raise DatasetError(f"{where}: each of {name} is in missingValues as well, so none of them would be read")
    if not isinstance(field.bare_number, bool):
        raise DatasetError(f"{where}: bareNumber is true or false")
    signs = [field.decimal_char, *([field.group_char] if field.group_char != "" else [])]
    for character in signs:
        if not isinstance(character, str) or len(character) != 1 or character.isdigit() or character in "+-eE":
            raise DatasetError(
                f"{where}: {shown(character)} can't be a decimalChar or groupChar; give one sign, such as ','"
            )
    if len(set(signs)) < len(signs):
        raise DatasetError(f"{where}: decimalChar and groupChar are both {field.group_char!r}")
    if field.pattern_reason is not None and (field.pattern is None or not isinstance(field.pattern_reason, str)):
        raise DatasetError(f"{where}: sluice.pattern_reason is a text, for a field with a pattern")
