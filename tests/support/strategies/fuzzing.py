"""Random records, valid and invalid, made from the types of the messages, so that a new field needs no new code.

`messages(kind)` gives JSON of a struct or a union of structs, each field with a usual or an extreme value;
`GARBAGE` is bytes that are no message of any topic.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from msgspec import inspect

IDS = ("fuzz-a", "fuzz-b", "fuzz-c", "fuzz-d")
"""Job ids of the records, few, so that those of several topics meet in one job."""
NAMES = {"organisation": "fuzz", "created_by": "fuzz", "by": "fuzz"}
"""Fields with a fixed value, which separates the records from other tests' jobs."""

_INTEGERS = st.sampled_from(
    [*range(-2, 9), 100, 255, 2**31 - 1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400]
)
_FLOATS = st.sampled_from([0.0, -1.0, 1.0, 100.0, 0.001, 5e-324, 1e-300, 1e300, 1e308, -1e308, 1e16])
_TEXTS = st.sampled_from(
    (
        *("", " ", "a", "people", "upload", "teams", "export", "2026-01-01", "0000-00-00", "5%", "1e9%"),
        *("\0", "\ud800", "ü" * 300, "x" * 70_000, "../../etc/passwd", "/dev/zero", "s3://x/y", "%s%n", "\x1b[31m"),
    )
)
_ANYTHING = st.recursive(
    st.none() | st.booleans() | _INTEGERS | _FLOATS | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)


RAW: tuple[bytes, ...] = (
    b"1e999", b"-1e400", b"9" * 5000, b"NaN", b'"\xff"', b'"\\ud800"', b'{"\xff":1}', b'{"\\ud800":1}', b'1,"\xff":1',
    b"\xef\xbb\xbf1", b"[" * 900 + b"]" * 900, b'{"a":1,"a":{}}', b"[1,]", b'"\x00"',
)  # fmt: skip
"""Bytes of values for unknown fields, which `json.dumps` never writes. msgspec skips the value of an unknown field
without checking it, so the record is decoded; code that decodes the same bytes a second time may raise an error."""
_PLACE = "the place of raw bytes"


@functools.cache  # a strategy of many types takes Hypothesis longer to make than to use
def messages(kind: Any) -> st.SearchStrategy[bytes]:
    """JSON of `kind` (a struct, or a union of them), most of the time valid, else with one error."""
    message = _of(inspect.type_info(kind))
    usual = st.builds(_mutated, message, st.integers(0, 9), _ANYTHING)
    strange = st.builds(with_raw, message, st.sampled_from(RAW), st.integers(0, 9))
    return st.integers(0, 4).flatmap(lambda number: usual if number else strange)


def with_raw(message: Any, raw: bytes, place: int) -> bytes:
    """The message as JSON, with a surplus field that holds these bytes in one of its objects, which `place` chooses."""
    message = copy.deepcopy(message)
    objects = list(_objects(message))
    if objects:
        objects[place % len(objects)]["surplus"] = _PLACE
    return json.dumps(message).encode().replace(json.dumps(_PLACE).encode(), raw)


def objects_in(message: Any) -> int:
    """How many objects a message has, itself included."""
    return len(list(_objects(message)))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)


GARBAGE: tuple[bytes, ...] = (
    b"", b"{", b"\xff\xfe", b"nonsense", b"[1]", b"null", b"3", b'"text"', b"{}", b'{"job_id": 1}', b"\0" * 100,
    b"[" * 6000, b"[" * 6000 + b"]" * 6000, b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b'{"job_id":"fuzz-a","values":' + b'{"a":' * 1200 + b"1" + b"}" * 1201,
    b'{"type":"Explode","job_id":"fuzz-a"}', b'{"kind":"rows","job_id":"\xc3\x28"}', b"9" * 5000, b"1e400",
)  # fmt: skip
"""Values that are no message of any topic, each for another reason."""


def _of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of one of msgspec's types, for `json.dumps`."""
    match kind:
        case inspect.StructType():
            return _struct(kind)
        case inspect.UnionType():
            return st.one_of([_of(one) for one in kind.types])
        case inspect.IntType():
            return _INTEGERS
        case inspect.FloatType():
            return _FLOATS | _INTEGERS
        case inspect.StrType():
            return _TEXTS | st.sampled_from(IDS)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType():
            return st.sampled_from(sorted(kind.values, key=str))
        case inspect.EnumType():
            return st.sampled_from([str(member.value) for member in kind.cls])
        case inspect.ListType() | inspect.VarTupleType():
            return st.lists(_of(kind.item_type), max_size=4)
        case inspect.TupleType():
            return st.tuples(*(_of(item) for item in kind.item_types)).map(list)
        case inspect.DictType():
            return st.dictionaries(_of(kind.key_type).map(str), _of(kind.value_type), max_size=3)
        case _:
            return _ANYTHING


def _struct(kind: inspect.StructType) -> st.SearchStrategy[dict[str, Any]]:
    needed: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    if kind.tag_field is not None:
        needed[kind.tag_field] = st.just(kind.tag)
    for field in kind.fields:
        if field.name in ("job_id", "id"):
            value: st.SearchStrategy[Any] = st.sampled_from(IDS)
        elif field.name in NAMES:
            value = st.just(NAMES[field.name])
        else:
            value = _of(field.type)
        (needed if field.required else optional)[field.encode_name] = value
    return st.fixed_dictionaries(needed, optional=optional)


def _mutated(message: Any, how: int, odd: Any) -> bytes:
    """The message as JSON, most of the time unchanged, else with one error; `how` chooses which."""
    if isinstance(message, dict) and message:
        name = sorted(message)[how % len(message)]
        if how == 0:
            message = {**message, "surplus": odd}
        elif how == 1:
            message = {**message, name: odd}
        elif how == 2:
            message = {key: value for key, value in message.items() if key != name}
    text = json.dumps(message).encode()
    return text[: len(text) // 2] if how == 3 else text


def deep(message: msgspec.Struct) -> bytes:
    """A message with a surplus field that is nested 1,000 levels."""
    return msgspec.json.encode(message)[:-1] + b',"surplus":' + b"[" * 1000 + b"]" * 1000 + b"}"


def run(check: Callable[[Any], None], strategy: st.SearchStrategy[Any], examples: int, minutes: float | None) -> None:
    """Call `check` with `examples` values, the same ones in each run; with `minutes`, with random ones for so long."""
    until = time.monotonic() + 60 * (minutes or 0)
    while True:
        number = int.from_bytes(os.urandom(4), "big") if minutes else 0
        print(f"fuzzing with seed {number}")
        once = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            verbosity=Verbosity.quiet,  # records of 70 KB would hide what went wrong
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(once(given(strategy)(lambda value: check(value))))()
        if time.monotonic() >= until:
            return
