"""The local stack's folders and files below ``SLUICE_HOME``."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from devstack.errors import StackError
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files of one home; `home` is absolute."""

    home: Path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.home.absolute())

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def kafka(self) -> Path:
        return self.home / "kafka"

    @property
    def elasticsearch(self) -> Path:
        """A folder, or as root a symbolic link to one that an unprivileged user can reach."""
        return self.home / "elasticsearch"

    @property
    def state_file(self) -> Path:
        return self.run / "state.json"

    @property
    def wanted_file(self) -> Path:
        return self.run / "wanted.json"

    @property
    def up_lock(self) -> Path:
        return self.run / "up.lock"

    @property
    def supervisor_lock(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def admin_key(self) -> Path:
        return self.home / "admin.key"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def ready_file(self, name: str) -> Path:
        return self.run / f"{name}.ready"

    def prepare(self) -> None:
        """Make the folders and the admin's key where they are missing. A home that is there keeps its mode.

        Raises:
            StackError: the home can't be written.
        """
        try:
            # As root, Elasticsearch's files lie elsewhere: its unprivileged user does not get into this folder.
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.run, self.logs, self.kafka):
                folder.mkdir(exist_ok=True, mode=0o700)
            if not self.admin_key.exists():
                write_atomically(self.admin_key, secrets.token_urlsafe(32) + "\n")
            (self.run / ".writable").touch()
        except OSError as error:
            raise StackError(
                f"The folder {self.home} can't be written ({error.strerror}): make it writable, "
                "or name another one with SLUICE_HOME."
            ) from error


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one rename, readable by its owner only: a reader sees the old text or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
