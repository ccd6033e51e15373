"""Changes the IPv4 settings of one interface in the text of an interfaces file.

Text in, text out. Whatever does not say something else now keeps its octets: comments, other
stanzas, other options of the same stanza, the way that values are written.
"""

from __future__ import annotations

from typing import NamedTuple

from appliance.privileged.addressing import DHCP, STATIC, NetworkSettings, StaticSettings
from appliance.privileged.interfaces import SPACE, Line, Stanza, parse

CHANGED_METHODS = (STATIC, DHCP)
_INDENT = "    "
_OF_AN_ADDRESS = (
    *("address", "netmask", "network", "broadcast", "gateway"),
    *("pointopoint", "scope", "dns-nameservers", "dns-nameserver"),
)
"""Options that go with one address, and go when it does."""

_ALWAYS = ("address", "netmask", "gateway", "dns-nameservers")
"""Options that are added where they are missing; `network` and `broadcast`, which nothing needs
today, are only brought up to date where they are."""


class CannotEdit(ValueError):  # noqa: N818 - it says what is the case
    """The file says it in a way that cannot be changed safely; the text is a sentence."""


class _Replacement(NamedTuple):
    start: int
    end: int
    text: str


def change_stanza(text: str, stanza: Stanza, settings: NetworkSettings) -> str:
    """Return a file's text with these settings in one of its stanzas.

    Parameters
    ----------
    stanza
        Of `parse(text)`: `iface NAME inet METHOD`, with a method of `CHANGED_METHODS`.

    Raises
    ------
    CannotEdit
        The method is inherited or another one.
    """
    if stanza.method not in CHANGED_METHODS:
        method = stanza.method or "inherited"
        raise CannotEdit(
            f"the method of {stanza.name} is {method}, expected {' or '.join(CHANGED_METHODS)}"
        )
    wanted = _new_options(stanza, settings)
    replacements = [] if stanza.method == settings.method else [_method(stanza, settings.method)]
    kept: dict[str, Line] = {}
    for option in stanza.options:
        if option.keyword not in _OF_AN_ADDRESS:
            continue
        if option.keyword in wanted and option.keyword not in kept:
            kept[option.keyword] = option
            replacements += _value(option, wanted[option.keyword])
        else:
            replacements.append(_Replacement(option.start, option.end, ""))
    missing = [name for name in _ALWAYS if name in wanted and name not in kept]
    if missing:
        added = [f"{name} {wanted[name]}" for name in missing]
        behind = max([stanza.head, *kept.values()], key=lambda line: line.end)
        replacements.append(_insertion(text, stanza, behind, added))
    return _check(_apply(text, replacements), text, stanza, wanted)


def with_new_stanza(text: str, interface: str, settings: NetworkSettings, *, auto: bool) -> str:
    """Return a file's text with a stanza for an interface behind everything else.

    Parameters
    ----------
    auto
        The interface is also to be brought up when the machine starts.
    """
    values = _static_values(settings) if isinstance(settings, StaticSettings) else {}
    options = [f"{name} {values[name]}" for name in _ALWAYS if name in values]
    lines = [f"auto {interface}"] if auto else []
    lines += [f"iface {interface} inet {settings.method}", *(_INDENT + line for line in options)]
    newline = _newline(text)
    blank = newline if text else ""
    result = text + _closing(text) + blank + "".join(line + newline for line in lines)
    expected = parse("\n".join(lines))
    if _plain(parse(result)) != [*_plain(parse(text)), *_plain(expected)]:
        raise CannotEdit("the end of the file is written in a way that cannot be added to")
    return result


def _new_options(stanza: Stanza, settings: NetworkSettings) -> dict[str, str]:
    """Return the options that the stanza shall have, written as they are there."""
    if not isinstance(settings, StaticSettings):
        return {}
    wanted = _static_values(settings)
    if "/" in (stanza.option("address") or ""):
        wanted["address"] = f"{settings.address}/{settings.prefix}"
        if stanza.option("netmask") is None:
            del wanted["netmask"]
    if (stanza.option("netmask") or "").isdecimal():
        wanted["netmask"] = str(settings.prefix)
    if stanza.option("broadcast") in ("+", "-"):
        wanted["broadcast"] = str(stanza.option("broadcast"))
    return wanted


def _static_values(settings: StaticSettings) -> dict[str, str]:
    return {
        "address": str(settings.address),
        "netmask": str(settings.network.netmask),
        "network": str(settings.network.network_address),
        "broadcast": str(settings.network.broadcast_address),
        "gateway": str(settings.gateway),
        "dns-nameservers": " ".join(map(str, settings.name_servers)),
    }


def _method(stanza: Stanza, method: str) -> _Replacement:
    word = stanza.head.words[3]
    return _Replacement(word.start, word.end, method)


def _value(option: Line, wanted: str) -> list[_Replacement]:
    words = option.words[1:]
    if not words:
        return [_Replacement(option.words[0].end, option.words[0].end, f" {wanted}")]
    if " ".join(option.values) == wanted:
        return []
    return [_Replacement(words[0].start, words[-1].end, wanted)]


def _insertion(text: str, stanza: Stanza, behind: Line, added: list[str]) -> _Replacement:
    indent = _INDENT
    if stanza.options:
        first = stanza.options[0]
        indent = text[first.start : first.words[0].start]
        indent = indent if not indent.strip(SPACE) and "\n" not in indent else _INDENT
    newline = _newline(text[behind.start : behind.end])
    before = _closing(text) if behind.end == len(text) else ""
    lines = "".join(f"{indent}{line}{newline}" for line in added)
    return _Replacement(behind.end, behind.end, before + lines)


def _closing(text: str) -> str:
    """Return what ends a text's last line, so that no backslash joins it to what follows."""
    body = text.rstrip("\n")
    backslashes = len(body) - len(body.rstrip("\\"))
    return "\n" * (backslashes + 1 - (len(text) - len(body))) if text else ""


def _newline(text: str) -> str:
    return "\r\n" if text.endswith("\r\n") else "\n"


def _apply(text: str, replacements: list[_Replacement]) -> str:
    for start, end, new in sorted(replacements, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _check(result: str, text: str, stanza: Stanza, wanted: dict[str, str]) -> str:
    """Return the result if it reads as it should: only this stanza differs, in its own options."""
    stanzas, before = parse(result), parse(text)
    place = before.index(stanza)
    new = stanzas[place] if len(stanzas) == len(before) else stanza
    others = [*_plain(stanzas[:place]), *_plain(stanzas[place + 1 :])]
    kept = [option for option in _options(stanza) if option[0] not in _OF_AN_ADDRESS]
    told = {o[0]: " ".join(o[1:]) for o in _options(new) if o[0] in _OF_AN_ADDRESS}
    if (
        others != [*_plain(before[:place]), *_plain(before[place + 1 :])]
        or [option for option in _options(new) if option[0] not in _OF_AN_ADDRESS] != kept
        or told != {n: v for n, v in wanted.items() if n in _ALWAYS or stanza.option(n) is not None}
    ):
        raise CannotEdit(f"the stanza of {stanza.name} is written in a way that cannot be changed")
    return result


def _plain(stanzas: tuple[Stanza, ...]) -> list[list[tuple[str, ...]]]:
    return [[(s.keyword, *s.head.values), *_options(s)] for s in stanzas]


def _options(stanza: Stanza) -> list[tuple[str, ...]]:
    return [(option.keyword, *option.values) for option in stanza.options]
