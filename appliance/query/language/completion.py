"""What may come next in a filter: what the grammar takes there, and values that fit the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lark import Token
from lark.exceptions import UnexpectedInput

from appliance.flowlog.conditions import ADDRESSES
from appliance.flows import COLUMN
from appliance.query.language.fields import FLAGS, WORDS, Field, field_names, find_field, words_of
from appliance.query.language.parsing import IN_QUOTES, filter_parser

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
    "vrf": "VRF, in or out",
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
"""The fields that are offered first, with what they are."""

_COMPARED = frozenset(
    {"octet_delta_count", "packet_delta_count", "delta_flow_count", "duration", "bps", "pps", "bpp"}
)
_FLAG_NOTES = {
    "S": "SYN", "A": "ACK", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG", "E": "ECE", "C": "CWR",
}  # fmt: skip
_USUAL = frozenset({"tcp", "udp", "icmp", "icmpv6", "gre", "esp"})
_SIDES = r"(?:src|source|dst|destination)"
_DIRECTION = re.compile(
    rf"(?<![\w-])({_SIDES}\s+(?:or|and)\s+{_SIDES}|{_SIDES}|in|out|input|output|next|router)\s+\Z",
    re.IGNORECASE,
)
_WORD = re.compile(r'[^\s()\[\],=<>!~&|"#]*\Z')
_QUOTED_OR_COMMENT = re.compile(rf'{IN_QUOTES}"|(#[^\n]*\Z)|#[^\n]*|({IN_QUOTES}\Z)')

Values = Mapping[str, Callable[[], Iterable[tuple[str, str]]]]
"""By what they are (`application`, `exporter`, `interface`, `vrf`, `list`): returns texts that
stand in filters, and a note on each."""


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


class _Place(NamedTuple):
    """What is before a word: the tokens, and the terminals that the grammar takes next."""

    tokens: Sequence[Token]
    terminals: frozenset[str]


def complete(
    text: str, cursor: int, values: Values | None = None, *, tells_names: bool = True
) -> Completion:
    """Return what may come next.

    Parameters
    ----------
    cursor
        Place in `text`, from 0; what is behind it is left alone.
    values
        Where values of fields come from; none from the data are offered without.
    tells_names
        Offer names that plugins know, such as those of networks.
    """
    cursor = max(0, min(cursor, len(text)))
    before = text[:cursor]
    start = _word_start(before)
    if start is None:
        return Completion(cursor, cursor, ())
    begun, before = before[start:].lower().lstrip('"'), before[:start]
    offers = [*_directed_fields(before), *_offers(_place(before), begun, values or {}, tells_names)]
    fitting = [one for one in dict.fromkeys(offers) if _fits(one, begun)]
    fitting.sort(key=lambda one: (one.kind == "word", not _starts(one, begun)))
    n_words = sum(one.kind == "word" for one in fitting)
    most = max(MAX_SUGGESTIONS - n_words, 0)
    shown = [*fitting[: len(fitting) - n_words][:most], *fitting[len(fitting) - n_words :]]
    return Completion(start, cursor, shown)


def quote_name(name: str) -> str:
    """Return a name as it stands in a filter."""
    escaped = re.sub(r'["\\]', r"\\\g<0>", name)
    return f'"{escaped}"'


def _word_start(before: str) -> int | None:
    """Return where the word at the end begins; None within a comment."""
    for match in _QUOTED_OR_COMMENT.finditer(before):
        if match[1] is not None:
            return None
        if match[2] is not None:
            return match.start()
    word = _WORD.search(before)
    return word.start() if word else len(before)


def _place(before: str) -> _Place:
    """Return what the grammar takes behind a text; nothing where the text is wrong already."""
    parser = filter_parser().parse_interactive(before)
    try:
        tokens = list(parser.exhaust_lexer())
    except (UnexpectedInput, UnicodeError):
        return _Place((), frozenset())
    return _Place(tokens, frozenset(parser.accepts()))


def _directed_fields(before: str) -> Iterator[Suggestion]:
    """Yield the fields behind `src`, `in` and the like, which the grammar takes only with one."""
    match = _DIRECTION.search(before)
    if match is None or "DIRECTION" not in _place(before[: match.start()]).terminals:
        return
    side = re.split(r"\s+", match[1].lower())[-1]
    for name in field_names():
        if " " not in name and find_field(side, name) is not None:
            short = {"source": "src", "destination": "dst", "input": "in", "output": "out"}
            yield Suggestion(name, "field", FIELD_NOTES.get(f"{short.get(side, side)} {name}", ""))


def _offers(place: _Place, begun: str, values: Values, tells_names: bool) -> Iterator[Suggestion]:
    terminals = place.terminals
    if "FIELD" in terminals:
        yield from (Suggestion(name, "field", note) for name, note in FIELD_NOTES.items())
        if begun:
            names = dict.fromkeys([*field_names(), *COLUMN])
            yield from (Suggestion(name, "field", _doc(name)) for name in names)
    if "VALUE" in terminals and (field := _field(place.tokens)) is not None:
        signs = [Suggestion(sign, "word") for sign in (">", "<", ">=", "<=", "=")]
        if "OPERATOR" in terminals and field.columns[0] in _COMPARED:
            yield from signs
        yield from _values(field, values, tells_names)
        if "OPERATOR" in terminals:
            yield Suggestion("in", "word", "a list follows")
            if place.tokens[-1].lower() == "ip":
                yield Suggestion("version", "field", FIELD_NOTES["ip version"])
    for terminal, word, note in (
        ("NOT", "not", "the opposite"),
        ("_AND", "and", ""),
        ("_OR", "or", ""),
        ("RSQB", "]", "the end of the list"),
        ("RPAR", ")", ""),
    ):
        if terminal in terminals:
            yield Suggestion(word, "word", note)


def _doc(name: str) -> str:
    return FIELD_NOTES.get(name) or (COLUMN[name].doc if name in COLUMN else "")


def _field(tokens: Sequence[Token]) -> Field | None:
    """Return the field whose values come next."""
    places = [place for place, token in enumerate(tokens) if token.type == "FIELD"]
    if not places:
        return None
    place = places[-1]
    before = tokens[place - 1] if place else None
    side = before.lower().split()[-1] if before and before.type == "DIRECTION" else ""
    return find_field(side, " ".join(tokens[place].lower().split()))


def _values(field: Field, values: Values, tells_names: bool) -> Iterator[Suggestion]:
    column = field.columns[0]
    kinds = {
        "application_id": "application",
        "exporter_address": "exporter",
        "ingress_interface": "interface",
        "egress_interface": "interface",
        "ingress_vrf_id": "vrf",
        "egress_vrf_id": "vrf",
    }
    fixed: Mapping[str, str] = {
        "tcp_control_bits": {name: _FLAG_NOTES[name] for name in FLAGS if name in _FLAG_NOTES},
        "ip version": {"4": "", "6": ""},
    }.get(column) or dict(_words(column) if tells_names or column in WORDS else ())
    usual = sorted(fixed.items(), key=lambda item: item[0] not in _USUAL)
    yield from (Suggestion(text, "value", note) for text, note in usual)
    for kind in (kinds.get(column), "list" if column in ADDRESSES else None):
        if kind is not None and kind in values:
            yield from (Suggestion(text, "value", note) for text, note in values[kind]())


def _words(column: str) -> Iterator[tuple[str, str]]:
    for word, number in words_of(column).items():
        is_ours = column in WORDS
        yield (word, str(number)) if is_ours else (quote_name(word), "")


def _starts(offer: Suggestion, begun: str) -> bool:
    return offer.text.lower().lstrip('"').startswith(begun)


def _fits(offer: Suggestion, begun: str) -> bool:
    words = f" {offer.text.lower()}".replace('"', "")
    return _starts(offer, begun) or (len(begun) > 1 and f" {begun}" in words)
