"""Indices and their templates: those that are missing are made, new fields are added, and what differs is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.process import CannotStartError
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.indices import REPORT_MAPPINGS, data_index, data_mapping, index_name, index_settings

Properties = dict[str, dict[str, object]]

log = logging.getLogger(__name__)


class RefusedError(CannotStartError):
    """Elasticsearch refuses an index. Trying again does not help; the message says what to change."""


def provision_indices(settings: Settings) -> list[str]:
    """Make the missing indices, and a template of each; answers how existing ones differ from what they should be.

    Existing ones get the fields that are new: those of this version in the reports, which `rebuild` fills in, and those
    of a dataset's descriptor. With the templates an index that someone deletes comes back with its mapping, when the
    next document is written.
    """
    client = elasticsearch(settings)
    mappings = {index_name(settings.prefix, name): mapping for name, mapping in REPORT_MAPPINGS.items()}
    for dataset in load_datasets(settings.datasets_folder).values():
        mappings[data_index(settings.prefix, dataset.name)] = data_mapping(dataset)
    differences = []
    with client:
        for name, mapping in mappings.items():
            shards = settings.elasticsearch_shards if "-data-" in name else 1
            own = index_settings(settings.elasticsearch_replicas, shards)
            with _refusals(name):
                _put_template(client, name, {"mappings": mapping, "settings": own})
                try:
                    client.indices.create(index=name)
                    _changed("index %s is made", name)
                except BadRequestError as error:
                    if error.error != "resource_already_exists_exception":
                        raise
                    actual = _with_new_fields(client, name, mapping["properties"])
                    differences += _mapping_differences(name, mapping["properties"], actual)
                    differences += _setting_differences(client, name, shards, settings.elasticsearch_replicas)
    return differences


def _changed(told: str, index: str) -> None:
    log.info(told, index, extra=as_event("migrate.changed", index=index))


def _put_template(client: Elasticsearch, name: str, template: dict[str, Any]) -> None:
    """Put the template of an index, if there is none yet or another one."""
    try:
        found = client.indices.get_index_template(name=name)["index_templates"][0]["index_template"]
        made = found.get("_meta", {}).get("sluice") == template
    except NotFoundError:
        found, made = None, False
    if made:
        return
    # Elasticsearch writes settings in a form of its own, so what was asked for is kept beside them, to be compared.
    client.indices.put_index_template(name=name, index_patterns=[name], template=template, meta={"sluice": template})
    _changed("the template of index %s is made" if found is None else "the template of index %s is another now", name)


def _with_new_fields(client: Elasticsearch, name: str, wanted: dict[str, Any]) -> Properties:
    """The fields of an existing index, once it has those that are new."""
    actual: Properties = client.indices.get_mapping(index=name)[name]["mappings"].get("properties", {})
    known = dict(_by_path(actual))
    new = {field: kind for field, kind in wanted.items() if field not in known}
    # An object may have new fields as well: what it has already is left out.
    for field, kind in wanted.items():
        inner = cast(Properties, kind.get("properties", {}))
        missing = {key: value for key, value in inner.items() if f"{field}.{key}" not in known}
        if field in known and missing:
            new[field] = {"properties": missing}
    if new:
        client.indices.put_mapping(index=name, properties=new)
        told = f"index %s has new fields now: {', '.join(sorted(new))}"
        _changed(told, name)
        actual = client.indices.get_mapping(index=name)[name]["mappings"].get("properties", {})
    return actual


@contextmanager
def _refusals(index: str) -> Iterator[None]:
    try:
        yield
    except BadRequestError as error:
        raise RefusedError(f"Elasticsearch refuses the index {index}: {_reason(error)}") from error


def _reason(error: ApiError) -> str:
    """The innermost cause in Elasticsearch's answer: those around it say only that something failed."""
    cause: Any = error.body.get("error") if isinstance(error.body, dict) else None
    while isinstance(cause, dict) and isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    return str(cause["reason"]) if isinstance(cause, dict) and cause.get("reason") else str(error)


def _by_path(properties: Properties, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields of a mapping under their whole names: Elasticsearch makes objects of names with dots."""
    for name, kind in properties.items():
        yield f"{path}{name}", kind
        yield from _by_path(cast(Properties, kind.get("properties", {})), f"{path}{name}.")


def _mapping_differences(index: str, wanted: Properties, existing: Properties) -> list[str]:
    actual = dict(_by_path(existing))
    return [
        f"index {index}: field {field!r} is {actual.get(field, {}).get('type', 'missing')}, expected {kind['type']}: "
        f"rename the dataset or rebuild the index"
        for field, kind in _by_path(wanted)
        if "type" in kind and actual.get(field, {}).get("type") != kind["type"]
    ]


def _setting_differences(client: Elasticsearch, index: str, shards: int, replicas: int) -> list[str]:
    found = client.indices.get_settings(index=index, flat_settings=True)[index]["settings"]
    differences = []
    if int(found["index.number_of_shards"]) != shards:
        differences.append(
            f"index {index} has {found['index.number_of_shards']} shards, expected {shards}: an index keeps its "
            f"shards; set SLUICE_ELASTICSEARCH_SHARDS to match, or load its rows into a new one"
        )
    if int(found["index.number_of_replicas"]) != replicas:
        differences.append(
            f"index {index} has {found['index.number_of_replicas']} replicas, expected {replicas}: set "
            f'"index.number_of_replicas" of the index, or SLUICE_ELASTICSEARCH_REPLICAS to match'
        )
    return differences
