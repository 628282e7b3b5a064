"""Bulk items that are sent as one piece of text, and taken apart only where something is to be told of a single one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import overload


class _Items(Sequence[bytes]):
    """Items: an action line each, with its document's line where there is one, and no line end behind it."""

    @cached_property
    def _single(self) -> list[bytes]:
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        return self._single[place]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._single)


def names_index(item: bytes) -> bool:
    """Whether an item says itself which index it is for."""
    return b'"_index"' in item.partition(b"\n")[0]


class DocumentLines(_Items):
    """Items of two lines each."""

    def __init__(self, text: bytes, items: int) -> None:
        """`text`: their lines, with a line end behind each."""
        self.text = text
        self._count = items

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _single(self) -> list[bytes]:
        lines = iter(self.text.split(b"\n"))
        return [action + b"\n" + document for action, document in zip(lines, lines, strict=False)]


class BulkItems(_Items):
    """The items of several parts, in their order."""

    def __init__(self, *parts: Sequence[bytes]) -> None:
        flat = (part.parts if isinstance(part, BulkItems) else (part,) for part in parts)
        self.parts: tuple[Sequence[bytes], ...] = tuple(chain.from_iterable(flat))

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def text(self) -> bytes:
        """The body of a bulk request of all of them."""
        return b"".join(map(text_of, self.parts))

    @cached_property
    def _single(self) -> list[bytes]:
        return list(chain.from_iterable(self.parts))


def size_of(items: Sequence[bytes]) -> int:
    """The length of `text_of` these items, in bytes."""
    if isinstance(items, DocumentLines):
        return len(items.text)
    return sum(map(size_of, items.parts)) if isinstance(items, BulkItems) else sum(map(len, items)) + len(items)


def portions_of(items: Sequence[bytes], most: int) -> Iterator[Sequence[bytes]]:
    """The items in their order, in portions of `most` bytes at most; an item that is longer is one by itself.

    Parts are taken apart only where one alone is too long.
    """
    portion: list[Sequence[bytes]] = []
    size = 0
    for part in _parts_of(items, most):
        length = size_of(part)
        if portion and size + length > most:
            yield BulkItems(*portion)
            portion, size = [], 0
        portion.append(part)
        size += length
    if portion:
        yield BulkItems(*portion)


def _parts_of(items: Sequence[bytes], most: int) -> Iterator[Sequence[bytes]]:
    if isinstance(items, BulkItems):
        for part in items.parts:
            yield from _parts_of(part, most)
    elif size_of(items) <= most:
        if items:
            yield items
    else:
        yield from ([item] for item in items)


def text_of(items: Sequence[bytes]) -> bytes:
    """The body of a bulk request of these items."""
    return items.text if isinstance(items, DocumentLines | BulkItems) else b"\n".join([*items, b""]) if items else b""
