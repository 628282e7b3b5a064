"""Hypothesis strategies of dataset descriptors: valid and invalid names, properties and constraints, combined."""

from __future__ import annotations

from hypothesis import strategies as st

from schemas.names import METADATA

NAMES = st.one_of(
    st.sampled_from(["a", "a.b", "a.b.c", "b", "b.a", "A", "a b", "a.", ".a", "a..b", "a. b", "a. .b", ".", ".."]),
    st.sampled_from(
        ["", " ", "\u00a0", "a\u00a0", "\u2003a", "\ufeffa", "a\n", "\x00", "a\x7fb", "\ud800", "\u200d", "x" * 300]
    ),
    st.sampled_from(
        ["sluice", "sluice.job_id", "sluice_row", "_doc", "_x", "a._id", "_id.a", "*", "a*", "a,b", 'a"b', "a\\b"]
    ),
    st.sampled_from(
        ["properties", "type", "fields", "dynamic", "properties.type", "%s", "{}", "@timestamp", "a" + ".a" * 25]
    ),
    st.sampled_from(sorted(METADATA)),
    st.text(max_size=5),
)
ODD = st.one_of(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    st.sampled_from(
        [10**400, -(10**30), 1e308, float("nan"), float("inf"), -0.0, [], {}, [[]], [{}], [None], {"a": []}]
    ),
    st.sampled_from(["(", "(?i)a", "a" * 3000, "2026-01-31", "20260131", "2026-01-31T10:00+19:00", "\ud800"]),
    st.sampled_from([["", "a", 1], ["a", "a"], [""], ["a", {}], ["2026-02-30"]]),
)
_FORMATS = st.sampled_from(["%G%V%u", "%Q"]) | st.sampled_from(
    [
        "default",
        "email",
        "any",
        "%d/%m/%Y",
        "%d %d %m %Y",
        "%Y",
        "%",
        "%d/%m/%Y%",
        "%c",
        "%x",
        "%Q",
        "%Y-%m-%d\x00",
        "%G%V%u",
    ]
)
_DAY = {"minimum": "2026-02-01", "maximum": "2026-01-01"}
_CONSTRAINTS = st.dictionaries(
    st.sampled_from(["required", "unique", "pattern", "enum", "minimum", "maximum", "minLength", "maxLength", "odd"]),
    ODD,
    max_size=2,
) | st.sampled_from([{}, {"required": True}, {"minimum": 2, "maximum": 1}, {"minLength": 2, "maxLength": 1}, _DAY])
_TYPES = st.sampled_from(["string", "integer", "number", "boolean", "date", "datetime", "any"])
_PLAIN = st.fixed_dictionaries(
    {"name": NAMES}, optional={"type": _TYPES, "sluice": st.fixed_dictionaries({"index": st.booleans()})}
)
_FULL = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "type": _TYPES | ODD,
        "format": _FORMATS | ODD,
        "constraints": _CONSTRAINTS | ODD,
        "missingValues": ODD,
        "trueValues": ODD,
        "falseValues": ODD,
        "decimalChar": ODD,
        "groupChar": ODD,
        "bareNumber": ODD,
        "title": ODD,
        "description": ODD,
        "example": ODD,
        "sluice": ODD,
    },
)
_WHOLE = {"$schema": ODD, "title": ODD, "missingValues": ODD, "primaryKey": NAMES | ODD, "sluice": ODD, "odd": ODD}
DESCRIPTORS = st.one_of(
    st.fixed_dictionaries({"fields": st.lists(_PLAIN, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"fields": st.lists(_PLAIN | _FULL, min_size=1, max_size=2)}, optional=_WHOLE),
    st.fixed_dictionaries({"fields": ODD | st.lists(ODD, max_size=2)}, optional=_WHOLE),
    ODD,
)
