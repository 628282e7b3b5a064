"""Writes records with a header whose name is no UTF-8. Kafka's clients for Python can't, save aiokafka without its
compiled parts; so this runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence

from runtime.settings import Settings
from tests.support.places import ROOT

NAME = b"\xff\xfename"
KEY = b"odd-headers"


class OddName(str):
    """A name of a header, which is written as these bytes."""

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return NAME


def send_odd_headers(settings: Settings, topics: Sequence[str]) -> None:
    """Write such a record to each of these topics, between two others in the same batch."""
    subprocess.run(
        [sys.executable, "-m", "tests.support.processes.odd_headers", settings.bootstrap, *topics],
        cwd=ROOT,
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
        check=True,
    )


async def _send(servers: str, topics: Sequence[str]) -> None:
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=servers, linger_ms=50, compression_type="gzip") as producer:
        for topic in topics:
            headers = [("some", b"x"), (OddName(), b"x"), ("other", None)]
            sent = [await producer.send(topic, b"{", KEY, headers=[header]) for header in headers]
            await asyncio.gather(*sent)


if __name__ == "__main__":
    asyncio.run(_send(sys.argv[1], sys.argv[2:]))
