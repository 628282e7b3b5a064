"""Images that later jobs have made of documents, and how they take over what was there before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from msgspec.structs import replace

from processor.elastic.conditional import Conditional
from processor.elastic.reading import Hit
from processor.operations.modes.found import Documents
from processor.operations.modes.groups import images_of
from processor.operations.modes.images import Image, image_id, image_line, images_index, read_image
from processor.operations.modes.receipts import number_of
from processor.operations.modes.rollback.entries import MOST, filtered, fresh_images
from processor.operations.modes.rollback.verdicts import Verdict, judge
from processor.operations.work import Work

_TERMS = 1000
"""Ids in one search, at most."""


class LaterImages:
    """The images that later jobs have made of one job's documents. All methods raise as `BulkSink.send`."""

    def __init__(self, work: Work, documents: Documents) -> None:
        self._work = work
        self._documents = documents
        self._images = images_index(work.prefix)

    async def reassign(self, images: Sequence[Image]) -> None:
        """Have the images of later jobs take over what is in these, where those wrote on top of them."""
        later = await self.of(images, again=True)
        await self.give([judge(image, None, later.get(image.document, ())) for image in images])

    async def of(self, images: Sequence[Image], *, again: bool, created: Sequence[str] = ()) -> dict[str, list[Image]]:
        """Document -> the images that other jobs have made of it after these, the earliest first.

        `again`: one may have been changed by the job itself, or by a job that is at work. `created`: of these documents
        receipts count as well, which are larger than groups.
        """
        if not images:
            return {}
        since = {image.document: image for image in images}
        await fresh_images(self._work, self._documents, self._images, again=again)
        found: dict[str, list[Image]] = {}
        anew = set(created)
        async for some, hits in self._searched(list(since)):
            if made := [document for document in some if document in anew]:
                # Without this condition the search would also find the images of the job that first made the documents,
                # for nothing.
                after = {"range": {"order": {"gt": min(since[document].order for document in made)}}}
                hits += await self._hits("created", [number_of(document) for document in made], after)
            for image in _images_of(some, hits, self._work.job.organisation):
                own = since[image.document]
                # Another dataset may have a document with the same id.
                here = image.index in ("", self._work.data_index)
                if here and image.job_id != own.job_id and image.order > own.order:
                    found.setdefault(image.document, []).append(_alone(image))
        return {document: sorted(images, key=lambda image: image.order) for document, images in found.items()}

    async def own(self, documents: Sequence[str]) -> dict[tuple[str, int], Image]:
        """(document, row) -> the image that the job itself has made of it."""
        if not documents:
            return {}
        await self._documents.refresh(self._work, self._images)
        return {
            (image.document, image.row): _alone(image)
            async for some, hits in self._searched(documents, self._work.job.id)
            for image in _images_of(some, hits, self._work.job.organisation)
        }

    async def orders_of(self, jobs: Collection[str]) -> dict[str, int]:
        """Job -> the highest order of its images and receipts, of those jobs that have any.

        A job that was retried or resumed has several: what it wrote last may be on top of what came in between.
        """
        found: dict[str, int] = {}
        for job_id in jobs:
            query, newest = filtered({"term": {"job_id": job_id}}), [{"order": "desc"}]
            hits = await self._documents.search(self._work, self._images, query, 1, sort=newest)
            for hit in hits:
                found[job_id] = read_image(hit.source).order
        return found

    async def _searched(
        self, documents: Sequence[str], job_id: str | None = None
    ) -> AsyncIterator[tuple[Sequence[str], list[Hit]]]:
        """Some of the documents after the other, and what has the images that any job, or this one, has made of them.

        A group has the images of other documents too, which may be long: how many are asked for depends on that.
        """
        of_job = [{"term": {"job_id": job_id}}] if job_id is not None else []
        kind, sizes, at = (self._work.data_index, self._work.job.organisation), self._documents.scattered, 0
        while at < len(documents):
            some = documents[at : at + min(_TERMS, sizes.rows(kind))]
            hits = await self._hits("document", some, *of_job)
            sizes.note(kind, len(some), sum(len(hit.source) for hit in hits), self._work.sink.batch_bytes)
            yield some, hits
            at += len(some)

    async def _hits(self, name: str, values: Sequence[str] | Sequence[int], *filters: dict[str, Any]) -> list[Hit]:
        """What has one of these values in a field, by searches that do not cut anything off."""
        query = filtered({"terms": {name: list(values)}}, *filters)
        found = await self._documents.search(self._work, self._images, query, MOST)
        if len(found) < MOST or len(values) == 1:
            return found
        half = len(values) // 2
        return await self._hits(name, values[:half], *filters) + await self._hits(name, values[half:], *filters)

    async def give(self, verdicts: Sequence[Verdict]) -> list[bool]:
        """Have the successors of each verdict take the place of the images that there are; False: one has changed."""
        successors = [(at, image) for at, verdict in enumerate(verdicts) for image in verdict.successors]
        ids = [image_id(image.job_id, image.document) for _, image in successors]
        found = await self._documents.get(self._work, self._images, ids)
        taken = [True] * len(verdicts)
        items: list[bytes] = []
        given: list[int] = []
        for (at, image), key, there in zip(successors, ids, found, strict=True):
            target = Conditional(self._images, key)
            if there is not None:
                known = read_image(there.raw)
                if isinstance(known, Image) and (known.row, known.after) != (image.row, image.after):
                    taken[at] = False
                    continue
                target = Conditional(self._images, key, there.seq, there.term)
            items.append(target.write(image_line(image)))
            given.append(at)
        for at, answer in zip(given, await self._documents.send(self._work, items), strict=True):
            taken[at] = taken[at] and answer.ok
        return taken


def _images_of(documents: Sequence[str], hits: Sequence[Hit], organisation: str) -> list[Image]:
    """The images of these documents, which the search was for. Those of others that a group brings along may be out of
    date: what counts in their place was not looked for."""
    wanted = set(documents)
    return [image for image in images_of(hits, organisation) if image.document in wanted]


def _alone(image: Image) -> Image:
    """The image without the rest of the answer that it came with, which would stay in memory as long as it does."""
    return replace(image, before=image.before.copy())
