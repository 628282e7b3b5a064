"""The control table as a Faust table: its states are in the worker's `JobTable`, and Faust keeps none.

A worker reads the table ahead, before Faust starts: Faust takes some seventy microseconds for each record, and of a
hundred thousand jobs there are half a million. Faust then goes on where the reading ahead has stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import faust
from faust.stores.memory import Store
from faust.types import TP, EventT

from runtime.settings import Settings
from runtime.topics.reading import TopicReading
from schemas.topics import topic_name

Take = Callable[[int, bytes | None, bytes | None], None]
"""Takes in a record: its offset, key and value."""


class Position(Store):  # type: ignore[misc]  # Faust has no types
    """Where the table has been read up to: Faust reads from there on, after each rebalance as well."""

    read_to: Callable[[], int] = staticmethod(lambda: 0)
    """The offset behind the newest record that has been taken in."""

    def apply_changelog_batch(
        self, batch: Iterable[EventT], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Nothing: who listens to the table has taken the records in."""

    def persisted_offset(self, tp: TP) -> int | None:
        """The offset of the newest record that has been taken in; None: none has."""
        behind = self.read_to()
        return behind - 1 if behind else None


class ControlTable(faust.GlobalTable):  # type: ignore[misc]
    """The control table, under the name of Sluice's own topic."""

    def _changelog_topic_name(self) -> str:
        # Faust's assignor looks here for the topic, not at the changelog_topic argument.
        return str(self.changelog_topic.get_topic_name())

    def _new_store(self) -> Position:
        return Position("position://", self.app, self, table_name=self.name, loop=self.loop)

    def reads_from(self, read_to: Callable[[], int]) -> None:
        """Have it go on at the offset that `read_to` answers, whenever it begins to read."""
        self.data.read_to = read_to


def read_ahead(settings: Settings, take: Take, stopping: Callable[[], bool]) -> None:
    """Hand over every record up to the end that the table has now, or until `stopping`. It blocks.

    Raises:
        KafkaException: Kafka does not answer, or the topic is not there. Trying again later helps.
    """
    reading = TopicReading(settings, topic_name(settings.prefix, "jobs"))
    for record in reading:
        take(record.offset() or 0, record.key(), record.value())
        if stopping():
            return
