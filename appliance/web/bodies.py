"""Bodies of requests: form fields or JSON in, checked text values out."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

from appliance.errors import RequestError
from appliance.web.parameters import MAX_PARAMETERS

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Body:
    """The values of one request's body, read when they are asked for.

    Parameters
    ----------
    seen
        Hears of the values when they have been read.
    """

    def __init__(
        self,
        environ: Mapping[str, Any],
        max_octets: int,
        seen: Callable[[Mapping[str, list[str]]], None] | None = None,
    ) -> None:
        self._environ, self._max_octets = environ, max_octets
        self._seen = seen or (lambda _values: None)

    def values(
        self,
        known: Collection[str],
        nullable: Collection[str] = (),
        flags: Collection[str] = (),
    ) -> dict[str, list[str]]:
        """Return each parameter that is there with its values.

        Parameters
        ----------
        nullable
            Those for which JSON's null is an empty text.
        flags
            Those for which JSON's true and false are texts.

        Raises
        ------
        RequestError
            400: not readable, or a parameter that is not known; 413: too large; 415: neither form
            nor JSON.
        """
        kind, octets = self._kind(), self._octets()
        if not octets:
            return {}
        if kind not in (FORM, JSON):
            raise RequestError(415, f"Expected a body of type {FORM} or {JSON}")
        values = _from_json(octets, nullable, flags) if kind == JSON else _from_form(octets)
        if unknown := sorted(set(values) - set(known)):
            names = ", ".join(name[:60] for name in unknown[:10])
            raise RequestError(400, f"Unknown parameters: {names}; expected {', '.join(known)}")
        self._seen(values)
        return values

    def octets(self, kinds: Collection[str]) -> bytes:
        """Return the body as it is.

        Parameters
        ----------
        kinds
            The types that it may have.

        Raises
        ------
        RequestError
            400: there is none; 413: too large; 415: of another type.
        """
        if self._kind() not in kinds:
            raise RequestError(415, f"Expected a body of type {' or '.join(kinds)}")
        octets = self._octets()
        if not octets:
            raise RequestError(400, "The body is empty")
        return octets

    def single(self, known: Collection[str], nullable: Collection[str] = ()) -> dict[str, str]:
        """Return each parameter that is there; one given twice is an error."""
        values = self.values(known, nullable)
        for name, found in values.items():
            if len(found) != 1:
                raise RequestError(400, f"{name} is given {len(found)} times, expected once")
        return {name: found[0] for name, found in values.items()}

    def _kind(self) -> str:
        return str(self._environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()

    def _octets(self) -> bytes:
        length = str(self._environ.get("CONTENT_LENGTH") or "")
        if length and not (length.isascii() and length.isdecimal() and len(length) < 19):
            raise RequestError(400, "Content-Length is not a number")
        if int(length or 0) > self._max_octets:
            raise _too_large(self._max_octets)
        if not length and not self._environ.get("wsgi.input_terminated"):
            return b""
        wanted = int(length) if length else self._max_octets + 1
        octets: bytes = self._environ["wsgi.input"].read(wanted)
        if len(octets) > self._max_octets:
            raise _too_large(self._max_octets)
        return octets


def _from_form(octets: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(
            octets.decode(),
            keep_blank_values=True,
            max_num_fields=MAX_PARAMETERS,
            errors="strict",
        )
    except ValueError:
        raise RequestError(400, "The body is not a form in UTF-8") from None


def _from_json(
    octets: bytes, nullable: Collection[str], flags: Collection[str]
) -> dict[str, list[str]]:
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        raise RequestError(400, "The body is not JSON") from None
    if not isinstance(found, dict):
        raise RequestError(400, "The body is not a JSON object")
    texts = {
        name: _as_text(value, name in nullable, name in flags) for name, value in found.items()
    }
    return {
        name: [_text(name, item) for item in (value if isinstance(value, list) else [value])]
        for name, value in texts.items()
    }


def _as_text(value: object, is_nullable: bool, is_flag: bool) -> object:
    """Return what JSON has beside texts and numbers as text, where that is allowed."""
    if value is None and is_nullable:
        return ""
    if isinstance(value, bool) and is_flag:
        return "true" if value else "false"
    return value


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RequestError(400, f"{name[:60]}: expected text")
    try:
        text = str(value)
        text.encode()
    except ValueError:
        raise RequestError(400, f"{name[:60]}: expected text in UTF-8") from None
    return text


def _too_large(limit: int) -> RequestError:
    return RequestError(413, f"The body is larger than {limit} octets")
