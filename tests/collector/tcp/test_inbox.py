"""What waits between connections and the decoders: bounded, fair, in order."""

from __future__ import annotations

from appliance.collector.tcp.inbox import ALL_OCTETS, BLOCK_OCTETS, EXPORTER_OCTETS, Inbox, Message
from appliance.decoding.results import Exporter

ONE, OTHER = (0, 1), (0, 2)


def nobody(_exporter: Exporter) -> bool:
    return False


def messages(number: int, *octets: bytes) -> list[Message]:
    return [Message(number, each, 7) for each in octets]


def test_take_when_messages_wait_then_a_block_with_their_senders_in_order():
    inbox = Inbox()
    inbox.put(ONE, messages(70_000, b"first", b"second one"))
    inbox.put(OTHER, messages(80_000, b"x"))
    block, ended = inbox.take(nobody)
    assert block is not None
    assert [block.payload(row) for row in range(len(block))] == [b"first", b"second one", b"x"]
    assert block.port.tolist() == [70_000, 70_000, 80_000]
    assert block.address_lo.tolist() == [1, 1, 2]
    assert block.received_ms.tolist() == [7, 7, 7]
    assert not ended
    assert not inbox.octets


def test_take_when_a_connection_is_over_then_told_with_its_last_messages():
    inbox = Inbox()
    inbox.put(ONE, [*messages(70_000, b"last"), Message(70_000, None, 7)])
    block, ended = inbox.take(nobody)
    assert block is not None
    assert len(block) == 1
    assert ended == [(*ONE, 70_000)]


def test_take_when_an_exporter_is_behind_then_its_messages_stay():
    inbox = Inbox()
    inbox.put(ONE, messages(70_000, b"stays"))
    inbox.put(OTHER, messages(80_000, b"goes"))
    block, _ = inbox.take(lambda exporter: exporter == ONE)
    assert block is not None
    assert block.payload(0) == b"goes"
    assert len(block) == 1
    block, _ = inbox.take(nobody)
    assert block is not None
    assert block.payload(0) == b"stays"


def test_room_when_one_exporter_fills_its_part_then_others_have_theirs():
    inbox = Inbox()
    inbox.put(ONE, messages(70_000, *[bytes(10_000)] * (EXPORTER_OCTETS // 10_000)))
    assert not inbox.has_room(ONE)
    assert inbox.has_room(OTHER)


def test_room_when_all_of_it_is_taken_then_nobody_is_read():
    inbox = Inbox()
    for number in range(ALL_OCTETS // EXPORTER_OCTETS + 1):
        inbox.put((1, number), messages(70_000, *[bytes(65_000)] * 16))
    assert not inbox.has_room((2, 0))
    while inbox.octets:
        inbox.take(nobody)
    assert inbox.has_room((2, 0))


def test_take_when_small_and_large_messages_mix_then_no_block_is_larger_than_its_limit():
    inbox = Inbox()
    n = 2000
    for number in range(20):
        inbox.put((1, number), messages(70_000, *[bytes(16)] * (n // 20 - 1), bytes(65_535)))
    taken = 0
    while inbox.octets:
        block, _ = inbox.take(nobody)
        assert block is not None
        assert block.octets.size <= BLOCK_OCTETS
        taken += len(block)
    assert taken == n
