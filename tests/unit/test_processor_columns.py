"""Columns: each type, format and constraint with good and bad values; and both forms of a check say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.columns import BadValueError, Column, compile_column
from schemas.datasets import Field

F = Field
GOOD: list[tuple[Field, str, Any]] = [
    (F("x"), "any text, 漢字 too", "any text, 漢字 too"),
    (F("x"), " ", " "),
    (F("x"), "", None),
    (F("x", "any"), "7", "7"),
    (F("x", format="email"), "ada.lovelace+x@mail.example.org", "ada.lovelace+x@mail.example.org"),
    (F("x", format="email"), "ärger@müller.example", "ärger@müller.example"),
    (F("x", format="phone"), "+31 (0)20-123 45.67", "+31 (0)20-123 45.67"),
    (F("x", "integer"), "42", 42),
    (F("x", "integer"), "-7", -7),
    (F("x", "integer"), "999999999999999999", 999_999_999_999_999_999),
    (F("x", "number"), "1.5", 1.5),
    (F("x", "number"), "-.5e3", -500.0),
    (F("x", "boolean"), "true", True),
    (F("x", "boolean"), "0", False),
    (F("x", "boolean"), "", None),
    (F("x", "date"), "2024-02-29", "2024-02-29"),
    (F("x", "datetime"), "2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z"),
    (F("x", "datetime"), "2026-03-04 05:06", "2026-03-04T05:06"),
    (F("x", "datetime"), "2026-03-04T05:06:07.123456789+05:30", "2026-03-04T05:06:07.123456789+05:30"),
    (F("x", "datetime"), "2026-03-04", "2026-03-04"),
    (F("x", pattern="[a-c]+"), "abc", "abc"),
    (F("x", pattern="^a|b$"), "b", "b"),
    (F("x", enum=("red", "blue")), "red", "red"),
    (F("x", "integer", enum=(1, 2)), "2", 2),
    (F("x", min_length=2, max_length=3), "abc", "abc"),
    (F("x", min_length=2), "", None),
    (F("x", "integer", minimum=2, maximum=40), "2", 2),
    (F("x", "integer", minimum=2, maximum=40), "40", 40),
    (F("x", "number", minimum=0.5), "0.5", 0.5),
    (F("x", "date", minimum="2026-01-01"), "2026-01-01", "2026-01-01"),
    (F("x", minimum="b"), "c", "c"),
]
BAD: list[tuple[Field, str, str]] = [
    (F("x", required=True), "", "is required, but empty"),
    (F("x", "integer", required=True), "", "is required, but empty"),
    (F("x", format="email"), "ada.example.org", "not an email address"),
    (F("x", format="email"), "ada@localhost", "not an email address"),
    (F("x", format="email"), "ada@example.org, bob@example.org", "not an email address"),
    (F("x", format="email"), "ada@example.org\n", "not an email address"),
    (F("x", format="phone"), "ada@example.org", "not a phone number"),
    (F("x", format="phone"), "12", "not a phone number"),
    (F("x", "integer"), "1.0", "not a whole number"),
    (F("x", "integer"), "12 ", "not a whole number"),
    (F("x", "integer"), "12\n", "not a whole number"),
    (F("x", "integer"), "9999999999999999999", "not a whole number"),
    (F("x", "number"), "1,5", "not a number"),
    (F("x", "number"), "nan", "not a number"),
    (F("x", "number"), "1e999", "too large"),
    (F("x", "number"), "-1e999", "too large"),
    (F("x", "boolean"), "yes", "neither true nor false"),
    (F("x", "date"), "2026-02-30", "no day of the calendar"),
    (F("x", "date"), "30.02.2026", "YYYY-MM-DD"),
    (F("x", "datetime"), "2026-03-04T25:00", "no day and time"),
    (F("x", "datetime"), "yesterday", "YYYY-MM-DDTHH:MM:SSZ"),
    (F("x", "datetime"), "2026-03-04Z", "YYYY-MM-DDTHH:MM:SSZ|no day and time"),
    (F("x", pattern="[a-c]+"), "abcd", "pattern"),
    (F("x", pattern="[a-c]+"), "abc\n", "pattern"),
    (F("x", pattern="^[a-c]+$"), "abc\n", "pattern"),
    (F("x", pattern="a|b"), "ab", "pattern"),
    (F("x", enum=("red", "blue")), "green", "none of blue, red"),
    (F("x", min_length=2), "a", "1 characters long; at least 2"),
    (F("x", max_length=3), "abcd", "4 characters long; at most 3"),
    (F("x"), "x" * 32_001, "at most 32000"),
    (F("x", "integer", minimum=2, maximum=40), "1", "less than 2"),
    (F("x", "integer", minimum=2, maximum=40), "41", "more than 40"),
    (F("x", "date", minimum="2026-01-01"), "2025-12-31", "less than 2026-01-01"),
]


@pytest.mark.parametrize(("field", "text", "stored"), GOOD)
def test_a_good_value_is_stored(field: Field, text: str, stored: Any) -> None:
    value = compile_column(field).explain(text)
    assert value == stored and type(value) is type(stored)


@pytest.mark.parametrize(("field", "text", "reason"), BAD)
def test_a_bad_value_is_refused_and_the_reason_says_why(field: Field, text: str, reason: str) -> None:
    with pytest.raises(BadValueError, match=reason):
        compile_column(field).explain(text)


FIELDS = list(dict.fromkeys(field for field, _, _ in (*GOOD, *BAD)))
TEXTS = st.one_of(
    st.sampled_from([text for _, text, _ in (*GOOD, *BAD) if len(text) < 100]),
    st.text("0123456789-+.:TZe @a\n", max_size=12),
    st.text(max_size=5),
)


def explained(column: Column, texts: list[str]) -> list[Any] | None:
    try:
        return [column.explain(text) for text in texts]
    except BadValueError:
        return None


@given(st.sampled_from(FIELDS), st.lists(TEXTS, min_size=1, max_size=4))
@settings(deadline=None)
def test_the_fast_form_lets_through_only_what_the_other_does_and_stores_the_same(
    field: Field, texts: list[str]
) -> None:
    column = compile_column(field)
    fast, slow = column.fast(texts), explained(column, texts)
    if fast is not None:
        assert list(fast) == slow


@pytest.mark.parametrize(("field", "text", "stored"), GOOD)
def test_a_column_of_good_values_is_never_looked_at_one_by_one(field: Field, text: str, stored: Any) -> None:
    column = compile_column(field)
    fast = column.fast([text, text])
    if text or column.convert is None:
        assert fast is not None and list(fast) == [stored, stored]


@pytest.mark.parametrize(("field", "text", "reason"), BAD)
def test_one_bad_value_takes_the_fast_form_out_of_the_way(field: Field, text: str, reason: str) -> None:
    good = next((value for other, value, _ in GOOD if other == field and value), "a")
    assert compile_column(field).fast([good, text, good]) is None
