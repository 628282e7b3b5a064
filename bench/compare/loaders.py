"""Ways of loading, ready to run: each loads a source as a job of its own, and knows where its documents are."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Final

from bench import inbox
from bench.compare.peer_process import PeerProcess
from bench.compare.sources import Source
from bench.compare.ways import Way
from bench.stack import cpu_seconds
from bench.upload import upload
from commandline.connection import Api
from runtime.clients import elasticsearch
from runtime.datasets import load_datasets
from runtime.settings import Settings
from schemas.indices import data_index, data_mapping, index_settings

OWN_ROLES: Final = ("api", "ingest", "worker")
POLL_SECONDS: Final = 0.02


class Loader(ABC):
    """Loads sources: `prepare` what is not measured, then `go`."""

    index: str
    job_id: str = ""
    """The id of the last run; its documents carry it."""

    @abstractmethod
    def prepare(self, source: Source, run: str) -> None:
        """Get ready for one run; `run` is a name that no other run has."""

    @abstractmethod
    def go(self) -> float:
        """Load; returns the seconds until every row was confirmed.

        Raises:
            PeerError: the peer has failed.
            AssertionError: the job has not completed.
        """

    @abstractmethod
    def cpu_seconds(self) -> float:
        """The processor time of its own processes so far, without Kafka and Elasticsearch."""

    @abstractmethod
    def end(self) -> None:
        """End what it has started."""


class _Own(Loader):
    def __init__(self, config: Settings) -> None:
        self._config = config
        self.index = data_index(config.prefix, "people")

    def cpu_seconds(self) -> float:
        used = cpu_seconds(self._config)
        return sum(used.get(role, 0.0) for role in OWN_ROLES)

    def end(self) -> None:
        """Its processes are those of the stack."""


class Upload(_Own):
    """Sluice: a file by POST, until the job is COMPLETED."""

    def prepare(self, source: Source, run: str) -> None:
        self._source, self._run = source, run

    def go(self) -> float:
        seconds, self.job_id = upload(self._source.file, self._run)
        return seconds

    def cpu_seconds(self) -> float:
        # This process is the client that sends the file.
        return super().cpu_seconds() + time.process_time()


class Inbox(_Own):
    """Sluice: single rows on the inbox, which is filled while the reader stands still, until the job is COMPLETED."""

    def prepare(self, source: Source, run: str) -> None:
        self._source = source
        job = {"operation": "upload", "dataset": "people", "organisation": run, "source": "topic"}
        self.job_id = str(Api().call("POST", "/v1/jobs", json=job)["id"])

    def go(self) -> float:
        api = Api()
        with inbox.frozen(self._config):
            inbox.fill(self._config, self._source.file, self.job_id, moved=False)
            api.call("POST", f"/v1/jobs/{self.job_id}/end", json={"rows": self._source.rows})
        began = time.perf_counter()
        while (state := api.job(self.job_id)["state"]) == "RUNNING":
            time.sleep(POLL_SECONDS)
        assert state == "COMPLETED", state
        return time.perf_counter() - began


class Peer(Loader):
    """A peer's program, into an index of its own with the mapping and the settings of the dataset's."""

    def __init__(self, config: Settings, way: Way, process: PeerProcess) -> None:
        self._config, self._way, self._process = config, way, process
        self.index = f"bench-{way.name}"
        with elasticsearch(config) as client:
            client.indices.create(
                index=self.index,
                mappings=data_mapping(load_datasets()["people"]),
                settings=index_settings(config.elasticsearch_replicas, config.elasticsearch_shards),
            )

    def prepare(self, source: Source, run: str) -> None:
        self.job_id = run
        self._process.prepare(
            {
                "job_id": run,
                "organisation": run,
                "rows": source.rows,
                "blocks": source.blocks,
                "file": str(source.file),
                "index": self.index,
                "elasticsearch": self._config.elasticsearch,
                "kafka": self._config.bootstrap,
                "topic": source.topic(self._way.source),
                "scratch": str(self._config.home),
            }
        )

    def go(self) -> float:
        return self._process.go()

    def cpu_seconds(self) -> float:
        return self._process.cpu_seconds()

    def end(self) -> None:
        self._process.end()
