"""The API's description, OpenAPI 3.1: paths as data, schemas made from the structs that the routes use."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from api import models
from schemas.job import State

Json = dict[str, Any]

_STRUCTS: tuple[type[msgspec.Struct], ...] = (
    models.JobView,
    models.JobPage,
    models.JobRequest,
    models.Reason,
    models.InputEnd,
    models.Rate,
    models.Start,
    models.Preview,
    models.HistoryPage,
    models.RowErrorPage,
    models.DatasetList,
    models.Stats,
    models.Readiness,
    models.ErrorBody,
)


def _ref(struct: type[msgspec.Struct]) -> Json:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}


def _json(text: str, struct: type[msgspec.Struct]) -> Json:
    return {"description": text, "content": {"application/json": {"schema": _ref(struct)}}}


def _other(text: str, media_type: str) -> Json:
    return {"description": text, "content": {media_type: {"schema": {"type": "string"}}}}


def _refused(*codes: int) -> Json:
    words = {
        400: "Malformed; the message says what to change",
        401: "The API key is wrong or missing",
        403: "Not allowed",
        404: "There is no such job",
        409: "Not possible in this state; the message says when it is",
        413: "Too large",
        422: "The Idempotency-Key belongs to another request",
        503: "Kafka, Elasticsearch or the workers do not answer; try again later",
    }
    return {str(code): _json(words[code], models.ErrorBody) for code in (401, *codes)}


def _query(name: str, text: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}


_JOB_ID: Json = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
_STRINGS: Json = {"type": "array", "items": {"type": "string"}}
_WAIT = _query("wait", "Seconds to wait for the state in which the job rests", {"type": "number", "maximum": 600})


def _body(struct: type[msgspec.Struct], *, required: bool = True) -> Json:
    return {"required": required, "content": {"application/json": {"schema": _ref(struct)}}}


def _action(name: str, summary: str) -> Json:
    return {
        "post": {
            "operationId": f"{name}Job",
            "summary": summary,
            "parameters": [_JOB_ID, _WAIT],
            "requestBody": _body(models.Reason, required=False),
            "responses": {
                "200": _json("The job, at rest (with ?wait)", models.JobView),
                "202": _json("The job; it is on its way there", models.JobView),
                **_refused(400, 404, 409, 503),
            },
        }
    }


def _get(name: str, summary: str, answer: Json, *codes: int, parameters: list[Json] | None = None) -> Json:
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "parameters": parameters or [],
            "responses": {"200": answer, **_refused(*codes)},
        }
    }


def _open(name: str, summary: str, answer: Json, **more: Json) -> Json:
    return {"get": {"operationId": name, "summary": summary, "security": [], "responses": {"200": answer, **more}}}


_CREATE: Json = {
    "operationId": "createJob",
    "summary": "Make a job",
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A repeat with the same key returns the first answer",
            "schema": {"type": "string", "maxLength": 255},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _ref(models.JobRequest)},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["job"],
                    "properties": {"job": _ref(models.JobRequest), "file": {"type": "string", "format": "binary"}},
                },
                "encoding": {"job": {"contentType": "application/json"}, "file": {"contentType": "text/csv"}},
            },
        },
    },
    "responses": {
        "201": {
            **_json("The job", models.JobView),
            "headers": {"Location": {"description": "Where the job is", "schema": {"type": "string"}}},
        },
        **_refused(400, 403, 409, 413, 422, 503),
    },
}

_LIST_PARAMETERS = [
    _query("state", "Only jobs in these states", {"type": "array", "items": {"enum": [str(state) for state in State]}}),
    _query("operation", "Only these operations", _STRINGS),
    _query("organisation", "Only these organisations", _STRINGS),
    _query("limit", "Jobs on a page, at most", {"type": "integer", "minimum": 1, "maximum": 1000}),
    _query("after", "The `next` of the page before", {"type": "string"}),
]

_ERROR_PARAMETERS = [
    _JOB_ID,
    _query("limit", "Errors on a page, at most", {"type": "integer", "minimum": 1, "maximum": 1000}),
    _query("after", "Only rows after this one", {"type": "integer"}),
]

PATHS: Json = {
    "/v1/jobs": {
        "post": _CREATE,
        **_get("listJobs", "Jobs, newest first", _json("Jobs", models.JobPage), 400, 503, parameters=_LIST_PARAMETERS),
    },
    "/v1/jobs/{job_id}": _get("getJob", "One job", _json("The job", models.JobView), 404, parameters=[_JOB_ID]),
    "/v1/jobs/{job_id}/pause": _action("pause", "Stop writing, keep everything, go on later"),
    "/v1/jobs/{job_id}/resume": _action("resume", "Go on from the checkpoint"),
    "/v1/jobs/{job_id}/terminate": _action("terminate", "Stop for good; what was written is taken out again"),
    "/v1/jobs/{job_id}/rollback": _action("rollback", "Take out what the job wrote"),
    "/v1/jobs/{job_id}/end": {
        "post": {
            "operationId": "endInput",
            "summary": "Say how many rows come by the inbox; the job ends once it has them",
            "parameters": [_JOB_ID],
            "requestBody": _body(models.InputEnd),
            "responses": {"202": _json("The job", models.JobView), **_refused(400, 404, 409, 503)},
        }
    },
    "/v1/jobs/{job_id}/preview": _get(
        "getPreview", "What a dry run has found: counts, first row errors, first rows as they would be stored",
        _json("The preview", models.Preview), 404, 503, parameters=[_JOB_ID],
    ),
    "/v1/jobs/{job_id}/start": {
        "post": {
            "operationId": "startJob",
            "summary": "Make the real job of a dry run, without a second upload",
            "parameters": [_JOB_ID],
            "requestBody": _body(models.Start, required=False),
            "responses": {
                "200": _json("The job, which was started before", models.JobView),
                "201": _json("The job", models.JobView),
                **_refused(400, 404, 409, 503),
            },
        }
    },
    "/v1/jobs/{job_id}/retry-errors": {
        "post": {
            "operationId": "retryErrors",
            "summary": "Apply corrected rows, those of an errors.csv, to the same job",
            "parameters": [_JOB_ID, _query("reason", "Why, for the audit trail", {"type": "string"})],
            "requestBody": {
                "required": True,
                "content": {
                    "text/csv": {"schema": {"type": "string"}},
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["file"],
                            "properties": {"file": {"type": "string", "format": "binary"}},
                        }
                    },
                },
            },
            "responses": {
                "202": _json("The job; it is at work again", models.JobView),
                **_refused(400, 404, 409, 503),
            },
        }
    },
    "/v1/jobs/{job_id}/rate": {
        "put": {
            "operationId": "setRate",
            "summary": "Set or lift the most rows a second",
            "parameters": [_JOB_ID],
            "requestBody": _body(models.Rate),
            "responses": {"200": _json("The job", models.JobView), **_refused(400, 404, 409, 503)},
        }
    },
    "/v1/jobs/{job_id}/watch": _get(
        "watchJob",
        "Events `state` and `progress`, each with the job as data, until the job has ended",
        _other("Server-sent events", "text/event-stream"),
        404,
        parameters=[_JOB_ID],
    ),
    "/v1/jobs/{job_id}/history": _get(
        "getHistory", "The audit trail, newest last", _json("What happened", models.HistoryPage), 404, 503,
        parameters=[_JOB_ID],
    ),
    "/v1/jobs/{job_id}/errors": _get(
        "getErrors", "Row errors, by row", _json("A page", models.RowErrorPage), 400, 404, 503,
        parameters=_ERROR_PARAMETERS,
    ),
    "/v1/jobs/{job_id}/errors.csv": _get(
        "getErrorsCsv", "All row errors", _other("The rows, and why not", "text/csv"), 404, 503, parameters=[_JOB_ID]
    ),
    "/v1/jobs/{job_id}/result": _get(
        "getResult", "The CSV that an export made", _other("The file; Range is supported", "text/csv"), 404, 409, 503,
        parameters=[_JOB_ID],
    ),
    "/v1/datasets": _get("listDatasets", "Datasets and their columns", _json("All of them", models.DatasetList)),
    "/v1/stats": _get("getStats", "Totals over all jobs", _json("The totals", models.Stats), 503),
    "/healthz": _open("healthz", "The process runs", {"description": "It does"}),
    "/readyz": _open(
        "readyz", "Control works", _json("It does", models.Readiness), **{"503": _json("Not (yet)", models.Readiness)}
    ),
    "/metrics": _open("metrics", "Numbers for Prometheus", _other("Text format 0.0.4", "text/plain")),
}  # fmt: skip


@lru_cache(maxsize=1)
def document() -> Json:
    """The whole description."""
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": "1",
            "description": "Bulk CSV jobs that an operator can watch, stop, resume and take back.",
        },
        "paths": PATHS,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}],
    }
