"""Before-images: what a job's row found under its key, kept before the row is written. See decisions 0033 and 0081.

The index ``images`` has them in two forms. A group is one document with the images of some rows of a block; an image by
itself is a document whose id is made of the job and the key, and counts in place of the one of the same row in a group.
Jobs that only create leave receipts instead, one for a block: nothing was there before.
"""

from __future__ import annotations

import msgspec

from schemas.indices import index_name

_encode = msgspec.json.Encoder().encode


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What a row found, and what it was about to write."""

    job_id: str
    row: int
    document: str
    """The document's id."""
    order: int
    """Which came first of several images of one document: the offset of the newest command in the job's state. Jobs
    that write the same documents take turns."""
    after: str | None
    """Digest of what the row wrote; None: it took the document out."""
    before: msgspec.Raw = msgspec.Raw(b"null")
    """The document as it was; null: there was none."""
    seq: int = -1
    """Sequence number of what was there before; -1: there was none, or it came from the image of another job."""
    took: tuple[str, ...] = ()
    """Jobs that were rolled back beneath this one, whose before-images it has taken over; `before` is the last's."""
    handed: str | None = None
    """The job is rolled back, and this was given to the image of the job that has written over the document since."""
    index: str = ""
    """The index of the document; empty: an older version has made the image. Datasets may have the same ids."""

    @property
    def previous(self) -> bytes | None:
        """The document as it was; None: there was none."""
        raw = bytes(self.before)
        return None if raw == b"null" else raw


class GroupedImage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An image in a group, which has the rest of it; fields as those of an image."""

    row: int
    after: str | None
    before: msgspec.Raw
    seq: int


class ImageGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The images of some rows of a block, as they were kept at first."""

    job_id: str
    order: int
    first_row: int
    last_row: int
    entries: int
    """How many images there are."""
    document: list[str]
    """The documents' ids, in the order of the images."""
    images: list[GroupedImage]
    index: str = ""
    """As `Image.index`."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a row that changes nothing."""

    job_id: str
    unchanged: int
    """The row's number."""
    order: int = 0
    """As `Image.order`."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of a block have created."""

    job_id: str
    first_row: int
    last_row: int
    order: int
    rows: list[int]
    written: str
    """For each row the key's part of its document's id, and the digest of the document; base64."""
    created: list[int] = []
    """What searches find it by: of each row `receipts.number_of` its document. Those of an older version have none."""
    organisation: str = ""
    """Whose documents they are; empty in those of an older version."""
    index: str = ""
    """As `Image.index`."""


class _Kept(msgspec.Struct, frozen=True):
    job_id: str = ""
    row: int | None = None
    document: str | list[str] = ""
    order: int = 0
    after: str | None = None
    before: msgspec.Raw = msgspec.Raw(b"null")
    seq: int = -1
    took: tuple[str, ...] = ()
    handed: str | None = None
    unchanged: int | None = None
    first_row: int = 0
    last_row: int = 0
    rows: list[int] = []
    written: str | None = None
    entries: int = 0
    images: list[GroupedImage] | None = None
    created: list[int] = []
    organisation: str = ""
    index: str = ""


_kept = msgspec.json.Decoder(_Kept).decode


def images_index(prefix: str) -> str:
    """The index of before-images, of all datasets: a job's own part of it is what has its id."""
    return index_name(prefix, "images")


def image_id(job_id: str, document: str) -> str:
    """The id of a job's image, or claim, of a document."""
    return f"{job_id}:{document.rpartition(':')[2]}"


def read_image(raw: bytes) -> Image | ImageGroup | Claim | Receipt:
    """What a document of the index is."""
    kept = _kept(raw)
    if kept.images is not None:
        assert isinstance(kept.document, list)
        return ImageGroup(
            job_id=kept.job_id,
            order=kept.order,
            first_row=kept.first_row,
            last_row=kept.last_row,
            entries=kept.entries,
            document=kept.document,
            images=kept.images,
            index=kept.index,
        )
    if kept.unchanged is not None:
        return Claim(job_id=kept.job_id, unchanged=kept.unchanged, order=kept.order)
    if kept.row is None:
        return Receipt(
            job_id=kept.job_id,
            first_row=kept.first_row,
            last_row=kept.last_row,
            order=kept.order,
            rows=kept.rows,
            written=kept.written or "",
            created=kept.created,
            organisation=kept.organisation,
            index=kept.index,
        )
    assert isinstance(kept.document, str)
    return Image(
        job_id=kept.job_id,
        row=kept.row,
        document=kept.document,
        order=kept.order,
        after=kept.after,
        before=kept.before,
        seq=kept.seq,
        took=kept.took,
        handed=kept.handed,
        index=kept.index,
    )


def image_line(image: Image | ImageGroup | Claim | Receipt) -> bytes:
    """The document of an image, a group, a claim or a receipt, as a line of a bulk request."""
    return _encode(image)
