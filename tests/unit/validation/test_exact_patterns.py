"""A dataset's own patterns: each means what it means to Python, and no value takes one of them long."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processor.validation.columns import BadValueError, compile_column
from processor.validation.exact_patterns import matcher
from schemas.descriptors.datasets import parse_dataset
from tests.support.strategies.patterns import PATTERNS, TEXTS

SLOW = [
    (r"([a-zA-Z0-9]+\s?)*", "a", "!"),
    (r"(a+)+$", "a", "b"),
    (r"^(\w+ ?)*$", "é", "!"),
    (r"(a|a)*b", "a", "c"),
    (r"([ab]*c?)*", "ab", "!"),
    (r".*@.*\..*@x", "@.", "\n"),
    (r"(\d+|\d+-)*", "1", "x"),
    (r"(.*)*,", "a", "a"),
    (r"([a-z]{1,30} ?){1,50}", "a", "!"),
    (r"(?:(?:[a-z]{1,9} ?){1,9}){1,10}", "a", "!"),
]


@given(PATTERNS, st.lists(TEXTS, min_size=1, max_size=4))
@example("(a|ab)(c|bcd)?", ["abcd", "ac"])
@example("((a{2}|a{2,}){1,3}b?){2}", ["aa", "aaaa", "aaab", "a"])
@example(r"[\w-]+?\.?\W*", ["é-.\u2003", "٣"])
@settings(deadline=None, max_examples=400)
def test_a_pattern_means_what_it_means_to_python(text: str, texts: list[str]) -> None:
    pattern = re.compile(text)
    matches = matcher(pattern)
    for one in texts:
        assert bool(matches(one)) == bool(pattern.fullmatch(one)), (text, one)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("pattern", "again", "end"), SLOW)
def test_no_value_takes_an_own_pattern_long(pattern: str, again: str, end: str) -> None:
    """Python's would take one of these longer than the stars will shine, and the worker's event loop with it."""
    dataset = parse_dataset("own", {"fields": [{"name": "x", "constraints": {"pattern": pattern}}]})
    column = compile_column(dataset.fields[0])
    text = again * (31_000 // len(again)) + end
    assert column.fast([text]) is None
    with pytest.raises(BadValueError, match="does not match the pattern"):
        column.explain(text)
