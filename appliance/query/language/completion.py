"""What may come next in a filter: fields, words between conditions, values of a field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from appliance.query.language.fields import FLAGS, PROTOCOLS, SERVICES, WORDS

MAX_SUGGESTIONS = 50

FIELD_NOTES: Mapping[str, str] = {
    "src ip": "source address or network",
    "dst ip": "destination address or network",
    "host": "address on either side",
    "net": "network on either side",
    "src net": "source network",
    "dst net": "destination network",
    "port": "port on either side",
    "src port": "source port",
    "dst port": "destination port",
    "proto": "protocol",
    "app": "application, by name or id",
    "exporter": "who sent the flow",
    "in if": "interface in",
    "out if": "interface out",
    "if": "interface, in or out",
    "as": "AS on either side",
    "src as": "source AS",
    "dst as": "destination AS",
    "bytes": "octets of the flow",
    "packets": "packets of the flow",
    "duration": "from start to end",
    "bps": "bits per second",
    "pps": "packets per second",
    "bpp": "octets a packet",
    "flags": "TCP flags that are set",
    "direction": "ingress or egress",
    "ip version": "4 or 6",
    "vlan": "VLAN",
    "dscp": "DSCP",
    "tos": "type of service",
    "icmp-type": "ICMP type",
    "next ip": "next hop",
    "kind": "flow or event",
}
"""The fields that are offered, with what they are."""

_COMPARED = frozenset({"bytes", "packets", "flows", "duration", "bps", "pps", "bpp"})
_NUMBERED = frozenset({"as", "vlan", "dscp", "tos", "icmp-type", "mask", "tcp_flags"})
_ADDRESSED = frozenset({"ip", "host", "net"})
_WORD = re.compile(r'"[^"]*$|[^\s()\[\],=<>!]*$')
_TOKEN = re.compile(r'"[^"]*"?|[\w./:-]+|[=<>!]+|\S')

Values = Mapping[str, Callable[[], Iterable[tuple[str, str]]]]
"""By the last word of a field: returns values from the data and a note on each."""


class Suggestion(NamedTuple):
    """A text that may stand at the cursor: a `field`, a `value` or a `word`, and a note on it."""

    text: str
    kind: str
    note: str = ""


class Completion(NamedTuple):
    """What takes the place of the characters from `start` to `end`."""

    start: int
    end: int
    suggestions: Sequence[Suggestion]


def complete(text: str, cursor: int, values: Values | None = None) -> Completion:
    """Return what may come next.

    Parameters
    ----------
    cursor
        Place in `text`, from 0; what is behind it is left alone.
    values
        Where values of fields come from, such as `exporter`; none are offered without.
    """
    cursor = max(0, min(cursor, len(text)))
    before = text[:cursor]
    match = _WORD.search(before)
    start = match.start() if match else cursor
    begun = before[start:]
    tokens = _TOKEN.findall(before[:start])
    found = [one for one in _offers(tokens, values or {}) if _fits(one, begun)]
    return Completion(start, cursor, found[:MAX_SUGGESTIONS])


def _offers(tokens: Sequence[str], values: Values) -> list[Suggestion]:
    last = tokens[-1].lower() if tokens else ""
    if not last or last in ("and", "or", "not", "(", "&&", "||", "!"):
        words = [] if last == "not" else [Suggestion("not", "word", "the opposite")]
        return [*(Suggestion(name, "field", note) for name, note in FIELD_NOTES.items()), *words]
    if last in ("src", "dst", "source", "destination", "in", "out"):
        side = {"source": "src", "destination": "dst"}.get(last, last)
        return [
            Suggestion(name.partition(" ")[2], "field", note)
            for name, note in FIELD_NOTES.items()
            if name.startswith(f"{side} ")
        ]
    if (offers := _values_of(tokens, values)) is not None:
        return offers
    return [Suggestion(word, "word") for word in ("and", "or")]


def _values_of(tokens: Sequence[str], values: Values) -> list[Suggestion] | None:
    """Return values where one must come, None where a condition is complete."""
    last = tokens[-1].lower()
    compares = last in ("=", "!=", "<", "<=", ">", ">=", "in", "[", ",")
    field = next((token.lower() for token in reversed(tokens) if token.isidentifier()), "")
    if not compares and last != field and last not in FIELD_NOTES:
        return None
    if last in _COMPARED:
        return [Suggestion(sign, "word") for sign in (">", "<", ">=", "<=", "=")]
    if field in values:
        return [Suggestion(value, "value", note) for value, note in values[field]()]
    names: Mapping[str, int] = {
        "proto": PROTOCOLS,
        "protocol": PROTOCOLS,
        "port": SERVICES,
        "flags": {name: bit for name, bit in FLAGS.items() if name != "X"},
        "direction": WORDS["flow_direction"],
        "kind": WORDS["record_kind"],
        "version": {"4": 4, "6": 6},
    }.get(field, {})
    if names:
        return [Suggestion(name, "value", str(number)) for name, number in names.items()]
    expects = compares or field in _ADDRESSED or field in _NUMBERED or last in FIELD_NOTES
    return [] if expects else None


def _fits(offer: Suggestion, begun: str) -> bool:
    wanted = begun.lower().lstrip('"')
    text = offer.text.lower().lstrip('"')
    return text.startswith(wanted) or (len(wanted) > 1 and f" {wanted}" in f" {text}")
