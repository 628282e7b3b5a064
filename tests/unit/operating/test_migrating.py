"""What `migrate` does in which order, and which settings of topics it alters; on real servers see tests/integration."""

from __future__ import annotations

import pytest
from elasticsearch import ConnectionError as Unreachable

import runtime.provision
from runtime.provision import migrate, provision
from runtime.settings import Settings


def test_processes_find_no_topic_before_the_indices_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """They begin once the topics are there, and Elasticsearch would guess the mapping of an index that is not."""
    done: list[str] = []
    monkeypatch.setattr(runtime.provision, "provision_topics", lambda _: done.append("topics") or ["a topic differs"])
    monkeypatch.setattr(
        runtime.provision, "provision_indices", lambda _: done.append("indices") or ["an index differs"]
    )
    assert provision(Settings()) == ["a topic differs", "an index differs"]
    assert done == ["indices", "topics"]

    def unreachable(_: Settings) -> list[str]:
        raise Unreachable("no")

    monkeypatch.setattr(runtime.provision, "provision_indices", unreachable)
    done.clear()
    assert (migrate(Settings()), done) == (1, [])
