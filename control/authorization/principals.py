"""The principals as a worker or a reader follows them, which ask for them when something is signed."""

from __future__ import annotations

import asyncio

from control.principals.registry import Registry, read_principal
from runtime.settings import Settings
from runtime.topics.following import TopicFollowing


class FollowedPrincipals:
    """The registry, and the topic it is read from."""

    def __init__(self, settings: Settings) -> None:
        self.registry = Registry()
        self._topic = TopicFollowing(settings, "principals", self._take)

    def _take(self, key: bytes | None, value: bytes | None) -> None:
        self.registry.put(*read_principal(key, value))

    async def catch_up(self) -> None:
        """Read the topic to the end that it has now. Raises KafkaException."""
        await asyncio.to_thread(self._topic.catch_up)

    def be_current(self) -> None:
        """As `catch_up`; blocks."""
        self._topic.catch_up()

    def close(self) -> None:
        """Disconnect."""
        self._topic.close()
