"""Texts of the filter language made into trees, with errors that point at the place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, VisitError

from appliance.errors import ApplianceError, InvalidQueryError
from appliance.flows import COLUMN
from appliance.query.language.fields import Field, field_names, find_field
from appliance.query.language.names import FilterNames, NoNames
from appliance.query.language.tree import Always, And, Filter, Not, Or
from appliance.query.language.values import ValueMismatchError, make_comparison, version_filter

MAX_OCTETS = 4096
MAX_LEVELS = 64
MAX_VALUES = 1024
_LONGEST_WORD = 40
"""Nothing similar is looked for beyond this."""

IN_QUOTES = r'"(?:\\["\\]|[^"\\\n]|\\(?!["\\]))*'
"""A text in double quotes, without the last one, as the grammar has it."""

_ESCAPED = re.compile(r'\\(["\\])')
_STRUCTURE = re.compile(
    rf'{IN_QUOTES}"|#[^\n]*|[()]|(?P<nots>(?:(?:!|not\b)\s*){{65}})', re.IGNORECASE
)
_SIGNS = {"eq": "=", "==": "=", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}
_TERMINALS = {
    "FIELD": "a field", "VALUE": "a value", "OPERATOR": "a comparison", "_AND": "and",
    "_OR": "or", "LPAR": "(", "RPAR": ")", "RSQB": "]", "COMMA": "a comma", "$END": "the end",
}  # fmt: skip


class FilterError(InvalidQueryError):
    """A filter is not understood.

    Attributes
    ----------
    line, column
        Where, from 1.
    expected
        What would fit there.
    """

    def __init__(self, line: int, column: int, expected: str, text: str | None, hint: str) -> None:
        self.line, self.column, self.expected = line, column, expected
        shown = (
            "" if text is None else f', got "{text[:_LONGEST_WORD]}"' if text else ", got the end"
        )
        hint = f"; did you mean {hint}?" if hint else ""
        super().__init__(f"line {line}, column {column}: expected {expected}{shown}{hint}")


def parse_filter(text: str, names: FilterNames | None = None) -> Filter:
    """Read a filter.

    Parameters
    ----------
    text
        At most `MAX_OCTETS` octets and `MAX_LEVELS` parentheses in one another; where there is
        nothing in it, every record fits.
    names
        What finds numbers for names of interfaces, applications, exporters and lists.

    Raises
    ------
    FilterError
        It is not understood.
    QueryError, StorageError
        Names cannot be looked up.
    """
    _check_bounds(text)
    try:
        tree = filter_parser().parse(text)
        result: Filter = _TreeBuilder(names or NoNames()).transform(tree)
    except UnexpectedInput as error:
        raise _syntax_error(error, text) from None
    except VisitError as error:
        # Of a value that does not fit, or of what looks names up.
        if isinstance(error.orig_exc, ApplianceError):
            raise error.orig_exc from None
        raise
    return result


def join_filters(texts: Sequence[str], names: FilterNames | None = None) -> Filter:
    """Read filters that must all hold."""
    parts = tuple(parse_filter(text, names) for text in texts)
    return parts[0] if len(parts) == 1 else And(parts) if parts else Always()


@lru_cache(maxsize=1)
def filter_parser() -> Any:
    """Return lark's parser of the grammar."""
    grammar = Path(__file__).with_name("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=True)


def _check_bounds(text: str) -> None:
    try:
        octets = len(text.encode())
    except UnicodeEncodeError as error:
        raise FilterError(*_place(text, error.start), "a character", None, "") from None
    if octets > MAX_OCTETS:
        raise FilterError(1, 1, f"at most {MAX_OCTETS} octets", None, "")
    level = 0
    for match in _STRUCTURE.finditer(text):
        level += {"(": 1, ")": -1}.get(match[0], 0)
        if level > MAX_LEVELS or match["nots"]:
            line, column = _place(text, match.start())
            raise FilterError(line, column, f"at most {MAX_LEVELS} levels", None, "")


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


class _TreeBuilder(Transformer[Token, Any]):
    """Makes the tree out of what the grammar finds."""

    def __init__(self, names: FilterNames) -> None:
        super().__init__(visit_tokens=False)
        self.names = names

    def start(self, children: list[Any]) -> Filter:
        return children[0] or Always()

    def alternatives(self, children: list[Filter]) -> Filter:
        return children[0] if len(children) == 1 else Or(tuple(children))

    def conjunction(self, children: list[Filter]) -> Filter:
        return children[0] if len(children) == 1 else And(tuple(children))

    def group(self, children: list[Filter]) -> Filter:
        return children[0]

    def negation(self, children: list[Any]) -> Filter:
        *signs, inner = children
        return Not(inner) if len(signs) % 2 else inner

    def bare(self, children: list[Token]) -> Filter:
        word = children[0].lower()
        return (
            Always() if word == "any" else version_filter("", ["6" if word.endswith("6") else "4"])
        )

    def values(self, children: list[Token | None]) -> list[Token]:
        return [child for child in children if child is not None and child.type == "VALUE"]

    def comparison(self, children: list[Any]) -> Filter:
        direction, name, operator, values = children
        words = " ".join((direction or "").lower().split())
        sides = words.replace(" and ", " or ").split(" or ")
        fields = [_field(side, name) for side in sides]
        sign = (operator or "").lower()
        sign = _SIGNS.get(sign, sign)
        if len(values) > MAX_VALUES:
            raise _error(values[MAX_VALUES], f"at most {MAX_VALUES} values")
        compare = self._comparer("=" if sign == "!=" else sign, operator, values)
        parts = tuple(compare(field) for field in fields)
        result = parts[0] if len(parts) == 1 else And(parts) if " and " in words else Or(parts)
        return Not(result) if sign == "!=" else result

    def _comparer(
        self, sign: str, operator: Token | None, values: list[Token]
    ) -> Callable[[Field], Filter]:
        """Return a function that compares a field with the values."""
        texts = [_unquote(value) for value in values]

        def compare(field: Field) -> Filter:
            try:
                return make_comparison(field, sign, texts, self.names)
            except ValueMismatchError as problem:
                token = operator if problem.place is None else values[problem.place]
                raise _error(token or values[0], problem.expected, problem.words) from None

        return compare


def _unquote(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else str(value)


def _field(side: str, name: Token) -> Field:
    field = find_field(side, " ".join(name.lower().split()))
    if field is None:
        raise _error(name, "a field or column", [*field_names(), *COLUMN])
    return field


def _error(token: Token, expected: str, words: Sequence[str] = ()) -> FilterError:
    text = _unquote(token)
    return FilterError(token.line or 1, token.column or 1, expected, text, _similar(text, words))


def _similar(text: str, words: Sequence[str]) -> str:
    close = difflib.get_close_matches(text.lower(), words, 1, 0.6) if len(text) < 40 else []
    return close[0] if close else ""


def _syntax_error(error: UnexpectedInput, text: str) -> FilterError:
    kinds = (getattr(error, kind, None) for kind in ("accepts", "expected", "allowed"))
    terminals: set[str] = set(next((names for names in kinds if names), ()))
    expected = [_TERMINALS[name] for name in _TERMINALS if name in terminals] or ["a filter"]
    token = getattr(error, "token", None)
    if (token is not None and token.type == "$END") or error.line < 1:
        line, column = _place(text, len(text.rstrip()))
        return FilterError(line, column, _either(expected), "", "")
    offset = error.pos_in_stream or 0
    word = re.match(r"[\w.:/@-]+|.|\n", text[offset:])
    hint = _similar(word[0], ["and", "or"]) if word and "_AND" in terminals else ""
    return FilterError(error.line, error.column, _either(expected), word[0] if word else "", hint)


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
