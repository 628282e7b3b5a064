"""Hypothesis strategies of texts for columns of every type and format, valid ones and nearly valid ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from schemas.descriptors.datasets import Field, parse_dataset

FORMATS = (
    *(
        "%d/%m/%Y",
        "%d/%m/%y",
        "%Y%m%d",
        "%Y-%j",
        "%G-W%V-%u",
        "%Y %U %w",
        "%A, %d. %B %Y",
        "%x",
        "=%d.%m.%Y",
        "%m-%d-%Y%%",
    ),
    *(
        "%d/%m/%Y %H:%M",
        "%c",
        "%x %X",
        "%d %b %Y %I:%M %p",
        "%d.%m.%Y %H:%M:%S.%f",
        "%Y%m%d%H%M%S%z",
        "%z %Y-%m-%d %H:%M",
    ),
    *(
        "%a, %d %b %Y %H:%M:%S %Z",
        "%Y-%m-%d %H:%M:%S %z %Z",
        "%y%m%d%H%M%S%f",
        "%I o'clock on %d.%m.%Y",
        "%d\t%m\t%Y %S",
    ),
)
_ITEMS: list[dict[str, Any]] = [
    {},
    {"type": "any"},
    {"format": "email"},
    {"format": "phone"},
    {"type": "any", "missingValues": ["", "-", "n/a"]},
    {"type": "integer"},
    {"type": "integer", "groupChar": " "},
    {"type": "integer", "groupChar": ",", "bareNumber": False},
    {"type": "integer", "missingValues": ["", "0", "-1"]},
    {"type": "number"},
    {"type": "number", "decimalChar": ",", "groupChar": "."},
    {"type": "number", "decimalChar": "=", "groupChar": "'", "bareNumber": False},
    {"type": "number", "decimalChar": "]", "groupChar": "^", "bareNumber": False, "missingValues": ["", "0", "999"]},
    {"type": "number", "constraints": {"minimum": -1e308, "maximum": 1e16}},
    {"type": "boolean"},
    {"type": "boolean", "trueValues": ["1", "=ja"], "falseValues": ["0", "-"], "missingValues": ["", "1", "0"]},
    {"type": "date"},
    {"type": "date", "format": "any"},
    {"type": "date", "format": "any", "missingValues": ["", "1900-01-01"]},
    {"type": "date", "constraints": {"minimum": "0999-01-01"}},
    {"type": "datetime"},
    {"type": "datetime", "format": "any"},
    {"type": "datetime", "missingValues": ["", "1900-01-01T00:00"]},
    {"type": "datetime", "constraints": {"minimum": "0001-01-02", "maximum": "9999-12-31T00:00:00-18:00"}},
    *({"type": kind, "format": pattern} for kind in ("date", "datetime") for pattern in FORMATS),
    {"type": "date", "format": "%d/%m/%Y", "missingValues": ["", "01/01/1900"]},
]
COLUMNS = parse_dataset(
    "odd", {"fields": [{"name": f'c{number} "{number}\\', **item} for number, item in enumerate(_ITEMS)]}
)
"""A dataset with a column for each item; the names have characters that JSON escapes."""

_pick = st.sampled_from
_YEARS = _pick(["0000", "0001", "0099", "0999", "1000", "1582", "1900", "1969", "2024", "2026", "9999", "26", "10000"])
_NUMBERS_OF_TWO = _pick(["00", "01", "1", "02", "10", "12", "13", "23", "24", "29", "30", "31", "32", "59", "60"])
_FRACTIONS = _pick(["", "", ".0", ".5", ".123456", ".1234567", ".123456789", ".1234567890", ",5", "."])
_HOURS = _pick(
    ["00:00", "01:30", "14:00", "17:59", "18:00", "18:01", "19:00", "23:59", "24:00", "01:60", "01:75", "99:99"]
)
_OFFSETS = st.one_of(
    _pick(["", "", "Z", "z", "+01", "+01:00:30", "+01:00:30.5", " +0100", "-00:00", "UTC", " GMT", "+0A:00"]),
    st.builds("{}{}".format, _pick("+-"), _HOURS | _HOURS.map(lambda at: at.replace(":", ""))),
)
_ISO_DAYS = st.builds("{}{}{}{}{}".format, _YEARS, _pick("--/."), _NUMBERS_OF_TWO, _pick("--/."), _NUMBERS_OF_TWO)
_ISO = st.builds(
    lambda day, sign, hour, minute, second, fraction, offset: f"{day}{sign}{hour}:{minute}{second}{fraction}{offset}",
    _ISO_DAYS,
    _pick("TTT t"),
    _NUMBERS_OF_TWO,
    _NUMBERS_OF_TWO,
    _NUMBERS_OF_TWO.map(":{}".format) | st.just(""),
    _FRACTIONS,
    _OFFSETS,
)


def _written(pattern: str) -> st.SearchStrategy[str]:
    return st.builds(
        lambda at, zone: at.strftime(
            pattern.replace("%Y", f"{at.year:04}").replace("%z", zone).replace("%Z", "utc").replace("%c", at.ctime())
        ),
        st.datetimes(),
        _OFFSETS,
    )


_TIMES = st.builds(
    lambda at, sign, until, fraction, offset: (
        at.isoformat(sign, until) + (fraction if until == "seconds" else "") + offset
    ),
    st.datetimes(),
    _pick("T "),
    _pick(["minutes", "seconds", "seconds"]),
    _FRACTIONS,
    _OFFSETS,
)
_DAYS = st.dates().map(lambda day: day.isoformat())
_NAMED = _pick(["%d %b %Y", "%B %d, %Y", "%Y.%m.%d", "%a, %d %b %Y %H:%M:%S %z", "%Y/%m/%d %H:%M:%S"]).flatmap(_written)
_AT_THE_END = st.builds(
    "{}{}".format,
    _pick(["9999-W53-7", "0001-W01-1", "0001 00 0", "9999-366", "0004-366", "1/1/1900", "31/12/9999"]),
    _pick([" ", ""]),
)
_NUMBERS = st.one_of(
    st.text("0123456789", min_size=1, max_size=20),
    st.text("0123456789+-.,=^]' eE%$€", max_size=14),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.integers(-(10**19), 10**19).map(str),
    st.integers(-(10**9), 10**9).map("{:,}".format),
    _pick(
        [
            "1e400",
            "1e-400",
            "-0.0",
            "-0",
            "+0",
            "00",
            "5e-324",
            "9007199254740993",
            "999999999999999999",
            "-1e308",
            "1e16",
        ]
    ),
    _pick(
        [
            "EUR 12",
            "95%",
            "-$ 5^200]5",
            "١٢",
            "１２",
            "0x10",
            "1_000",
            "Infinity",
            "0" * 400 + "1",
            "1" * 400,
            "999",
            "-01",
        ]
    ),
)
_WORDS = _pick(["true", "True", "TRUE", "1", "0", "false", "FALSE", "yes", "=ja", "'=ja", "-", "'-", "n/a", ""])
_LONG = _pick(["x" * 8192, "é" * 32_000, "😀" * 32_000, "x" * 32_001, "€" * 32_000, "1" * 32_000])
_LINES = _pick(
    [
        "a\x00b",
        "\x00",
        "a\r\nb",
        "\r",
        "\n",
        "\u2028",
        "\ufeff",
        "\x85",
        "'",
        "''",
        "'=1",
        "=1",
        "\t1",
        "+49 (0)30/12-3",
        "(+49) 30 12 ext. 3",
        "030.12-34x567",
        "a@b.c",
    ]
)
TEXTS = st.one_of(_ISO_DAYS, _ISO, _TIMES, _NAMED, _AT_THE_END, _NUMBERS, _WORDS, _LONG, _LINES, st.text(max_size=6))


def fitting(field: Field) -> st.SearchStrategy[str]:
    """Texts for a column: most are valid, some are not."""
    match field.type:
        case "date" | "datetime" if "%" in field.format:
            likely = [_written(field.format)]
        case "date":
            likely = [_DAYS, *([_NAMED] if field.format == "any" else [])]
        case "datetime":
            likely = [_TIMES, _ISO, *([_NAMED] if field.format == "any" else [])]
        case "boolean":
            likely = [_WORDS]
        case "integer" | "number":
            likely = [_NUMBERS]
        case _:
            likely = [TEXTS]
    return _pick([*likely, *likely, TEXTS]).flatmap(lambda strategy: strategy)


CELLS = st.integers(0, len(COLUMNS.fields) - 1).flatmap(
    lambda number: st.tuples(st.just(number), fitting(COLUMNS.fields[number]))
)
"""The number of a column, and a text in it."""
