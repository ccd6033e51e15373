"""Interfaces files of any formatting for hypothesis, and the real ifupdown's opinion of them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import strategies as st

from appliance.privileged.addressing import StaticSettings, checked_settings

IFQUERY = shutil.which("ifquery") or shutil.which("ifquery", path="/sbin:/usr/sbin")

needs_ifupdown = pytest.mark.skipif(
    IFQUERY is None, reason="NOT TESTED against ifupdown: install Debian's package ifupdown"
)

MANAGED = ("address", "netmask", "network", "broadcast", "gateway", "dns-nameservers")
STATIC_VALUES = {
    "state": "static",
    "ipaddress": "192.1.1.18",
    "netmask": "255.255.255.0",
    "network": "192.1.1.0",
    "gateway": "192.1.1.1",
    "nameserver1": "8.8.8.8",
    "nameserver2": "8.8.4.4",
}


def static_settings(**values: str) -> StaticSettings:
    settings = checked_settings(STATIC_VALUES | values)
    assert isinstance(settings, StaticSettings)
    return settings


@dataclass(frozen=True)
class Piece:
    """A part of a file: its text, and whether an edit of eth0 may touch it."""

    text: str
    touched: bool = False


@dataclass(frozen=True)
class Written:
    """A file that was put together from pieces; the one of eth0 inet is among them."""

    before: tuple[Piece, ...]
    stanza: tuple[Piece, ...]
    after: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in (*self.before, *self.stanza, *self.after))


GAPS = st.sampled_from([" ", "  ", "\t", " \t ", " \\\n", "\\\n  ", "\f", "\v"])
INDENTS = st.sampled_from(["", "    ", "\t", "  \t", " "])
ENDS = st.sampled_from(["\n", "\n", "\n", " \n", "\r\n", "\t \n", "\\\n\n"])
LETTERS = st.characters(
    min_codepoint=1, max_codepoint=255, exclude_characters='\n\\#\0 \t\v\f\r"\x85'
)


@st.composite
def lines(draw: st.DrawFn, *words: str, indent: bool = True) -> str:
    text = draw(INDENTS) if indent else ""
    for index, word in enumerate(words):
        text += (draw(GAPS) if index else "") + word
    return text + draw(ENDS)


@st.composite
def remarks(draw: st.DrawFn) -> Piece:
    octets = draw(st.text(LETTERS, max_size=12))
    kind = draw(st.sampled_from(["blank", "comment", "joined"]))
    texts = {"blank": draw(INDENTS) + "\n", "comment": f"{draw(INDENTS)}#{octets}\n"}
    return Piece(texts.get(kind, f"# not joined {octets}\\\n"))


UNTOUCHED_OPTIONS = (
    ("mtu", "1400"),
    ("hwaddress", "02:00:00:00:00:01"),
    ("up", "ip", "route", "add", "10.9.0.0/16", "via", "10.0.0.9"),
    ("dns-search", "example.net", "example.org"),
    ("vlan-raw-device", "eth7"),
    ("metric", "7"),
    ("description", "h\xf6lle", "\xff\xfe"),
)


@st.composite
def options(draw: st.DrawFn, managed: dict[str, str]) -> list[Piece]:
    written = [
        Piece(draw(lines(name, *value.split())), touched=True) for name, value in managed.items()
    ]
    others = draw(st.lists(st.sampled_from(UNTOUCHED_OPTIONS), max_size=3, unique=True))
    written += [Piece(draw(lines(*words))) for words in others]
    written += draw(st.lists(remarks(), max_size=3))
    return draw(st.permutations(written))


OLD_VALUES = st.fixed_dictionaries(
    {"address": st.sampled_from(["10.0.0.5", "10.0.0.5/24", "192.1.1.18"])},
    optional={
        "netmask": st.sampled_from(["255.255.255.0", "24"]),
        "network": st.just("10.0.0.0"),
        "broadcast": st.sampled_from(["10.0.0.255", "+"]),
        "gateway": st.just("10.0.0.1"),
        "dns-nameservers": st.sampled_from(["10.0.0.1", "10.0.0.1 10.0.0.2"]),
    },
)

OTHER_HEADS = (
    ("auto", "eth0", "eth1"),
    ("allow-hotplug", "eth0"),
    ("iface", "eth0", "inet6", "auto"),
    ("iface", "eth0.10", "inet", "static"),
    ("iface", "eth1", "inet", "manual"),
    ("iface", "eth00", "inet", "dhcp"),
    ("mapping", "wlan*"),
    ("no-scripts", "eth1"),
    ("iface", "xeth0", "inet", "static"),
)


@st.composite
def others(draw: st.DrawFn) -> list[Piece]:
    head = draw(st.sampled_from(OTHER_HEADS))
    pieces = [Piece(draw(lines(*head)))]
    if head[-1] == "static":
        pieces += [Piece(p.text) for p in draw(options({"address": "10.8.0.1/16"}))]
    if head[0] == "mapping":
        pieces += [Piece(draw(lines("script", "/bin/echo")))]
    return [*pieces, *draw(st.lists(remarks(), max_size=2))]


@st.composite
def files(draw: st.DrawFn) -> Written:
    """Return a file with one stanza `iface eth0 inet`, static or dhcp."""
    groups = [draw(st.lists(others(), max_size=3)) for _ in range(2)]
    before, after = (tuple(piece for group in side for piece in group) for side in groups)
    method = draw(st.sampled_from(["static", "dhcp"]))
    head = Piece(draw(lines("iface", "eth0", "inet", method)), touched=True)
    managed = draw(OLD_VALUES) if method == "static" else {}
    return Written(before, (head, *draw(options(managed))), after)


@dataclass(frozen=True)
class Ifupdown:
    """Asks the real ifupdown what a file says."""

    folder: Path

    def query(self, text: str, interface: str) -> list[str]:
        """Return the lines of `ifquery`, sorted; fails when it complains."""
        done = self._run(text, interface)
        assert not done.stderr, (done.stderr, text)
        assert done.returncode == 0, text
        return sorted(done.stdout.decode("latin-1").split("\n"))

    def understands(self, text: str, interface: str) -> bool:
        done = self._run(text, interface)
        return done.returncode == 0 and not done.stderr

    def _run(self, text: str, interface: str) -> subprocess.CompletedProcess[bytes]:
        file = self.folder / "interfaces"
        file.write_bytes(text.encode("latin-1"))
        command = [str(IFQUERY), "-i", str(file), interface]
        return subprocess.run(command, capture_output=True, check=False)
