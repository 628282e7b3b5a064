"""Indices and their templates: those that are missing are made, new fields are added, and what differs is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, cast

from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from runtime.clients import patient_elasticsearch
from runtime.clock import now_ms
from runtime.datasets import load_datasets
from runtime.migration.key_scopes import scope_problem
from runtime.process import CannotStartError
from runtime.settings import Settings
from runtime.telemetry.log_events import as_event
from schemas.descriptors.datasets import Dataset
from schemas.generations import SINCE, alias_actions, data_indices, generations_in, next_generation
from schemas.indices import KEPT_MAPPINGS, REPORT_MAPPINGS, data_index, data_mapping, index_name, index_settings

Properties = dict[str, dict[str, object]]

_AT_ONCE: Final = 6
"""Indices that are made side by side."""
_SECONDS: Final = 120.0
"""How long an answer may take: a change of the cluster's state waits for all those before it, and no row waits here."""

log = logging.getLogger(__name__)


class RefusedError(CannotStartError):
    """Elasticsearch refuses an index. Trying again does not help; the message says what to change."""


def provision_indices(settings: Settings) -> list[str]:
    """Make the missing indices, and a template of each; answers how existing ones differ from what they should be.

    Existing ones get the fields that are new: those of this version in the reports, which `rebuild` fills in, and those
    of a dataset's descriptor. With the templates an index that someone deletes comes back with its mapping, when the
    next document is written.
    """
    client = patient_elasticsearch(settings, _SECONDS)
    own_mappings = {**REPORT_MAPPINGS, **KEPT_MAPPINGS}
    mappings = {index_name(settings.prefix, name): mapping for name, mapping in own_mappings.items()}
    datasets = {data_index(settings.prefix, it.name): it for it in load_datasets(settings.datasets_folder).values()}
    mappings |= {name: data_mapping(dataset) for name, dataset in datasets.items()}
    with client:
        # Side by side: Elasticsearch changes its state for several of them at once.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(
                lambda name: _provision_index(client, settings, name, mappings[name], datasets.get(name)), mappings
            )
            differences = [difference for told in found for difference in told]
        for dataset in datasets.values():
            _set_aliases(client, settings.prefix, dataset.name, now_ms())
    return differences


def _provision_index(
    client: Elasticsearch, settings: Settings, name: str, mapping: dict[str, Any], dataset: Dataset | None
) -> list[str]:
    """`provision_indices` for one index, and the further ones of its dataset; `dataset`: whose rows it has."""
    shards = 1 if dataset is None else settings.elasticsearch_shards
    own = index_settings(settings.elasticsearch_replicas, shards)
    differences = []
    with _refusals(name):
        _put_template(client, name, {"mappings": mapping, "settings": own})
        try:
            client.indices.create(index=name)
            _changed("index %s is made", name)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise
            found = client.indices.get_mapping(index=f"{name},{name}.*").body
            for index, there in sorted(found.items()):
                if dataset is not None:
                    _require_scope(client, index, dataset, there["mappings"].get("_meta", {}))
                actual = _with_new_fields(client, index, mapping["properties"], there["mappings"].get("properties", {}))
                differences += _mapping_differences(index, mapping["properties"], actual)
            differences += _setting_differences(client, index, shards, settings.elasticsearch_replicas)
    return differences


def _set_aliases(client: Elasticsearch, prefix: str, dataset: str, now: int) -> None:
    mappings = client.indices.get_mapping(index=data_indices(prefix, dataset), filter_path="*.mappings._meta").body
    found = generations_in(prefix, dataset, mappings)
    client.indices.update_aliases(actions=alias_actions(prefix, dataset, found, now))


def roll_over(settings: Settings, dataset: str, now: int) -> str:
    """Begin a new index for a dataset's rows; answers its name. Jobs that are made from ten minutes on write into it.

    Raises:
        RefusedError: the dataset has a key, which has to be found among all its rows; or it is not known.
    """
    known = load_datasets(settings.datasets_folder).get(dataset)
    if known is None or known.primary_key:
        why = "is not known" if known is None else "has a primaryKey, which is looked for in one index"
        raise RefusedError(f"dataset {dataset} {why}: it gets no further index")
    with patient_elasticsearch(settings, _SECONDS) as client:
        mappings = client.indices.get_mapping(index=data_indices(settings.prefix, dataset)).body
        begun = next_generation(settings.prefix, dataset, generations_in(settings.prefix, dataset, mappings), now)
        with _refusals(begun.index):
            client.indices.create(index=begun.index, mappings={"_meta": {SINCE: begun.since}})
        _changed("index %s is made", begun.index)
        _set_aliases(client, settings.prefix, dataset, now)
    return begun.index


def _changed(told: str, index: str) -> None:
    log.info(told, index, extra=as_event("migrate.changed", index=index))


def _put_template(client: Elasticsearch, name: str, template: dict[str, Any]) -> None:
    """Put the template of an index and those after it, if there is none yet or another one."""
    wanted = {**template, "patterns": 2}
    try:
        found = client.indices.get_index_template(name=name)["index_templates"][0]["index_template"]
        made = found.get("_meta", {}).get("sluice") == wanted
    except NotFoundError:
        found, made = None, False
    if made:
        return
    # Elasticsearch writes settings in a form of its own, so what was asked for is kept beside them, to be compared.
    client.indices.put_index_template(
        name=name, index_patterns=[name, f"{name}.*"], template=template, meta={"sluice": wanted}
    )
    _changed("the template of index %s is made" if found is None else "the template of index %s is another now", name)


def _require_scope(client: Elasticsearch, index: str, dataset: Dataset, meta: dict[str, Any]) -> None:
    """Note in an existing index how far its dataset's keys reach; `meta` is what it has noted.

    Raises:
        RefusedError: it has rows whose keys reach further, or not so far.
    """
    problem = scope_problem(client, index, dataset, meta)
    if problem is not None:
        raise RefusedError(problem)
    wanted = data_mapping(dataset)["_meta"]
    if meta != {**meta, **wanted}:
        client.indices.put_mapping(index=index, meta={**meta, **wanted})
        _changed("index %s notes how far its keys reach", index)


def _with_new_fields(client: Elasticsearch, name: str, wanted: dict[str, Any], actual: Properties) -> Properties:
    """The fields of an existing index that has `actual` ones, once it has those that are new."""
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
    return _index_differences(index, wanted, actual) + [
        f"index {index}: field {field!r} is {actual.get(field, {}).get('type', 'missing')}, expected {kind['type']}: "
        f"rename the dataset or rebuild the index"
        for field, kind in _by_path(wanted)
        if "type" in kind and actual.get(field, {}).get("type") != kind["type"]
    ]


def _index_differences(index: str, wanted: Properties, actual: Properties) -> list[str]:
    words = {True: "in it", False: "left out"}
    return [
        f"index {index}: field {field!r} is {words[actual[field].get('index', True) is not False]}, expected "
        f"{words[kind.get('index', True) is not False]}: an index keeps what it has; rebuild it, or begin another one"
        for field, kind in _by_path(wanted)
        if "type" in kind and field in actual and kind.get("index", True) != actual[field].get("index", True)
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
