"""Reads filters in libpcap's language (`dst port 25 and not src net 10.0.0.0/8`) for flows.

Follows the grammar of pcap-filter(7): `and` and `or` have one precedence and associate to the left,
`not` binds closer, and a value without qualifiers has those of the value before it. What is asked
of a flow is in `filter_primitives`; what a flow cannot answer, such as a length, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from appliance.plugins.pmacct.filters.filter_arithmetic import (
    OPERATORS,
    RELATIONS,
    Operand,
    comparison,
)
from appliance.plugins.pmacct.filters.filter_primitives import (
    DIRECTIONS,
    KINDS,
    PROTOCOLS,
    Qualifiers,
    multicast_predicate,
    protocol_predicate,
    value_predicate,
    vlan_predicate,
)
from appliance.plugins.pmacct.filters.predicates import Predicate

_TOKEN = re.compile(
    r"\s*([a-z][a-z0-9]*\s*\[[^\]]*\]|\(|\)|&&|\|\||<<|>>|[<>=!]=|[<>=!&|+*^%]"
    r"|[^\s()&|<>=!+*^%\[\]]+)"
)
_NOT, _AND, _OR = ("not", "!"), ("and", "&&"), ("or", "||")
_REFUSED = {
    *("len", "less", "greater", "broadcast", "gateway", "mpls", "pppoed", "pppoes", "geneve"),
    *("inbound", "outbound", "ifindex", "ifname", "on", "rnr", "rulenum", "reason", "action"),
    *("protochain", "arp", "rarp", "wlan", "link", "fddi", "tr", "ppp", "slip", "iso", "stp"),
    *("decnet", "atalk", "aarp", "sca", "lat", "moprc", "mopdl", "ipx", "netbeui", "type"),
    *("subtype", "dir", "vpi", "vci", "lane", "llc", "oam", "byte"),
}
_WORDS = {*_NOT, *_AND, *_OR, *DIRECTIONS, *KINDS, *PROTOCOLS, *_REFUSED, "vlan", "multicast"}
_DEEPEST = 100


def read_filter(text: str) -> Predicate:
    """Return the predicate of a filter in libpcap's language.

    Raises
    ------
    ValueError
        The filter is malformed, or asks for what a flow does not have; says what.
    """
    parser = _Parser(_tokens(text))
    predicate = parser.expression()
    if parser.word:
        raise ValueError(f"unexpected '{parser.word}'")
    return predicate


def _tokens(text: str) -> list[str]:
    tokens, place, end = [], 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"unexpected '{text[place:].strip()[:20]}'")
        tokens.append("".join(match[1].split()))
        place = match.end()
    if not tokens:
        raise ValueError("it is empty")
    return tokens


@dataclass(slots=True)
class _Parser:
    """A parser by recursive descent.

    Attributes
    ----------
    qualifiers
        Those of the last value: the next one may leave its own out (`port 80 or 443`).
    """

    tokens: list[str]
    place: int = 0
    depth: int = 0
    qualifiers: Qualifiers | None = None

    @property
    def word(self) -> str:
        """The token that comes next; empty at the end."""
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def expression(self) -> Predicate:
        """Read terms with `and` and `or` between them."""
        predicate = self._term()
        while True:
            if self._accepts(_AND):
                predicate &= self._term()
            elif self._accepts(_OR):
                predicate |= self._term()
            else:
                return predicate

    def _term(self) -> Predicate:
        with self._deeper():
            return self._nested_term()

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        try:
            yield
        finally:
            self.depth -= 1

    def _nested_term(self) -> Predicate:
        if self._accepts(_NOT):
            return ~self._term()
        if self._is_comparison():
            return self._comparison()
        if self._accepts(("(",)):
            predicate = self.expression()
            self._expect(")")
            return predicate
        if self.word in _REFUSED:
            raise ValueError(f"a flow cannot answer '{self.word}'")
        if self.word in _WORDS:
            return self._primitive()
        if self.qualifiers is None:
            what = self.word or "the end"
            raise ValueError(f"expected a condition such as 'host 10.0.0.1', found '{what}'")
        return self._value(self.qualifiers)

    def _primitive(self) -> Predicate:
        """Read a protocol, or qualifiers and a value: `tcp dst port 25`."""
        if self._accepts(("vlan",)):
            is_number = self.word[:1].isdecimal()
            return vlan_predicate(self._take() if is_number else "")
        protocol = self._take() if self.word in PROTOCOLS else ""
        if self._accepts(("multicast",)):
            return multicast_predicate(protocol)
        direction = self._direction()
        kind = self._take() if self.word in KINDS else ""
        if protocol and not direction and not kind:
            return protocol_predicate(protocol)
        self.qualifiers = Qualifiers(protocol, direction, kind)
        if self._accepts(("(",)):
            predicate = self._values()
            self._expect(")")
            return predicate
        return self._value(self.qualifiers)

    def _direction(self) -> str:
        if self.word not in DIRECTIONS:
            return ""
        first = self._take()
        following = self.tokens[self.place : self.place + 2]
        if len(following) < 2 or following[1] not in DIRECTIONS or following[1] == first:
            return first
        if following[0] not in (*_AND, *_OR):
            return first
        self.place += 2
        return "src and dst" if following[0] in _AND else "src or dst"

    def _values(self) -> Predicate:
        """Read values in parentheses that share their qualifiers: `port (80 or 443)`."""
        qualifiers = self.qualifiers or Qualifiers()
        predicate = self._value(qualifiers)
        while True:
            if self._accepts(_AND):
                predicate &= self._value(qualifiers)
            elif self._accepts(_OR):
                predicate |= self._value(qualifiers)
            else:
                return predicate

    def _value(self, qualifiers: Qualifiers) -> Predicate:
        if not self.word or not (self.word[0].isalnum() or self.word[0] in "\\:"):
            raise ValueError(f"expected a value, found '{self.word or 'the end'}'")
        if self.word in _REFUSED:
            raise ValueError(f"a flow cannot answer '{self.word}'")
        if self.word in _WORDS:
            hint = f" (write \\{self.word})" if qualifiers.kind == "proto" else ""
            raise ValueError(f"expected a value, found '{self.word}'{hint}")
        value = self._take()
        if qualifiers.kind == "net" and self._accepts(("mask",)):
            value = f"{value}/{self._take()}"
        return value_predicate(qualifiers, value)

    def _is_comparison(self) -> bool:
        """Tell whether octets or numbers are compared here, perhaps in parentheses."""
        place = self.place
        while place < len(self.tokens) and self.tokens[place] == "(":
            place += 1
        word, following = (*self.tokens[place : place + 2], "", "")[:2]
        return word.endswith("]") or (
            word[:1].isdecimal() and following in (*OPERATORS, *RELATIONS) and following != ""
        )

    def _comparison(self) -> Predicate:
        """Read octets or numbers, a relation and what they are compared with."""
        place = self.place
        try:
            left, relation = self._sum(), self._relation()
        except ValueError:
            # The parenthesis is one around the comparison, not one within it.
            if self.tokens[place] != "(":
                raise
            self.place = place + 1
            predicate = self.expression()
            self._expect(")")
            return predicate
        return comparison(left, relation, self._sum())

    def _relation(self) -> str:
        if self.word not in RELATIONS:
            raise ValueError(f"expected a comparison, found '{self.word or 'the end'}'")
        return self._take()

    def _sum(self) -> Operand:
        """Read operands with operators between them, from left to right."""
        operand = self._operand()
        while self.word in OPERATORS:
            operand = operand.with_operator(self._take(), self._operand())
        return operand

    def _operand(self) -> Operand:
        if self._accepts(("(",)):
            with self._deeper():
                operand = self._sum()
            self._expect(")")
            return operand
        return Operand.of_text(self._take())

    def _take(self) -> str:
        word = self.word
        self.place += 1
        return word

    def _accepts(self, words: tuple[str, ...]) -> bool:
        if self.word not in words:
            return False
        self.place += 1
        return True

    def _expect(self, word: str) -> None:
        if self.word != word:
            raise ValueError(f"expected '{word}', found '{self.word or 'the end'}'")
        self.place += 1
