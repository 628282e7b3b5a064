"""Settings that are tables: TOML or JSON, in a file or in the variable itself."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from runtime.network.urls import without_password


def table_in(text: str) -> dict[str, Any]:
    """The table that a setting means: JSON that begins with ``{``, or else the path of a ``.toml`` or ``.json`` file.

    Raises:
        ValueError: it is no table, or the file can't be read.
    """
    if not text.strip():
        return {}
    try:
        found = _json(text) if text.lstrip().startswith("{") else _in_file(Path(text))
    except OSError as error:
        named = without_password(repr(text))
        raise ValueError(f"file {named} can't be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise ValueError("tables lie too deep in each other") from error
    if not isinstance(found, dict):
        raise ValueError("it is not a table of names and values")
    return found


def _in_file(path: Path) -> Any:
    if path.suffix not in (".toml", ".json"):
        raise ValueError("it is neither JSON (which begins with a brace) nor the path of a .toml or .json file")
    text = path.read_text("utf-8")
    return tomllib.loads(text) if path.suffix == ".toml" else _json(text)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands twice in one object; take one out")
    return made
