"""`/api/v1/decode`: what the decoders make of a capture, for "why is my data wrong?"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from appliance import SIGNED_IN, Decoder, Principal, RequestError, Route
from appliance.errors import CaptureError
from appliance.query.turns import QueryTurns
from appliance.web.bodies import Body
from appliance.web.openapi import operation
from appliance.web.turns import caller_turn

if TYPE_CHECKING:
    from appliance.collector.capture_decoding import CaptureTotals
    from appliance.collector.exporters import ExporterStates
    from appliance.traffic.captures import CaptureReader

PATH = "/api/v1/decode"
CAPTURE = ("application/vnd.tcpdump.pcap", "application/octet-stream")
MOST_LINES = 5000
_GZIP = b"\x1f\x8b"
_TURNS = QueryTurns(most=1, most_of_user=1, what="captures")

_EXAMPLE = {
    "summary": "2 datagrams; 24 records",
    "warnings": ["the file ends early, after 2 whole packets"],
    "lines": ["datagram 1: 120 octets from 192.0.2.1 port 4711, 2026-01-31T08:00:00.000Z"],
    "is_cut": False,
}
_BODY = {name: {"schema": {"type": "string", "format": "binary"}} for name in CAPTURE}


def decode_capture(
    body: Body, decoders: Sequence[Decoder], principal: Principal | None
) -> dict[str, Any]:
    """Explain the datagrams of a capture: fields, octets, values, and what was refused and why.

    Raises
    ------
    RequestError
        400: no capture, or damaged; 413: too large; 415: of another type, or compressed; 429:
        another is being read.
    """
    octets = body.octets(CAPTURE)
    if octets[:2] == _GZIP:
        raise RequestError(415, "The capture is compressed: send it unpacked")
    try:
        with caller_turn(_TURNS, principal):
            return _explanation(octets, decoders)
    except CaptureError as error:
        raise RequestError(400, f"The capture: {error.problem}") from None


def _explanation(octets: bytes, decoders: Sequence[Decoder]) -> dict[str, Any]:
    from appliance.collector.capture_decoding import CaptureTotals
    from appliance.collector.exporter_state import ExporterLimits
    from appliance.collector.exporters import ExporterStates
    from appliance.traffic.captures import CaptureReader

    totals, states = CaptureTotals(), ExporterStates(ExporterLimits())
    with NamedTemporaryFile(suffix=".pcap") as file:
        file.write(octets)
        file.flush()
        reader = CaptureReader(file.name)
        lines = list(islice(_lines(reader, decoders, states, totals), MOST_LINES + 1))
    return {
        "summary": totals.summary(reader.skipped),
        "warnings": [text.removeprefix(f"{file.name}: ") for text in reader.warnings],
        "lines": lines[:MOST_LINES],
        "is_cut": len(lines) > MOST_LINES,
    }


def _lines(
    reader: CaptureReader,
    decoders: Sequence[Any],
    states: ExporterStates,
    totals: CaptureTotals,
) -> Iterator[str]:
    from appliance.collector.capture_decoding import decode_datagrams
    from appliance.decoding.explanation import explain

    decoded = decode_datagrams(decoders, (found.datagram for found in reader), states)
    for number, (datagram, result) in enumerate(decoded, 1):
        totals.add(result)
        yield from explain(number, datagram, result, states)


def capture_routes() -> list[Route]:
    """Return the route."""
    described = operation("What the decoders make of a capture (pcap or pcapng)", _EXAMPLE)
    schema = {**described, "requestBody": {"content": _BODY}}
    return [Route("POST", PATH, decode_capture, role=SIGNED_IN, schema=schema, only_reads=True)]
