r"""Patterns for RE2: what they match, Python's match as well, and those that Sluice comes with have one."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processor.validation.columns import compile_column
from processor.validation.linear_patterns import SPACES, translated
from processor.validation.linear_patterns import compile_column as compiled
from runtime.datasets import load_datasets
from schemas.descriptors.shapes import EMAIL, PHONE
from schemas.messages.packed_rows import BETWEEN_ROWS, PackedRows, packed_row
from tests.support.strategies.patterns import PATTERNS, TEXTS


def matches(pattern: re.Pattern[str], texts: list[str], trusted: bool = False) -> bool | None:
    """Whether RE2 finds a column of these texts to be good; None: it has no such pattern."""
    value = translated(pattern, trusted)
    column = None if value is None else compiled(value)
    if column is None:
        return None
    (found,) = PackedRows(b"[%b]" % BETWEEN_ROWS.join(packed_row([text]) for text in texts)).columns(1) or ()
    return column.fullmatch(found.text) is not None


@given(PATTERNS, st.lists(TEXTS, min_size=1, max_size=3))
@example("(a|[ -~]{4,})", ["ab", "ab"])
@example('[^a]*"?', ["b", "b"])
@settings(deadline=None, max_examples=400)
def test_what_re2_takes_python_takes(text: str, texts: list[str]) -> None:
    pattern = re.compile(text)
    if matches(pattern, texts):
        assert all(map(pattern.fullmatch, texts))


@given(st.lists(st.text("ab@.1é,-+() /xet", min_size=1, max_size=12), min_size=1, max_size=3))
@settings(deadline=None)
def test_an_email_address_and_a_phone_number_are_the_same_for_both(texts: list[str]) -> None:
    for pattern in (EMAIL, PHONE):
        assert matches(pattern, texts, trusted=True) == all(map(pattern.match, texts))


@pytest.mark.parametrize("name", sorted(load_datasets()))
def test_texts_of_the_datasets_that_come_along_are_looked_at_by_re2(name: str) -> None:
    for field in load_datasets()[name].fields:
        if field.type == "string":
            assert compile_column(field).scan is not None, field.name


def test_white_space_is_what_python_takes_for_it() -> None:
    """The list stands in the module, because making it takes a tenth of a second."""
    listed = {code for first, last in SPACES for code in range(first, last + 1)}
    assert listed == {code for code in range(sys.maxunicode + 1) if re.match(r"\s", chr(code))}


@pytest.mark.parametrize(
    "text",
    [
        r".{1,50}( .{1,50}){0,19}",
        r"(?:(?:[a-z]{1,9} ?){1,9}){1,10}",
        r"[\w ]*\w[\w ]{0,80}",
        ".*[aeiou].{50}",
        ".{1,500}@.{1,500}",
        "(?:[a-z]{1,10}|[a-c]{1,10}){1,90}",
        "(?:a?b?){0,9}",
        "[a-z]{1,30}(?:[a-z0-9]|-)",
        "(" * 200 + "a" + ")?" * 200,
        "(?:[A-Z]{900}-){1,9}",
        "(?:" * 60 + "a" + "){2}" * 60,
    ],
)
def test_a_pattern_that_would_take_re2_long_is_left_to_python(text: str) -> None:
    """RE2 took half a second and more for a block's column with some of these, in the worker's event loop."""
    value = translated(re.compile(text))
    assert value is None or compiled(value) is None


@pytest.mark.parametrize(
    "text", ["^[A-Z]{2}[0-9]{4,8}$", r"\w+( \w+)*", "[A-Z][a-z]+|[0-9]{3}-?[0-9]{4}", "(?:a|b)*c", "[^@]*"]
)
def test_usual_patterns_are_looked_at_by_re2(text: str) -> None:
    value = translated(re.compile(text))
    assert value is not None and compiled(value) is not None
