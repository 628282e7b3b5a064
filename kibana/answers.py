"""Turns Kibana's answers to an import into a report or an error. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kibana.errors import REFUSED, UNREACHABLE, USAGE, KibanaError
from kibana.objects import SavedObject

Json = dict[str, Any]
SHOWN = 5

_WHERE = "check SLUICE_KIBANA_URL"


class Report(msgspec.Struct, frozen=True):
    """The result of an import."""

    url: str
    imported: int
    errors: list[str]
    """A sentence for each object that was refused."""
    dashboards: dict[str, str]
    """Title -> address."""


def report(url: str, base: str, objects: Sequence[SavedObject], status: int, body: Any) -> Report:
    """Read an answer. `url` is Kibana's own, `base` that of the space the objects went to.

    Raises:
        KibanaError: the import as a whole was refused, or failed; its sentence says what to do.
    """
    if status != 200 or not isinstance(body, dict) or "successCount" not in body:
        raise refusal(url, status, body)
    dashboards = {item.title: f"{base}/app/dashboards#/view/{item.id}" for item in objects if item.type == "dashboard"}
    return Report(url, int(body["successCount"]), [_sentence(error) for error in body.get("errors", [])], dashboards)


def refusal(url: str, status: int, body: Any) -> KibanaError:
    """The error of an import that could not be tried, or was refused as a whole."""
    reason = body.get("message") if isinstance(body, dict) else None
    why = f": {reason}" if reason else ""
    if status == 401:
        message = (
            f"Kibana at {url} does not know us{why}; set SLUICE_KIBANA_API_KEY, or SLUICE_KIBANA_USERNAME and "
            "SLUICE_KIBANA_PASSWORD"
        )
        return KibanaError(message, USAGE)
    if status == 403:
        return KibanaError(
            f"Kibana at {url} does not let us import{why}; the user needs to manage saved objects", USAGE
        )
    if status == 404:
        return KibanaError(f"{url} answers, but takes no imports{why}; {_WHERE} and SLUICE_KIBANA_SPACE", USAGE)
    if status in (400, 409, 413, 422):
        return KibanaError(f"Kibana at {url} refuses the objects{why or f' ({status})'}", REFUSED)
    if status >= 500:
        return KibanaError(f"Kibana at {url} can't work now{why or f' ({status})'}; try again later", UNREACHABLE)
    return KibanaError(f"{url} does not answer as Kibana does ({status}); {_WHERE}", USAGE)


def failure(errors: Sequence[str]) -> KibanaError:
    """The error of an import that refused some objects; the others are imported."""
    more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
    return KibanaError(f"Kibana has refused {len(errors)} objects: " + "; ".join(errors[:SHOWN]) + more, REFUSED)


def _sentence(entry: Json) -> str:
    name = f"{entry.get('type')} {entry.get('id')}"
    error: Json = entry.get("error") or {}
    match error.get("type"):
        case "missing_references":
            missing = ", ".join(f"{item.get('type')} {item.get('id')}" for item in error.get("references", []))
            return f"{name} needs {missing}, which is not there"
        case "conflict" | "ambiguous_conflict":
            return f"{name} is there already, in another space or under another id"
        case "unsupported_type":
            return f"{name} is of a type that this Kibana can't import"
        case kind:
            return f"{name}: {error.get('message') or kind or 'Kibana gives no reason'}"
