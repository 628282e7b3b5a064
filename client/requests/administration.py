"""Requests on the installation and an organisation: datasets, limits, mappings of columns, keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from client.answers import (
    ColumnMapping,
    DatasetList,
    Installation,
    Key,
    KeyList,
    KeyMade,
    LimitList,
    MappingList,
    Principal,
    Readiness,
    SecurityEventList,
)
from client.protocol.exchange import asked, path
from client.protocol.steps import Call, Coded, Reply, Send, Steps


def datasets() -> Steps[DatasetList]:
    """Datasets and their columns: what files must look like."""
    return asked(Call(method="GET", path="/v1/datasets", answer=DatasetList))


def stats() -> Steps[Installation]:
    """Totals over the jobs that the key may see, and the state of the installation."""
    return asked(Call(method="GET", path="/v1/stats", answer=Installation))


def ready() -> Steps[Readiness]:
    """Whether the API can do its work, asked once; also the answer of one that can't yet."""
    call: Call[Readiness] = Call(method="GET", path="/readyz", answer=Readiness)
    reply: Reply = yield Send(call)
    return Coded(reply.content, Readiness)


def limits(organisation: str | None = None) -> Steps[LimitList]:
    """What an organisation may use, and what it uses; None: the key's own, or ``default``."""
    return asked(Call(method="GET", path="/v1/limits", answer=LimitList, params={"organisation": organisation}))


def mappings(organisation: str | None = None) -> Steps[MappingList]:
    """The mappings of columns that an organisation keeps; here and below None: the key's own, or ``default``."""
    return asked(Call(method="GET", path="/v1/mappings", answer=MappingList, params={"organisation": organisation}))


def mapping(name: str, *, organisation: str | None = None) -> Steps[ColumnMapping]:
    """One of them.

    Raises:
        NotFound: the organisation keeps none under this name.
    """
    return asked(
        Call(method="GET", path=path("mappings", name), answer=ColumnMapping, params={"organisation": organisation})
    )


def save_mapping(
    name: str,
    dataset: str,
    *,
    columns: Mapping[str, str | None] | None = None,
    set: Mapping[str, str] | None = None,  # noqa: A002 - REST's name
    ignore_extra: bool = False,
    organisation: str | None = None,
) -> Steps[ColumnMapping]:
    """Keep a mapping under a name, in place of one that has it; the option ``mapping`` of a job names it.

    `columns`: column of the file -> field, None: the column is passed over. `set`: field -> its text in every row.
    """
    body = {"dataset": dataset, "columns": dict(columns or {}), "set": dict(set or {}), "ignore_extra": ignore_extra}
    params = {"organisation": organisation}
    return asked(Call(method="PUT", path=path("mappings", name), answer=ColumnMapping, params=params, json=body))


def remove_mapping(name: str, *, organisation: str | None = None) -> Steps[None]:
    """Forget a mapping; jobs that it was used for have what it said."""
    return asked(Call(method="DELETE", path=path("mappings", name), params={"organisation": organisation}))


def create_key(
    name: str,
    role: Literal["viewer", "operator", "admin"],
    *,
    organisations: Sequence[str] | None = None,
    kind: Literal["person", "service"] = "person",
    expires_days: float | None = None,
) -> Steps[KeyMade]:
    """Make a key; ``key`` of the answer is its text, which is shown this once. `organisations`: None: all of them.

    It is not repeated where the server may have made one.
    """
    body: dict[str, Any] = {"name": name, "role": role, "kind": kind}
    body |= {"all_organisations": True} if organisations is None else {"organisations": list(organisations)}
    body |= {} if expires_days is None else {"expires": expires_days}
    return asked(Call(method="POST", path="/v1/keys", answer=KeyMade, json=body, repeatable=False))


def keys() -> Steps[KeyList]:
    """The keys that the caller may manage, newest first, without their texts."""
    return asked(Call(method="GET", path="/v1/keys", answer=KeyList))


def revoke_key(key_id: str) -> Steps[Key]:
    """Revoke a key: it is refused everywhere within a second."""
    return asked(Call(method="DELETE", path=path("keys", key_id), answer=Key))


def security_events(limit: int | None = None) -> Steps[SecurityEventList]:
    """Who came in, was refused, or made or revoked keys: the newest first."""
    return asked(Call(method="GET", path="/v1/security-events", answer=SecurityEventList, params={"limit": limit}))


def principal() -> Steps[Principal]:
    """Who the caller is, and what it may do."""
    return asked(Call(method="GET", path="/v1/principal", answer=Principal))


def request(
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Steps[Any]:
    """Any other request; the answer's JSON, None without one. It is repeated only if it is a GET or a PUT."""
    call: Call[Any] = Call(
        method=method,
        path=path,
        answer=Any,
        params=params or {},
        json=json,
        headers=headers or {},
        timeout_seconds=timeout,
        repeatable=method in ("GET", "PUT"),
    )
    return asked(call)
