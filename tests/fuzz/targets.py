"""The readers of octets: what each is given, what it may raise, and what must hold afterwards.

A target takes any octets. It returns when they were read or refused as they should be; everything
that it raises is a fault.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from appliance.backups.archive import BackupError, pack, unpack
from appliance.collector.exporters import ExporterLimits, ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.collector.saved_state import load_states, save_states
from appliance.collector.tcp.splitting import MessageSplitter
from appliance.contracts import Decoder
from appliance.decoding.messages.block import Datagram, block_of
from appliance.decoding.messages.session_numbers import Transport, connection_number
from appliance.errors import ApplianceError
from appliance.flowlog import FlowLogLimits, FlowLogWriter, journal
from appliance.flowlog.conditions import where_branches
from appliance.flows import FlowBatch
from appliance.plugins.auth.tokens import claims_of
from appliance.plugins.ipfix import FRAMING
from appliance.plugins.pmacct.configuration.config import read_config
from appliance.plugins.pmacct.configuration.primitives import read_primitives
from appliance.plugins.pmacct.engine.templates_file import read_templates
from appliance.plugins.pmacct.maps.pre_tag_map import read_rules
from appliance.privileged.interfaces import parse
from appliance.privileged.protocol import BadRequest, parse_request
from appliance.query.language.duckdb import parse_conditions
from appliance.settings.file import read_settings_file
from appliance.traffic.captures import CaptureError, CaptureReader
from appliance.web.api_server import read_api_server
from tests.decoding.building import RECEIVED_MS, an_app, decode
from tests.decoding.worst_cases import all_cases
from tests.web.building import NOW, Client, FakeStore, plugin_routes, settings_of, web_of

DATA = Path(__file__).parents[1] / "data"
CONF = Path(__file__).parents[2] / "conf"
CAPTURES = sorted((DATA / "captures").glob("*.pcap"))
MAX_SEED_OCTETS = 60_000


class Target(NamedTuple):
    """A reader: what runs it, octets to begin with, and the longest input that is of use."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    max_octets: int = MAX_SEED_OCTETS


