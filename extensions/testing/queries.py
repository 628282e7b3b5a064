"""The queries of Elasticsearch that the memory of the tests understands; any other is refused with a sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Document = Mapping[str, Any]
Mapped = Callable[[str], bool]
"""Whether an index has a mapping that makes this field a keyword, a number or a date; else it is one of its own."""

_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, bound: bool(value > bound),
    "gte": lambda value, bound: bool(value >= bound),
    "lt": lambda value, bound: bool(value < bound),
    "lte": lambda value, bound: bool(value <= bound),
}


class UnknownQueryError(NotImplementedError):
    """A query that the memory does not understand: test this operation against a real Elasticsearch."""


def matches(query: Mapping[str, Any], document_id: str, source: Document, mapped: Mapped) -> bool:
    """Whether a document is found.

    Raises:
        UnknownQueryError: the query is none of bool, ids, match_all, exists, term, terms and range.
    """
    ((kind, body),) = query.items()
    match kind:
        case "match_all":
            return True
        case "ids":
            return document_id in body["values"]
        case "bool":
            return _all_of(body, document_id, source, mapped)
        case "exists":
            return bool(_values(source, body["field"]))
    if kind not in ("term", "terms", "range"):
        raise UnknownQueryError(f"the memory of the tests does not understand the query {kind!r}")
    ((field, wanted),) = body.items()
    found = values_of(source, field, mapped)
    if kind == "term":
        wanted = wanted["value"] if isinstance(wanted, Mapping) else wanted
        return any(value == wanted for value in found)
    if kind == "terms":
        return any(value in wanted for value in found)
    if wanted.get("format") == "epoch_millis":  # numbers, as the documents have them
        wanted = {name: bound for name, bound in wanted.items() if name != "format"}
    unknown = set(wanted) - set(_COMPARED)
    if unknown:
        raise UnknownQueryError(f"the memory of the tests does not understand {sorted(unknown)} of a range")
    return any(all(_COMPARED[name](value, bound) for name, bound in wanted.items()) for value in found)


def values_of(source: Document, field: str, mapped: Mapped) -> list[Any]:
    """The values of a field, by its path; an index without a mapping has a text's whole value in ``<field>.keyword``.

    Raises:
        UnknownQueryError: it is a text that Elasticsearch would take apart into words.
    """
    whole = field.removesuffix(".keyword")
    found = _values(source, whole)
    if field == whole and not mapped(field) and any(isinstance(value, str) for value in found):
        raise UnknownQueryError(
            f"{field!r} is in an index without a mapping, so Elasticsearch searches for its words; "
            f"name {field + '.keyword'!r} for the whole value"
        )
    return [] if field != whole and mapped(whole) else found


def _all_of(body: Mapping[str, Any], document_id: str, source: Document, mapped: Mapped) -> bool:
    unknown = set(body) - {"filter", "must", "must_not", "should"}
    if unknown:
        raise UnknownQueryError(f"the memory of the tests does not understand {sorted(unknown)} of a bool query")

    def met(name: str) -> Iterable[bool]:
        parts = body.get(name, [])
        parts = [parts] if isinstance(parts, Mapping) else parts
        return [matches(part, document_id, source, mapped) for part in parts]

    needed = all((*met("filter"), *met("must"))) and not any(met("must_not"))
    optional = "should" in body and not ("filter" in body or "must" in body)
    return needed and (any(met("should")) if optional else True)


def _values(source: Document, path: str) -> list[Any]:
    found: Any = source
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return []
        found = found[name]
    return [value for value in (found if isinstance(found, list) else [found]) if value is not None]
