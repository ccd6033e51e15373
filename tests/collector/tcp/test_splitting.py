"""A stream of octets into messages, however it is cut."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.collector.tcp.splitting import MessageSplitter
from appliance.plugins.ipfix import FRAMING
from tests.decoding.building import ipfix

FRAMINGS = {10: FRAMING}
BODIES = st.lists(st.binary(max_size=300), max_size=8)


def split(*pieces: bytes) -> tuple[list[bytes], str]:
    """Return the messages of a stream that came in pieces, and why it ended."""
    splitter = MessageSplitter(FRAMINGS)
    messages: list[bytes] = []
    for piece in pieces:
        complete, broken = splitter.messages(piece)
        messages += complete
        if broken is not None:
            return messages, broken.reason
    return messages, f"{splitter.pending_octets} left" if splitter.pending_octets else ""


@settings(deadline=None)
@given(BODIES, st.lists(st.integers(1, 400), max_size=30))
def test_messages_when_cut_anywhere_then_all_whole(bodies: list[bytes], lengths: list[int]):
    messages = [ipfix(body) for body in bodies]
    stream, pieces = b"".join(messages), []
    for length in lengths:
        pieces.append(stream[:length])
        stream = stream[length:]
    assert split(*pieces, stream) == (messages, "")


def test_messages_when_they_come_octet_by_octet_then_all_whole():
    stream = ipfix(b"abcd") + ipfix()
    assert split(*(bytes([octet]) for octet in stream)) == ([ipfix(b"abcd"), ipfix()], "")


def test_messages_when_the_largest_then_whole():
    largest = ipfix(bytes(65535 - 16))
    assert split(largest, largest) == ([largest, largest], "")


@pytest.mark.parametrize("length", [0, 1, 15])
def test_stream_when_a_length_is_shorter_than_a_header_then_ends_behind_what_was_whole(length: int):
    assert split(ipfix() + ipfix(length=length)) == ([ipfix()], "message_length")


@pytest.mark.parametrize("version", [0, 5, 9, 11, 0x1603, 0x4745])
def test_stream_when_of_something_else_then_ends_at_once(version: int):
    assert split(struct.pack(">H", version)) == ([], "unknown_version")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_stream_when_of_any_octets_then_bounded_and_never_an_error(pieces: list[bytes]):
    splitter = MessageSplitter(FRAMINGS)
    for piece in pieces:
        messages, broken = splitter.messages(b"\0\x0a" + piece)
        assert splitter.pending_octets < 65535 + 202
        if broken is not None:
            return
        assert all(len(message) >= FRAMING.header_octets for message in messages)
