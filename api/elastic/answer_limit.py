"""Limits the size of Elasticsearch's answers: rows may have any length, and the API has little memory."""

from __future__ import annotations

from typing import Final

from aiohttp import ClientResponse
from elastic_transport import AiohttpHttpNode

MOST_ANSWER_BYTES: Final = 4 * 1024 * 1024


class AnswerTooLongError(ValueError):
    """The answer exceeds `MOST_ANSWER_BYTES`. A request for fewer rows may succeed."""


class _LimitedAnswer(ClientResponse):
    async def read(self) -> bytes:
        """The body. Raises AnswerTooLongError."""
        if self._body is None:
            body = bytearray()
            async for chunk in self.content.iter_any():
                body += chunk
                if len(body) > MOST_ANSWER_BYTES:
                    self.close()
                    raise AnswerTooLongError(f"the answer is longer than {MOST_ANSWER_BYTES} bytes")
            self._body = bytes(body)
        return await super().read()


class LimitedNode(AiohttpHttpNode):
    """elastic-transport's aiohttp node, with answers of at most `MOST_ANSWER_BYTES`."""

    def _create_aiohttp_session(self) -> None:
        super()._create_aiohttp_session()
        assert self.session is not None
        self.session._response_class = _LimitedAnswer
