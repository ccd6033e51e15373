"""Answers that are sent while they are made, such as exports of any length."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeGuard

from waitress.channel import ClientDisconnected

from appliance.contracts import Answer
from appliance.errors import ApplianceError
from appliance.guard import Guard
from appliance.ratelimit import RateLimited

PIECE_OCTETS = 256 * 1024
"""No piece is larger, so that little waits in memory for a slow client."""

logger = RateLimited(logging.getLogger(__name__))


class CutOffError(ClientDisconnected):  # type: ignore[misc] # waitress has no types
    """The rest of an answer cannot be made: the connection ends, so its client sees that it is not
    whole."""


class Stream:
    """The octets of an answer, of which the first piece is made: what fails before it has an
    answer of its own.

    Raises
    ------
    ApplianceError, PluginError
        The first piece cannot be made.
    """

    def __init__(self, pieces: Iterator[bytes], guard: Guard) -> None:
        self._pieces, self._guard = pieces, guard
        self._first = self._next_piece()

    def __iter__(self) -> Iterator[bytes]:
        piece = self._first
        self._first = b""
        while piece is not None:
            for start in range(0, len(piece), PIECE_OCTETS):
                yield piece[start : start + PIECE_OCTETS]
            try:
                piece = self._next_piece()
            except ApplianceError as error:
                logger.warning("an answer was cut off: %s", str(error))
                raise CutOffError(str(error)) from error

    def close(self) -> None:
        """Let the pieces go; they hold what they are made from."""
        if (close := getattr(self._pieces, "close", None)) is not None:
            self._guard.call(close, lambda _: None)

    def _next_piece(self) -> bytes | None:
        return self._guard.call(lambda: next(self._pieces, None), _octets_or_none)


def _octets_or_none(value: object) -> bytes | None:
    if value is not None and not isinstance(value, bytes):
        raise TypeError(f"expected octets, found {type(value).__name__}")
    return value


def begin_stream(answer: Answer, guard: Guard) -> Answer:
    """Return an answer whose body, where it is an iterator, has made its first piece.

    Raises
    ------
    ApplianceError, PluginError
        It cannot be made.
    """
    if isinstance(answer.body, Iterator):
        return replace(answer, body=Stream(answer.body, guard))
    return answer


def is_whole(body: Iterable[bytes]) -> TypeGuard[Sequence[bytes]]:
    """Tell whether all octets of an answer are there, or are made while it is sent."""
    return isinstance(body, list | tuple)
