"""Other forms that requests may have in JSON: other names of options, a source in one word. Pure."""

from __future__ import annotations

from typing import Any, Final

OTHER_NAMES: Final = {"constants": "set"}
"""Other name of an option -> the name that it has in `Options`, and in every answer."""
SOURCES: Final = ("topic",)
"""Sources that need no more than their kind: the word alone stands for them."""
_MARKS: Final = [f'"{word}"'.encode() for word in (*OTHER_NAMES, *SOURCES)]


def may_have(data: bytes) -> bool:
    """Whether JSON may be in one of these forms."""
    return any(mark in data for mark in _MARKS)


def with_own_names(values: dict[str, Any]) -> dict[str, Any]:
    """Options under the names that they have in `Options`.

    Raises:
        ValueError: an option is there under both of its names; the message names them.
    """
    for other, own in OTHER_NAMES.items():
        if other in values and own in values:
            raise ValueError(f"{other} and {own} are two names of one option; give one of them")
    return {OTHER_NAMES.get(name, name): value for name, value in values.items()}


def with_own_options(message: dict[str, Any]) -> dict[str, Any]:
    """A request or a command with ``options`` as `with_own_names` has them. Raises as it does."""
    options = message.get("options")
    return {**message, "options": with_own_names(options)} if isinstance(options, dict) else message


def in_full(command: dict[str, Any]) -> dict[str, Any]:
    """A command in the form of its type. Raises as `with_own_names`."""
    source = command.get("source")
    return with_own_options({**command, "source": {"kind": source}} if source in SOURCES else command)


def describe_names(schema: dict[str, Any]) -> None:
    """Add the other names to the JSON Schema of a type that has the options themselves as its fields."""
    for other, own in OTHER_NAMES.items():
        if own in schema.get("properties", {}):
            schema["properties"][other] = {**schema["properties"][own], "description": f"Another name of `{own}`."}


def describe_sources(schema: dict[str, Any]) -> None:
    """Add the words to the JSON Schema of a command that has a source."""
    schema["properties"]["source"] = {"anyOf": [schema["properties"]["source"], {"enum": list(SOURCES)}]}
