"""Columns: each type, format and constraint with good and bad values; and both forms of a check say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.validation.columns import BadValueError, Column, compile_column
from schemas.descriptors.datasets import Field
from schemas.descriptors.fields import parse_field
from schemas.messages.packed_rows import BETWEEN_ROWS, JsonColumn, PackedRows, packed_row

F = Field
EURO = F("x", "number", decimal_char=",", group_char=".")
GOOD: list[tuple[Field, str, Any]] = [
    (F("x"), "any text, 漢字 too", "any text, 漢字 too"),
    (F("x"), " ", " "),
    (F("x"), "", None),
    (F("x", "any"), "7", "7"),
    (F("x", format="email"), "ada.lovelace+x@mail.example.org", "ada.lovelace+x@mail.example.org"),
    (F("x", format="email"), "ärger@müller.example", "ärger@müller.example"),
    (F("x", format="phone"), "+31 (0)20-123 45.67", "+31 (0)20-123 45.67"),
    (F("x", format="phone"), "(+31) 20 555 0201", "(+31) 20 555 0201"),
    (F("x", format="phone"), "001-555-123-4567x89012", "001-555-123-4567x89012"),
    (F("x", format="phone"), "(020) 555-0201, Ext. 12", "(020) 555-0201, Ext. 12"),
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
    (F("x", missing=("", "n/a")), "n/a", None),
    (F("x", "integer", missing=("", "n/a")), "n/a", None),
    (F("x", "integer"), "", None),
    (EURO, "1.234.567,50", 1234567.5),
    (EURO, "-1234,5", -1234.5),
    (EURO, ",5", 0.5),
    (F("x", "integer", group_char=" "), "12 345", 12_345),
    (F("x", "integer", group_char=","), "12,34,567", 1_234_567),
    (parse_field("d", {"name": "x", "type": "integer", "groupChar": "."}), "1.234.567", 1_234_567),
    (F("x", "number", bare_number=False), "95%", 95.0),
    (F("x", "number", bare_number=False), "-$ 5.20", -5.2),
    (F("x", "integer", bare_number=False), "EUR 12", 12),
    (F("x", "boolean", true_values=("yes", "ja"), false_values=("no",)), "ja", True),
    (F("x", "boolean", true_values=("yes",), false_values=("no",)), "no", False),
    (F("x", "boolean", enum=(True,)), "1", True),
    (F("x", "number", enum=(1, 2.5)), "1.0", 1.0),
    (F("x", "date", format="%d/%m/%Y"), "31/01/2026", "2026-01-31"),
    (F("x", "date", format="%d/%m/%Y", minimum="2026-01-31", enum=("2026-01-31",)), "31/01/2026", "2026-01-31"),
    (F("x", "datetime", format="%d.%m.%Y %H:%M"), "31.01.2026 07:05", "2026-01-31T07:05:00"),
    (F("x", "datetime", format="%Y%m%d%H%M%S%z"), "20260131070500+0100", "2026-01-31T07:05:00+01:00"),
    (F("x", "date", format="any"), "2026-01-31", "2026-01-31"),
    (F("x", "date", format="any"), "31 Jan 2026", "2026-01-31"),
    (F("x", "date", format="any"), "2026/01/31", "2026-01-31"),
    (F("x", "datetime", format="any"), "Sat, 31 Jan 2026 07:05:00 +0000", "2026-01-31T07:05:00+00:00"),
    (F("x", "datetime", minimum="2026-01-01"), "2026-01-01T00:30:00Z", "2026-01-01T00:30:00Z"),
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
    (F("x", format="phone"), "555-123-4567x", "not a phone number"),
    (F("x", format="phone"), "555-123-4567x1234567", "not a phone number"),
    (F("x", format="phone"), "x89012", "not a phone number"),
    (F("x", format="phone"), "(+) 20 555 0201", "not a phone number"),
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
    (F("x", min_length=2), "a", "1 character long; at least 2"),
    (F("x", max_length=3), "abcd", "4 characters long; at most 3"),
    (F("x"), "x" * 32_001, "at most 32000"),
    (F("x", "integer", minimum=2, maximum=40), "1", "less than 2"),
    (F("x", "integer", minimum=2, maximum=40), "41", "more than 40"),
    (F("x", "date", minimum="2026-01-01"), "2025-12-31", "less than 2026-01-01"),
    (F("x", required=True, missing=("", "n/a")), "n/a", "required, but 'n/a' stands for no value"),
    (EURO, "1.5", "decimals behind ',', thousands set off by '.'"),
    (EURO, "1,234.50", "is not a number"),
    (EURO, "1.23.45", "is not a number"),
    (F("x", "integer", group_char=","), "1,5", "is not a whole number"),
    (F("x", "integer", group_char=","), "1" * 19, "more than 18 digits"),
    (F("x", "number", bare_number=False), "(5)", "is not a number"),
    (F("x", "number", bare_number=False), "5-", "is not a number"),
    (F("x", "number", bare_number=False), "5 of 7", "is not a number"),
    (F("x", "number"), "95%", "is not a number"),
    (F("x", "boolean", true_values=("yes",), false_values=("no",)), "true", "write 'yes' or 'no'"),
    (F("x", "boolean", enum=(True,)), "0", "none of True"),
    (F("x", "integer", enum=(1, 2)), "3", "none of 1, 2"),
    (F("x", enum=tuple("abcdefghij")), "z", "none of a, b, c, d, e, f, g, h and 2 others"),
    (F("x", "date", format="%d/%m/%Y"), "01/31/2026", "write it 31/01/2026"),
    (F("x", "date", format="%d/%m/%Y"), "30/02/2026", "not a date of the calendar"),
    (F("x", "date", format="any"), "01/02/2026", "nobody has to guess"),
    (F("x", "datetime", minimum="2026-01-01"), "2026-01-01T00:30:00+02:00", "less than 2026-01-01"),
    (F("x", pattern="a+", pattern_reason="has other letters than a"), "b", "^has other letters than a"),
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


def as_json(texts: list[str]) -> list[JsonColumn]:
    """The column as a worker has it: with others behind it, and as the last one."""
    found = PackedRows(b"[%b]" % BETWEEN_ROWS.join(packed_row([text, text]) for text in texts)).columns(2)
    assert found is not None
    return found


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
    slow = explained(column, texts)
    for fast in (column.fast(texts), *(column.whole(found) for found in as_json(texts))):
        if fast is not None:
            assert list(fast) == slow


@given(st.sampled_from(FIELDS), st.lists(TEXTS, max_size=6))
@settings(deadline=None)
def test_a_column_that_is_sifted_has_the_same_values_and_reasons_as_its_texts_one_by_one(
    field: Field, texts: list[str]
) -> None:
    column = compile_column(field)
    values, bad = column.sift(texts)
    for place, text in enumerate(texts):
        if place in bad:
            with pytest.raises(BadValueError) as refusal:
                column.explain(text)
            assert str(refusal.value) == bad[place]
        else:
            assert column.explain(text) == values[place]


@pytest.mark.parametrize(("field", "text", "stored"), GOOD)
def test_a_column_of_good_values_is_never_looked_at_one_by_one(field: Field, text: str, stored: Any) -> None:
    column = compile_column(field)
    for fast in (column.fast([text, text]), *(column.whole(found) for found in as_json([text, text]))):
        assert fast is not None and list(fast) == [stored, stored]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (F("x", "datetime"), "2026-03-04T05:06:07Z", "2026-03-04T24:00:00Z"),
        (F("x", "datetime"), "2026-03-04T05:06:07Z", "2026-03-04T05:06:07+19:30"),
        (F("x", "datetime"), "2026-03-04T05:06:07Z", "2026-02-30T05:06:07Z"),
        (F("x", "date"), "2026-03-04", "2026-03-00"),
        (F("x", "date"), "2026-03-04", "2026-03-0٤"),
        (F("x", "date"), "2026-03-04", "2026-03-04\n2026-03-05"),
        (F("x", format="phone"), "030 12345", "030 12345\n"),
        (F("x", format="phone"), "030 12345", "٤٤٤٤٤٤"),
        (F("x", format="phone", max_length=9), "030 12345", "030 123456"),
        (F("x", format="phone", missing=("", "00000"), required=True), "030 12345", "00000"),
        (F("x", format="email"), "a@b.c", "a@b.c\nd@e.f"),
        (F("x", format="email", min_length=6), "ab@c.de", "a@b.c"),
    ],
)
def test_what_is_looked_at_for_a_whole_column_lets_no_bad_value_through(field: Field, good: str, bad: str) -> None:
    column = compile_column(field)
    assert column.fast([good, good]) == [good, good]
    assert all(column.whole(found) is found for found in as_json([good, good])), "it stays JSON"
    for texts in ([bad], [good, bad], [bad, good, good]):
        assert column.fast(texts) is None
        assert all(column.whole(found) is None for found in as_json(texts))


@pytest.mark.parametrize(("field", "text", "reason"), BAD)
def test_one_bad_value_takes_the_fast_form_out_of_the_way(field: Field, text: str, reason: str) -> None:
    good = next((value for other, value, _ in GOOD if other == field and value), "a")
    column = compile_column(field)
    assert column.fast([good, text, good]) is None
    assert all(column.whole(found) is None for found in as_json([good, text, good]))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("sign", ["1", "a", ".", "@", "(", "-", " ", "+", "1.", "a@", "a.", "1e", "\u0301"])
@pytest.mark.parametrize(
    "field",
    [
        *(Field("f", kind, "default") for kind in ("integer", "number", "date", "datetime")),
        *(Field("f", "string", kind) for kind in ("email", "phone")),
    ],
    ids=lambda field: f"{field.type}-{field.format}",
)
def test_no_value_takes_long_to_be_refused(field: Field, sign: str) -> None:
    """A pattern that tries again and again takes minutes for one of these, in the worker's event loop."""
    text = sign * (31_000 // len(sign)) + "!"
    column = compile_column(field)
    assert column.fast([text]) is None
    assert all(column.whole(found) is None for found in as_json([text]))
    assert list(column.sift([text])[1]) == [0]
