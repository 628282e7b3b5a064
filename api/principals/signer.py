"""Signs this process's commands, so that the control agent believes the names in them (decision 0053)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control.principals.keys import new_id
from runtime.clock import now_ms
from schemas.policies.principals import Signer, record_key
from schemas.topics import DAY_MS
from signing import signed_with

USED_MS: Final = DAY_MS
"""A process makes a new key after this time."""
KEPT_MS: Final = 30 * DAY_MS
"""The control agent knows a public key for this time: it may come to a command late."""


class Writer(Protocol):
    """Appends to the topic ``principals``."""

    async def append(self, name: str, record: Signer) -> int:
        """Append a record; returns its offset. Raises KafkaUnavailableError."""
        ...


class CommandSigner:
    """Signs this process's commands. The private key is in memory alone; the public key is in the topic before the
    first use."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._private: Ed25519PrivateKey | None = None
        self._signer: Signer | None = None
        self._making = asyncio.Lock()

    async def headers(self, job_id: str, value: bytes) -> Mapping[str, bytes]:
        """The headers of a command with this value. Raises KafkaUnavailableError."""
        async with self._making:
            private, signer = await self._current()
        return dict(signed_with(private, signer.id, "commands", job_id, value, now_ms()))

    async def _current(self) -> tuple[Ed25519PrivateKey, Signer]:
        now = now_ms()
        if self._private is None or self._signer is None or now - self._signer.began_at > USED_MS:
            private = Ed25519PrivateKey.generate()
            signer = Signer(
                id=new_id(secrets.token_bytes),
                signing_key=private.public_key().public_bytes_raw().hex(),
                began_at=now,
                ends_at=now + USED_MS + KEPT_MS,
            )
            await self._writer.append(record_key(signer), signer)
            self._private, self._signer = private, signer
        return self._private, self._signer
