"""What was expected where a message does not fit its type, in words that a person can act on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

_WHERE = re.compile(r"(?P<problem>.*) - at (?P<key>`key` in )?`\$(?P<path>.*)`", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_OUT_OF_TYPE = ("Expected `", "Number out of range", "Integer value out of range", "Invalid enum value")


def in_words(problem: str, kind: Any, tag: str | None = None) -> str:
    """msgspec's words for what does not fit `kind`, as a sentence that says what is expected instead.

    `tag`: that of the message, where `kind` is a union of tagged structs.
    """
    found = _WHERE.fullmatch(problem)
    what, path = (found["problem"], found["path"]) if found else (problem, "")
    types = _at(_info(kind), path, tag)
    name = path.lstrip(".")
    if unknown := _UNKNOWN.fullmatch(what):
        return unknown_words(unknown[1], name, _names(types))
    if missing := _MISSING.fullmatch(what):
        return f"`{f'{name}.' if name else ''}{missing[1]}` is missing"
    if not name or not _with_words(types) or not what.startswith(_OUT_OF_TYPE):
        return problem
    if found and found["key"]:
        keys = [one for entry in types if isinstance(entry, inspect.DictType) for one in _flat(entry.key_type)]
        return f"a name in `{name}` has to be {_either(keys)}"
    return f"`{name}` has to be {_either(types)}"


def _with_words(types: Sequence[inspect.Type]) -> bool:
    """Whether it can be said what is expected: of a type that is anything it is what msgspec says."""
    return bool(types) and not any(isinstance(one, inspect.AnyType) for one in types)


def unknown_words(field: str, path: str, known: Sequence[str]) -> str:
    """A field that there is not, and those that there are."""
    where = f" in `{path}`" if path else ""
    return f"unknown field `{field[:80]}`{where}; there are {', '.join(known) or 'none'}"


def fields_in_words(kind: Any) -> str:
    """The fields of a struct, those of the structs in them, and the values of those that have a few:
    ``fields: name, role (viewer, admin), options; options: dry_run``.
    """
    return "; ".join(_listed(_info(kind), "fields"))


def _listed(kind: inspect.Type, path: str) -> Iterator[str]:
    fields = kind.fields if isinstance(kind, inspect.StructType) else ()
    yield f"{path}: {', '.join(f'{field.encode_name}{_few(field.type)}' for field in fields)}"
    for field in fields:
        for one in _flat(field.type):
            if isinstance(one, inspect.StructType):
                yield from _listed(one, field.encode_name if path == "fields" else f"{path}.{field.encode_name}")


def _few(kind: inspect.Type) -> str:
    values = [value for one in _flat(kind) for value in _values(one)]
    return f" ({', '.join(values)})" if values else ""


def _values(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.LiteralType():
            return [str(value) for value in kind.values]
        case inspect.EnumType():
            return [str(member.value) for member in kind.cls]
        case _:
            return []


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def unknown_field(value: Any, kind: Any) -> str | None:
    """The first field in `value`, a decoded JSON object, that the struct `kind` does not have, in words; None: none."""
    return next(_strangers(value, [_info(kind)], ""), None)


def _strangers(value: Any, types: Sequence[inspect.Type], path: str) -> Iterator[str]:
    structs = [one for one in types if isinstance(one, inspect.StructType)]
    if isinstance(value, dict) and structs:
        (struct,) = structs
        known = {field.encode_name: field.type for field in struct.fields}
        for name, inner in value.items():
            if name in known:
                yield from _strangers(inner, _flat(known[name]), f"{path}.{name}" if path else name)
            elif name != struct.tag_field:
                yield unknown_words(name, path, list(known))


def _at(kind: inspect.Type, path: str, tag: str | None) -> list[inspect.Type]:
    """The types that are possible at a path such as ``.lanes[...].totals``."""
    types = _flat(kind)
    if len(types) > 1:
        types = [one for one in types if getattr(one, "tag", None) == tag] or types
    for step in _STEP.finditer(path):
        types = [inner for one in types for inner in _inside(one, step[1], step[2])]
    return types


def _inside(kind: inspect.Type, name: str | None, place: str | None) -> list[inspect.Type]:
    match kind:
        case inspect.StructType() if name is not None:
            return [one for field in kind.fields if field.encode_name == name for one in _flat(field.type)]
        case inspect.DictType():
            return _flat(kind.value_type)
        case inspect.ListType() | inspect.VarTupleType():
            return _flat(kind.item_type)
        case inspect.TupleType() if place is not None and place.isdigit():
            return _flat(kind.item_types[int(place)])
        case _:
            return []


def _flat(kind: inspect.Type) -> list[inspect.Type]:
    return [one for inner in kind.types for one in _flat(inner)] if isinstance(kind, inspect.UnionType) else [kind]


def _names(types: Sequence[inspect.Type]) -> list[str]:
    return [field.encode_name for one in types if isinstance(one, inspect.StructType) for field in one.fields]


def _either(types: Sequence[inspect.Type]) -> str:
    return ", or ".join(dict.fromkeys(_described(one) for one in sorted(types, key=_is_null)))


def _is_null(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.NoneType)


def _described(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            given: str | None = (kind.extra_json_schema or {}).get("description")
            return given or _described(kind.type)
        case inspect.IntType() | inspect.FloatType():
            whole = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            most = kind.le if kind.lt is None else kind.lt - 1
            return whole if kind.ge is None or most is None else f"{whole} from {kind.ge:,} to {most:,}"
        case inspect.StrType():
            return "a text" if kind.max_length is None else f"a text of at most {kind.max_length:,} characters"
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.LiteralType() | inspect.EnumType():
            return f"one of {', '.join(_values(kind))}"
        case inspect.ListType() | inspect.VarTupleType() | inspect.TupleType():
            return "a list"
        case inspect.StructType() | inspect.DictType():
            return "an object"
        case _:
            return "something else"


class _Tagged(msgspec.Struct):
    type: str | None = None
    kind: str | None = None


_tagged = msgspec.json.Decoder(_Tagged).decode


def tag_in(data: bytes) -> str | None:
    """The tag of a message of ours; None: it has none."""
    try:
        found = _tagged(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found.type or found.kind
