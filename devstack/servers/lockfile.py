"""The pinned packages: ``packages.lock`` names each file from Maven Central, its size and its SHA-256."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError

LOCK_FILE = Path(__file__).with_name("packages.lock")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One file of a Maven repository."""

    server: str
    group: str
    artifact: str
    version: str
    packaging: str
    bytes: int
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.{self.packaging}"

    @property
    def folder(self) -> Path:
        """Its folder in a Maven repository, relative."""
        return Path(*self.group.split("."), self.artifact, self.version)


def parse(text: str) -> tuple[Package, ...]:
    """Read a lock file's text."""
    return tuple(Package(**entry) for entry in tomllib.loads(text)["package"])


def render(packages: Iterable[Package]) -> str:
    """Write a lock file's text, in a fixed order."""
    lines = ["# Made by `sluice lock`: the files of Maven Central that the local stack runs.\n"]
    for package in sorted(packages):
        lines.append("[[package]]")
        names = ("server", "group", "artifact", "version", "packaging")
        lines += [f'{name} = "{getattr(package, name)}"' for name in names]
        lines += [f"bytes = {package.bytes}", f'sha256 = "{package.sha256}"\n']
    return "\n".join(lines)


def locked(*servers: str) -> tuple[Package, ...]:
    """The pinned packages of the servers named, ``kafka`` and ``elasticsearch``."""
    return tuple(package for package in parse(LOCK_FILE.read_text(encoding="utf-8")) if package.server in servers)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, package: Package) -> bool:
    """Whether the file is there and is, byte for byte, the one that was pinned."""
    return path.is_file() and path.stat().st_size == package.bytes and sha256_of(path) == package.sha256


def verify(path: Path, package: Package) -> None:
    """Refuse a file that is not the one that was pinned.

    Raises:
        StackError: its size or SHA-256 differs.
    """
    if not is_intact(path, package):
        raise StackError(
            f"{package.filename} is not the file that devstack/servers/packages.lock pins (its SHA-256 differs), so "
            "it is not used: try again; if that does not help, ask your network's administrator about a proxy."
        )