@cache
def folder() -> Path:
    """Return a folder for the files of this process, in memory where the system has such."""
    memory = Path("/dev/shm")
    place = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
    _KEPT.append(place)
    return Path(place.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def written(octets: bytes, name: str = "input") -> Path:
    """Write octets to a file."""
    path = folder() / name
    path.write_bytes(octets)
    return path


# Datagrams: [port and time, 1 octet] [length, 2 octets] [payload], again and again.


# A whole capture takes a second and teaches the fuzzer nothing that a few datagrams do not.
MAX_DATAGRAMS_OCTETS = 6_000


class _Records:
    def __init__(self) -> None:
        self.n = 0

    def append(self, batch: FlowBatch) -> None:
        self.n += batch.n_records


def framed(payloads: list[bytes]) -> bytes:
    """Lay datagrams into one input, as many as fit."""
    octets = b""
    for payload in payloads:
        if len(octets) + len(payload) + 3 <= MAX_DATAGRAMS_OCTETS:
            octets += b"\0" + len(payload).to_bytes(2, "big") + payload
    return octets


def _datagrams(octets: bytes) -> Iterator[Datagram]:
    at, received_ms = 0, RECEIVED_MS
    while at + 3 <= len(octets):
        how, length = octets[at], octets[at + 1] << 8 | octets[at + 2]
        received_ms += (how >> 4) * 20_000
        payload = octets[at + 3 : at + 3 + length]
        yield Datagram(payload, 0, 0xFFFF_C000_0201 + (how >> 2 & 1), 9000 + how % 4, received_ms)
        at += 3 + length


@cache
def _decoders() -> tuple[Decoder, ...]:
    return an_app().decoders


def read_datagrams(octets: bytes) -> None:
    """Decode one by one and as a block: no decoder fails, and both give as many records."""
    datagrams, records = list(_datagrams(octets)), []
    if not datagrams:
        return
    are_borrowed = False
    for parts in ([datagrams], [[one] for one in datagrams]):
        sink, states = _Records(), ExporterStates(ExporterLimits())
        pipeline = Pipeline(_decoders(), states, sink)
        for part in parts:
            pipeline.take(block_of(part), part[-1].received_ms)
        assert not an_app().failures.total
        records.append(sink.n)
        are_borrowed |= bool(states.counts["sets_borrowed"])
    # Who is silent, and so may lend templates, is told between blocks: that may differ.
    assert are_borrowed or records[0] == records[1]


def _datagram_seeds() -> list[bytes]:
    captures = [CaptureReader(path, {2055, 4739, 9995, 9996}) for path in CAPTURES]
    payloads = [[d.datagram.payload for d in capture] for capture in captures]
    return [framed(each) for each in payloads + [costly for _, _, costly in all_cases()]]


# Files.


@cache
def streams() -> list[bytes]:
    """Return the IPFIX messages of captures, one behind the other: streams, or files."""
    paths = [path for path in CAPTURES if path.name.startswith("ipfix")]
    return [b"".join(one.datagram.payload for one in CaptureReader(path)) for path in paths]


def split_stream(octets: bytes) -> None:
    """Take octets as those of a connection, in three parts, and decode what is whole."""
    splitter, states = MessageSplitter({10: FRAMING}), ExporterStates(ExporterLimits())
    number = connection_number(1, Transport.TCP, 50_000)
    third = len(octets) // 3
    for part in (octets[:third], octets[third : 2 * third], octets[2 * third :]):
        messages, broken = splitter.messages(part)
        assert splitter.pending_octets <= 65_535 + len(part)
        if messages:
            datagrams = (Datagram(message, 0, 1, number, RECEIVED_MS) for message in messages)
            decode(*datagrams, states=states)
        if broken is not None:
            break
    states.end_session((0, 1, number))
    assert not any(state.templates for state in states.exporters.values())


def read_capture(octets: bytes) -> None:
    """Read a pcap or pcapng."""
    with contextlib.suppress(CaptureError):
        for _ in CaptureReader(written(octets)):
            pass


def read_saved_states(octets: bytes) -> None:
    """Learn what a former collector saved; whatever was learned can be saved again."""
    states = ExporterStates(ExporterLimits())
    load_states(states, written(octets), RECEIVED_MS)
    save_states(states, folder() / "again")


def _saved_states() -> list[bytes]:
    seeds = []
    for path in CAPTURES[:25]:
        payloads = [d.datagram for d in CaptureReader(path, {2055, 4739})]
        save_states(decode(*payloads).states, folder() / "seed") if payloads else None
        seeds.append((folder() / "seed").read_bytes())
    return seeds


def read_templates_file(octets: bytes) -> None:
    """Read nfacctd's file of templates."""
    with contextlib.suppress(OSError, ValueError):
        read_templates(written(octets))


def read_journal(octets: bytes) -> None:
    """Read what a killed writer left."""
    path = written(octets)
    with contextlib.suppress(ApplianceError):
        journal.read_frames(path, journal.scan(path).frames)
    with contextlib.suppress(ApplianceError):
        journal.read_frames(path, journal.scan_options(path))


def _journals() -> list[bytes]:
    seeds = []
    for path in CAPTURES[:12]:
        payloads = [d.datagram for d in CaptureReader(path, {2055, 4739})]
        place = folder() / f"log-{uuid.uuid4().hex}"
        writer = FlowLogWriter(place, FlowLogLimits())
        writer.start()
        for batch in decode(*payloads).batches if payloads else ():
            writer.append(batch)
        writer.flush({"sequence": 1}, RECEIVED_MS)
        writer.close(RECEIVED_MS)
        seeds += [file.read_bytes() for file in place.glob("*/*.journal")]
    return [seed for seed in seeds if len(seed) < MAX_SEED_OCTETS]


def read_collector_files(octets: bytes) -> None:
    """Read nfacctd's configuration, primitives and pre_tag_map."""
    path = written(octets)
    for read in (read_config, read_primitives, read_rules):
        with contextlib.suppress(ApplianceError):
            read(path)


def read_settings(octets: bytes) -> None:
    """Read both files of settings."""
    place = folder() / "conf"
    place.mkdir(exist_ok=True)
    for name in ("appliance.yml", "api_server.yml"):
        (place / name).write_bytes(octets)
    with contextlib.suppress(ApplianceError):
        read_settings_file(place).settings()
    with contextlib.suppress(ApplianceError):
        read_api_server(place)


def read_interfaces(octets: bytes) -> None:
    """Parse /etc/network/interfaces."""
    for stanza in parse(octets.decode("utf-8", "surrogateescape")):
        assert isinstance(stanza.keyword, str)
        assert isinstance(stanza.name, str)


def read_archive(octets: bytes) -> None:
    """Unpack a backup; nothing of it lands outside the folder."""
    with tempfile.TemporaryDirectory(dir=folder()) as place:
        inside = Path(place) / "inside"
        inside.mkdir()
        with contextlib.suppress(BackupError):
            unpack(written(octets), inside)
        assert [path.name for path in Path(place).iterdir()] == ["inside"]


def _archives() -> list[bytes]:
    source = folder() / "backup"
    (source / "part").mkdir(parents=True, exist_ok=True)
    (source / "part" / "file").write_bytes(b"content")
    pack(source, folder() / "backup.tar.gz", "2026-01-01T00:00:00Z")
    whole = (folder() / "backup.tar.gz").read_bytes()
    bare = gzip.decompress(whole) if whole[:2] == b"\x1f\x8b" else whole
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as tar:
        entry = tarfile.TarInfo("../up")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    return [whole, bare, link.getvalue()]


# Requests.


def read_helper_request(octets: bytes) -> None:
    """Parse what the API asks the privileged helper for."""
    with contextlib.suppress(BadRequest):
        parse_request(octets)


def read_token(octets: bytes) -> None:
    """Check a token: none of these is ours."""
    assert claims_of(octets.decode("utf-8", "replace"), b"secret" * 8) is None


def read_condition(octets: bytes) -> None:
    """Parse a condition on flows; what it says reaches SQL only as parameters."""
    with contextlib.suppress(ApplianceError):
        text = octets.decode("utf-8", "replace")
        for sql, _ in where_branches(parse_conditions([text])):
            assert sql.count("'") % 2 == 0


@cache
def _client() -> Client:
    settings = settings_of(folder() / "web")
    (folder() / "web" / "var").mkdir(parents=True, exist_ok=True)
    return Client(web_of(FakeStore(), settings, now=NOW))


METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")
TYPES = ("application/json", "application/x-www-form-urlencoded", "text/plain", "")


def read_request(octets: bytes) -> None:
    """Answer a request: first line the method and path, second the type, then the body."""
    first, _, rest = octets.partition(b"\n")
    how, body = rest[:1] or b"\0", rest[1:]
    target = first.decode("latin-1")
    if not target.startswith("/") or any(ord(c) < 33 for c in target):
        return
    method = METHODS[how[0] % 8]
    environ = {"CONTENT_TYPE": TYPES[how[0] >> 3 & 3]}
    reply = _client()(method, target, body, token="administrator", **environ)
    assert reply.status != 500, reply
    if reply.headers.get("content-type", "").startswith("application/json") and reply.body:
        json.loads(reply.body)


def _requests() -> list[bytes]:
    paths = sorted({route.path for route in plugin_routes(settings_of(folder() / "web"))})
    query = "?from=2026-01-01T00:00:00Z&to=1700000000&last=24h&device=1&limit=10&fill=true"
    plain = [path.replace("<", "").replace(">", "").replace(":", "") for path in paths]
    return [
        *(f"{path}{query}\n\0".encode() for path in plain),
        *(f"{path}\n\1".encode() + b'{"username": "a", "password": "b"}' for path in plain),
        *(f"{path}\n\x0a".encode() + b"username=a&password=b%20c" for path in plain),
    ]


def _texts(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for name in names for path in (CONF, DATA / "nfacctd")
                    for path in sorted(path.glob(name))]  # fmt: skip


TARGETS = {
    "datagrams": Target(read_datagrams, _datagram_seeds, MAX_DATAGRAMS_OCTETS),
    "capture": Target(
        read_capture, lambda: [path.read_bytes() for path in CAPTURES[:40]] + streams()
    ),
    "connection": Target(split_stream, streams),
    "saved_states": Target(read_saved_states, _saved_states),
    "templates_file": Target(
        read_templates_file, lambda: [b'{"ver": 9, "len": 8, "tpl": [{"type": 8, "len": 4}]}\n']
    ),
    "journal": Target(read_journal, _journals),
    "collector_files": Target(read_collector_files, _texts("*.conf", "*.lst", "*.map")),
    "settings": Target(read_settings, _texts("*.yml")),
    "interfaces": Target(
        read_interfaces,
        lambda: [b"auto lo\niface lo inet loopback\nsource-directory x\niface eth0 inet static\n"
                 b" address 192.0.2.1/24\n gateway 192.0.2.254 # \\\n"],
    ),
    "archive": Target(read_archive, _archives),
    "helper_request": Target(
        read_helper_request, lambda: [b'{"act": "restart"}', b'{"act": "network", "address": ""}']
    ),
    "token": Target(read_token, lambda: [b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", b"a.b.c"]),
    "condition": Target(
        read_condition,
        lambda: [b"source=10.0.0.0/8", b"port=443,80", b"protocol!=tcp", b"host=2001:db8::1"],
    ),
    "request": Target(read_request, _requests),
}  # fmt: skip
