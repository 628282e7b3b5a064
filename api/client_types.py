"""The types of `client/`, made from the declarations of the routes: what REST answers with, and the options of a job.

The client needs nothing of the server, so it has types of its own, and this module writes them:

    python -m api.client_types

Answers are wider than the server's structs: a name that a newer server has (a state, say) is a text like any other, and
numbers have no bounds. Options are as narrow as the server's, so that a type checker finds a wrong one.
"""

from __future__ import annotations

import ast
import enum
import inspect
import subprocess
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

from api.models.refusals import ErrorBody
from api.routes.rest import GROUPS
from schemas.job import Options

FOLDER: Final = Path(__file__).parent.parent / "client"
ANSWERS: Final = FOLDER / "answers.py"
OPTIONS: Final = FOLDER / "options.py"
_MADE: Final = "Made by `python -m api.client_types`; not to be edited."
_NAMES: Final = {"MappingView": "ColumnMapping", "TestView": "WebhookTest"}
"""Struct -> the class in the client, where the struct's name would mean something else in Python."""


def answers() -> str:
    """The module of answers: a struct for each that a route names, those it consists of in front of it."""
    found: dict[str, str] = {}
    for endpoints in GROUPS.values():
        for endpoint in endpoints:
            for answer in endpoint.answers.values():
                if isinstance(answer.content, type) and answer.content is not ErrorBody:
                    _add(answer.content, found)
    head = f'"""What REST answers with. {_MADE}\n\nTimes are ISO 8601 in UTC; a file\'s sizes are bytes.\n"""'
    imports = "from __future__ import annotations\n\nfrom typing import Any\n\nimport msgspec"
    return _formatted(f"{head}\n\n{imports}\n\n\n" + "\n\n".join(found.values()))


def options() -> str:
    """The module of a job's options, as keyword arguments."""
    said = _said(Options)
    lines = [
        "class JobOptions(TypedDict, total=False):",
        '    """How a job is to be run. What is left out is as the server has it."""',
        "",
    ]
    for field in msgspec.structs.fields(Options):
        lines += [f"    {field.encode_name}: {_narrow(field.type)}", *_quoted(said.get(field.name, ""))]
    head = f'"""Options of a job. {_MADE}"""'
    imports = "from __future__ import annotations\n\nfrom typing import Literal, TypedDict"
    return _formatted(f"{head}\n\n{imports}\n\n\n" + "\n".join(lines))


def main() -> None:
    """Write both modules."""
    ANSWERS.write_text(answers(), "utf-8")
    OPTIONS.write_text(options(), "utf-8")


def named(kind: type) -> str:
    """What the client calls a struct of the server."""
    return _NAMES.get(kind.__name__, kind.__name__.removesuffix("View"))


def _add(kind: Any, found: dict[str, str]) -> None:
    if named(kind) in found:
        return
    hints = typing.get_type_hints(kind)
    for hint in hints.values():
        for part in _structs(hint):
            _add(part, found)
    said = _said(kind)
    slim = ", omit_defaults=True" if kind.__struct_config__.omit_defaults else ""
    lines = [
        f"class {named(kind)}(msgspec.Struct, frozen=True, kw_only=True{slim}):",
        *_quoted(inspect.getdoc(kind) or ""),
        "",
    ]
    for field in msgspec.structs.fields(kind):
        wide = _wide(hints[field.name])
        lines += [f"    {field.encode_name}: {wide}{_default(field, wide)}"]
        lines += _quoted(" ".join(filter(None, (said.get(field.name, ""), _values(hints[field.name])))))
    found[named(kind)] = "\n".join(lines) + "\n"


def _structs(hint: Any) -> Iterator[Any]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for part in get_args(hint):
        yield from _structs(part)


def _wide(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return _wide(parts[0])
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(_wide(part) for part in parts))
    if origin is Literal:
        return " | ".join(dict.fromkeys(type(value).__name__ for value in parts))
    if origin in (list, tuple, set, frozenset):
        return f"list[{_wide(parts[0])}]"
    if origin is dict:
        return f"dict[{_wide(parts[0])}, {_wide(parts[1])}]"
    if hint is Any:
        return "Any"
    if hint in (None, type(None)):
        return "None"
    if issubclass(hint, enum.Enum):
        return "str"
    return named(hint) if issubclass(hint, msgspec.Struct) else str(hint.__name__)


def _narrow(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return _narrow(parts[0])
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(_narrow(part) for part in parts))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, parts))}]"
    return _wide(hint)


def _values(hint: Any) -> str:
    """A sentence on the values of a name."""
    known: list[str] = []
    for part in (hint, *get_args(hint)):
        if get_origin(part) is Literal:
            known += [value for value in get_args(part) if isinstance(value, str)]
        elif isinstance(part, type) and issubclass(part, enum.Enum):
            known += [str(value.value) for value in part]
    return f"One of {', '.join(known)}." if known else ""


def _default(field: Any, wide: str) -> str:
    if wide == "None" or wide.endswith("| None"):
        return " = None"
    if field.default_factory is not msgspec.NODEFAULT:
        return f" = {field.default_factory()!r}"
    if field.default is msgspec.NODEFAULT:
        return ""
    return f" = {wide}()" if isinstance(field.default, msgspec.Struct) else f" = {field.default!r}"


def _said(kind: type) -> dict[str, str]:
    """Field -> the sentences below it in the source."""
    said: dict[str, str] = {}
    for part in reversed(kind.__mro__):
        if not (issubclass(part, msgspec.Struct) and part is not msgspec.Struct):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0].body  # type: ignore[attr-defined]
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                said[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return said


def _quoted(text: str) -> list[str]:
    if not text:
        return []
    text = text.replace("\\", "\\\\")
    lines = textwrap.wrap(" ".join(text.split()), 105)
    return (
        [f'    """{lines[0]}', *(f"    {line}" for line in lines[1:]), '    """']
        if len(lines) > 1
        else [f'    """{lines[0]}"""']
    )


def _formatted(text: str) -> str:
    command = [str(Path(sys.executable).parent / "ruff"), "format", "--quiet", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
