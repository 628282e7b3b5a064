"""The text of a key: how one is made, and what is kept of it. Pure; randomness is handed in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from schemas.ids import SHORT_ID_LENGTH, short_id
from signing import public_key_of

PREFIX: Final = "sluice_"
"""Programs that look for secrets in files know a key by it."""
SECRET_BYTES: Final = 32
_ID: Final = re.compile(rf"[0-9a-z]{{{SHORT_ID_LENGTH}}}")
_BEGINNING: Final = re.compile(rf"{PREFIX}([0-9a-z]{{{SHORT_ID_LENGTH}}})_")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made."""

    id: str
    text: str
    """The text that the key's owner sends. Sluice shows it once and keeps it nowhere."""

    @property
    def sha256(self) -> str:
        """The digest of the key, which Sluice keeps."""
        return digest(self.text)

    @property
    def signing_key(self) -> str:
        """The public half of what its owner signs with, which is kept as well."""
        return public_key_of(self.text)


def new_key(random_bytes: Callable[[int], bytes], key_id: str | None = None) -> NewKey:
    """A key: ``sluice_<id>_<256 random bits as hexadecimal digits>``."""
    name = key_id or new_id(random_bytes)
    return NewKey(name, f"{PREFIX}{name}_{random_bytes(SECRET_BYTES).hex()}")


def new_id(random_bytes: Callable[[int], bytes]) -> str:
    """The id of a new key."""
    return short_id(random_bytes(SHORT_ID_LENGTH))


def digest(text: str) -> str:
    """The SHA-256 of a key or token, as hexadecimal digits."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def key_id_in(text: str) -> str | None:
    """The id that a text names if it begins like a key; None: it does not."""
    found = _BEGINNING.match(text)
    return found[1] if found else None


def looks_like_token(text: str) -> bool:
    """Whether a text has the form of a signed JWT, as an OpenID provider makes them, and no key of ours."""
    return text.startswith("ey") and text.count(".") == 2


def is_id(text: str) -> bool:
    """Whether a text has the form of a key's id."""
    return _ID.fullmatch(text) is not None
