"""The API's description, OpenAPI 3.1, made from the routes' declarations. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_type_hints

import msgspec

from api.models.mappings import MappingBody
from api.models.refusals import ErrorBody
from api.web.routing import FORM, JSON, Answer, Body, Endpoint, Parameter, Part
from schemas.job import Options
from schemas.other_forms import describe_names

Json = dict[str, Any]
Groups = Mapping[str, Sequence[Endpoint]]
"""Name of a group -> its routes."""

_TEXT: Final[Json] = {"type": "string"}
_FILE: Final[Json] = {"type": "string", "format": "binary"}
_JOB_ID: Final[Json] = {"name": "job_id", "in": "path", "required": True, "schema": _TEXT}
_OPTIONS: Final = (Options.__name__, MappingBody.__name__)
_ANY_OTHER: Final = "Any other refusal, also of a connection; 500: the API's log has the cause under the given id"


def document(groups: Groups) -> Json:
    """The whole description."""
    schemas = _Schemas(groups)
    paths: dict[str, Json] = {}
    for group, endpoints in groups.items():
        for endpoint in endpoints:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, group, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": "1",
            "description": "Bulk CSV jobs that an operator can watch, stop, resume and take back.",
        },
        "tags": [{"name": group} for group in groups],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}],
    }


class _Schemas:
    """The JSON Schema of each type that a route names."""

    def __init__(self, groups: Groups) -> None:
        types = [kind for endpoints in groups.values() for endpoint in endpoints for kind in _types(endpoint)]
        schemas, self.components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
        self._schemas = list(zip(types, schemas, strict=True))
        given = {struct.__name__: struct for kind in _answers(groups) for struct in _structs(kind)}
        for name, schema in self.components.items():
            _plain(schema, given.get(name))
            if name in _OPTIONS:
                describe_names(schema)

    def __getitem__(self, kind: Any) -> Json:
        return next(schema for named, schema in self._schemas if named == kind)


def _answers(groups: Groups) -> Iterator[Any]:
    yield ErrorBody
    for endpoints in groups.values():
        for endpoint in endpoints:
            yield from (answer.content for answer in endpoint.answers.values())


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """A struct, and all that it consists of."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for hint in get_type_hints(kind).values():
            yield from _structs(hint)
    for part in get_args(kind):
        yield from _structs(part)


def _plain(schema: Json, answer: type[msgspec.Struct] | None) -> None:
    """Says what a field is when it is left out in its description: for generators a default is a value that is there.

    An answer has all its fields, unless its struct leaves out those that are as they are by themselves.
    """
    fields: Json = schema.get("properties", {})
    if answer is not None and not answer.__struct_config__.omit_defaults and fields:
        schema["required"] = list(fields)
    for field in fields.values():
        default = field.pop("default", None)
        if answer is None and default not in (None, {}, [], ""):
            told = f"Left out: {json.dumps(default)}."
            field["description"] = f"{field['description']} {told}" if "description" in field else told


def _types(endpoint: Endpoint) -> Iterator[Any]:
    yield ErrorBody
    for parameter in endpoint.parameters:
        yield parameter.type
    for answer in endpoint.answers.values():
        if answer.content is not None and not isinstance(answer.content, str):
            yield answer.content
    if endpoint.body is not None:
        if endpoint.body.json is not None:
            yield endpoint.body.json
        for part in endpoint.body.form.values():
            if not isinstance(part.content, str):
                yield part.content


def _operation(endpoint: Endpoint, group: str, schemas: _Schemas) -> Json:
    operation: Json = {"operationId": endpoint.name, "summary": endpoint.summary, "tags": [group]}
    if endpoint.description is not None:
        operation["description"] = endpoint.description
    if endpoint.open:
        operation["security"] = []
    parameters = [_JOB_ID] if endpoint.of_a_job else []
    parameters += [_parameter(parameter, schemas) for parameter in endpoint.parameters]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = _body(endpoint.body, schemas)
    responses = {str(code): _answer(answer, schemas) for code, answer in endpoint.answers.items()}
    operation["responses"] = {**responses, "default": {"description": _ANY_OTHER, **_json(schemas[ErrorBody])}}
    return operation


def _parameter(parameter: Parameter, schemas: _Schemas) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.meaning,
        "schema": schemas[parameter.type],
        **({"required": True} if parameter.place == "path" else {}),
    }


def _body(body: Body, schemas: _Schemas) -> Json:
    content: Json = {}
    if body.json is not None:
        content |= _json(schemas[body.json])["content"]
    if body.text is not None:
        content[body.text] = {"schema": _TEXT}
    if body.form:
        content[FORM] = _form(body.form, schemas)
    return {"required": body.required, "content": content}


def _form(parts: Mapping[str, Part], schemas: _Schemas) -> Json:
    def schema(part: Part) -> Json:
        return _FILE if isinstance(part.content, str) else schemas[part.content]

    def media_type(part: Part) -> str:
        return part.content if isinstance(part.content, str) else JSON

    return {
        "schema": {
            "type": "object",
            "required": [name for name, part in parts.items() if part.required],
            "properties": {name: schema(part) for name, part in parts.items()},
        },
        "encoding": {name: {"contentType": media_type(part)} for name, part in parts.items()},
    }


def _answer(answer: Answer, schemas: _Schemas) -> Json:
    described: Json = {"description": answer.meaning}
    if answer.headers:
        described["headers"] = {
            name: {"description": meaning, "schema": _TEXT} for name, meaning in answer.headers.items()
        }
    match answer.content:
        case None:
            pass
        case str() as media_type:
            described["content"] = {media_type: {"schema": {"type": "object"} if media_type == JSON else _TEXT}}
        case struct:
            described |= _json(schemas[struct])
    return described


def _json(schema: Json) -> Json:
    return {"content": {JSON: {"schema": schema}}}
