"""Datagrams of a capture, decoded one by one as a collector would, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from appliance.collector.exporters import ExporterStates
from appliance.decoding.messages.block import Datagram, DatagramBlock, block_of
from appliance.decoding.messages.faults import Fault, MalformedMessage
from appliance.decoding.messages.headers import versions
from appliance.decoding.results import DecodeResult
from appliance.guard import GuardedDecoder, PluginError

_NOT_SUMMARISED = ("datagrams", "records", "options_records", "sampling_assumed", "total_counters")


def decode_datagrams(
    decoders: Sequence[GuardedDecoder], datagrams: Iterable[Datagram], states: ExporterStates
) -> Iterator[tuple[Datagram, DecodeResult | None]]:
    """Decode datagrams one by one, as a collector that knows `states` would.

    Yields
    ------
    tuple
        The datagram and the result; None where no decoder takes its version, or a plugin's fails.
    """
    by_version = {decoder.version: decoder for decoder in decoders}
    for datagram in datagrams:
        block = block_of([datagram])
        decoder = by_version.get(int(versions(block)[0]))
        if decoder is None:
            yield datagram, None
            continue
        result = _decode(decoder, block, states)
        if result is not None:
            states.commit(result, datagram.received_ms)
        yield datagram, result


def _decode(
    decoder: GuardedDecoder, block: DatagramBlock, states: ExporterStates
) -> DecodeResult | None:
    try:
        return decoder.decode(block, states, int(block.received_ms[0]))
    except MalformedMessage as error:
        return DecodeResult(faults=[Fault(0, error.reason, error.detail)])
    except PluginError:
        return None


class CaptureTotals:
    """Counts what became of the datagrams of a capture."""

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()

    def add(self, result: DecodeResult | None) -> None:
        """Count a datagram."""
        totals = self._totals
        totals["datagrams"] += 1
        if result is None:
            totals["unsupported version"] += 1
            return
        for (_, word), number in result.tallies.items():
            totals[word] += number
        for fault in result.faults:
            totals[f"refused: {fault.reason}"] += 1
        totals["sets without template"] += result.counts["sets_without_template"]
        totals["sets decoded late"] += result.counts["sets_late"]

    def summary(self, skipped: Mapping[str, int]) -> str:
        """Return all that there was, in one line.

        Parameters
        ----------
        skipped
            Packets without a datagram, by reason.
        """
        totals = self._totals
        parts = [f"{totals['datagrams']} datagrams", f"{totals['records']} records"]
        if totals["options_records"]:
            parts.append(f"{totals['options_records']} options records")
        words = {word: n for word, n in totals.items() if word not in _NOT_SUMMARISED}
        for counts in (words, skipped):
            parts += [f"{word} {n}" for word, n in sorted(counts.items()) if n]
        return "; ".join(parts)
