"""Sequence numbers: loss, overtaking, repetition, restarts, and both 32-bit wraps."""

from __future__ import annotations

import pytest

from appliance.decoding.sequences.sequence_state import (
    UNKNOWN_UNITS,
    SequenceState,
    advance,
    is_restart,
)

TOP = (1 << 32) - 1
NOW = 1_700_000_000_000


def after(*seen: tuple[int, int] | tuple[int, int, int, int], window: int = 100) -> SequenceState:
    """Go through (sequence, units[, uptime, export time]) datagrams."""
    state = SequenceState()
    for sequence, units, *header in seen:
        uptime, export = header or (1000, NOW)
        state = advance(state, sequence, units, (uptime, export), window)
    return state


def test_first_datagram_when_seen_then_nothing_is_lost() -> None:
    state = after((12345, 30))
    assert (state.lost, state.expected, state.datagrams) == (0, 12375, 1)


def test_gap_when_ahead_then_lost() -> None:
    assert after((0, 30), (30, 30), (90, 30)).lost == 30


def test_numbers_when_they_wrap_then_they_go_on() -> None:
    assert after((TOP - 9, 10), (0, 10), (20, 1)).lost == 10
    assert after((TOP, 1), (0, 1)).expected == 1


def test_datagram_when_overtaken_then_it_is_no_loss() -> None:
    state = after((0, 30), (60, 30), (30, 30), (90, 30))
    assert (state.lost, state.late, state.restarts) == (0, 1, 0)


def test_datagram_when_overtaken_over_the_wrap_then_it_is_no_loss() -> None:
    state = after((TOP - 1, 1), (0, 1), (TOP, 1), (1, 1))
    assert (state.lost, state.late) == (0, 1)


def test_datagram_when_repeated_then_counted_as_late_only() -> None:
    state = after((0, 30), (30, 30), (30, 30), (60, 30))
    assert (state.lost, state.late) == (0, 1)


def test_units_when_unknown_then_the_next_number_is_taken_as_it_is() -> None:
    state = after((0, 30), (30, UNKNOWN_UNITS), (500, 1), (501, 1))
    assert (state.lost, state.expected) == (0, 502)


def test_number_when_far_behind_then_a_restart() -> None:
    state = after((10_000, 1, 0, NOW), (0, 1, 0, NOW), (1, 1, 0, NOW))
    assert (state.lost, state.restarts, state.expected) == (0, 1, 2)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("burst", [1, 7])
def test_counters_when_two_take_turns_then_no_restart_and_no_loss(first: int, burst: int) -> None:
    # Two processes or line cards behind one source identifier.
    counters = [1000, 50_000]
    seen = []
    for turn in range(40):
        which = (turn // burst + first) % 2
        seen.append((counters[which], 30))
        counters[which] += 30
    state = after(*seen)
    assert (state.restarts, state.lost, state.late) == (0, 0, 0)
    assert state.datagrams == 40


def test_counters_when_two_take_turns_then_a_loss_in_the_one_followed_is_seen() -> None:
    seen = [(50_000, 1), (1000, 1), (50_001, 1), (1001, 1), (50_005, 1), (1002, 1), (50_006, 1)]
    assert after(*seen).lost == 3


def test_counter_when_it_begins_again_without_the_exporter_then_it_is_followed_after_a_while() -> (
    None
):
    state = after((10_000, 1), *((n, 1) for n in range(40)))
    assert (state.lost, state.restarts, state.expected) == (0, 1, 40)


def test_loss_when_large_and_no_other_counter_goes_on_then_a_loss() -> None:
    state = after((0, 1), (5000, 1), (5001, 1), (5002, 1))
    assert (state.lost, state.restarts) == (4999, 0)


def test_numbers_when_they_count_their_own_message_then_nothing_is_lost() -> None:
    # softflowd 1.1.0, IPFIX: the number is that of the records so far, this message's included.
    units = [3, 30, 5, 17, 1, 28, 28, 2, 9]
    sums = [sum(units[: n + 1]) for n in range(len(units))]
    state = after(*((number, n, 0, NOW) for number, n in zip(sums, units, strict=True)))
    assert (state.lost, state.restarts) == (0, 0)
    lost = after(
        *((number, n, 0, NOW) for number, n in zip(sums, units, strict=True)),
        (sums[-1] + 20 + 6, 6, 0, NOW),
    )
    assert lost.lost == 20


def test_number_when_little_behind_but_exported_later_then_a_restart() -> None:
    assert after((5, 1, 0, NOW), (0, 1, 0, NOW + 1000)).restarts == 1
    assert after((5, 1, 0, NOW), (4, 1, 0, NOW)).restarts == 0


@pytest.mark.parametrize("last", [1 << 31, 3_000_000_000, TOP])
def test_number_when_it_leaps_further_than_anyone_sends_then_a_restart(last: int) -> None:
    following = (last + (1 << 30)) % (1 << 32)
    state = after((last, 1, 0, NOW), (following, 1, 0, NOW + 5000))
    assert (state.lost, state.restarts) == (0, 1)


def test_number_when_it_leaps_after_hours_of_silence_then_a_loss() -> None:
    state = after((0, 1, 0, NOW), (1 << 30, 1, 0, NOW + 3_600_000))
    assert (state.lost, state.restarts) == ((1 << 30) - 1, 0)


def test_uptime_when_it_goes_back_then_a_restart() -> None:
    state = after((100, 1, 50_000, NOW), (101, 1, 2000, NOW + 1000))
    assert (state.restarts, state.lost) == (1, 0)


def test_uptime_when_it_wraps_then_no_restart() -> None:
    state = after((100, 1, TOP - 5000, NOW), (101, 1, 3000, NOW + 8000))
    assert (state.restarts, state.lost) == (0, 0)


def test_uptime_when_a_little_behind_then_no_restart() -> None:
    assert after((100, 1, 50_000, NOW), (101, 1, 49_500, NOW)).restarts == 0


def test_uptime_when_back_in_an_overtaken_datagram_then_no_restart() -> None:
    assert after((100, 1, 50_000, NOW), (99, 1, 40_000, NOW - 10_000)).restarts == 0


def test_is_restart_when_nothing_was_seen_then_not() -> None:
    assert not is_restart(SequenceState(), 5, (0, 0), 100)


def test_loss_when_late_ones_come_without_a_gap_then_never_negative() -> None:
    state = after((100, 30), (90, 30), (80, 30))
    assert state.lost == 0
    assert state.late == 2
