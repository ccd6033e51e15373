"""Sums as roll-ups have them, as SQL of ClickHouse: over `sums` where that has the keys, else over
`flows`, scaled and rounded flow by flow as `blocks.sum_block` does it."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are numbers.

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from appliance.contracts import Direction, SumsQuestion
from appliance.flows import COLLECTION_TIME, COLUMN
from appliance.plugins.clickhouse.blocks import LARGEST_COUNT, LARGEST_RATE, LAST_SECOND
from appliance.plugins.clickhouse.schema import FLOWS, SUMS
from appliance.plugins.clickhouse.statements import FlowTable

_KEYS_OF_SUMS = {"exporter", "protocol", "bin"}
_EXPORTER = ("exporter_address_hi", "exporter_address_lo")
_PORTS = ("source_transport_port", "destination_transport_port")
_MEASURES = ("octets", "packets", "flows")


def untold_sql(question: SumsQuestion) -> str | None:
    """Return the SELECT of whether some flow's exporter did not tell its direction; None where that
    does not matter, as `sums` are not asked or no address decides."""
    of_sums = set(question.keys) <= _KEYS_OF_SUMS
    if question.direction is None or not question.inside or not of_sums:
        return None
    every = SumStatement(replace(question, direction=None, keys=()), ())
    return f"SELECT count() FROM {SUMS} WHERE {every.where()} AND flow_direction > 1"


class SumStatement:
    """The statement of one question.

    Parameters
    ----------
    columns
        Those that `flows` has.

    Attributes
    ----------
    names
        Of the columns that it returns, in their order.
    """

    def __init__(self, question: SumsQuestion, columns: Collection[str]) -> None:
        self.question = question
        # Without networks inside, what is not told is ingress, and `sums` tell that apart.
        needs_addresses = question.direction is not None and bool(question.inside)
        self.reads_sums = set(question.keys) <= _KEYS_OF_SUMS and not needs_addresses
        self._table = FlowTable(columns)
        self._keys: dict[str, str] = {}
        for key in question.keys:
            self._keys |= getattr(self, f"_{key}")()
        self.names = [*self._keys, *_MEASURES]

    def sql(self) -> str:
        """Return the SELECT; its columns are called as they come."""
        question = self.question
        keys = [f"{expression} AS k{place}" for place, expression in enumerate(self._keys.values())]
        sums = [f"sum({value}) AS s_{name}" for name, value in self._measures().items()]
        aliases = ", ".join(f"k{place}" for place in range(len(keys)))
        grouped = f" GROUP BY {aliases}" if keys else ""
        having = " HAVING " + " OR ".join(f"s_{name} > 0" for name in _MEASURES)
        order = [f"s_{name} DESC" for name in (question.order, *_MEASURES)]
        limit = ""
        if question.limit is not None:
            limit = f" ORDER BY {', '.join(order)} LIMIT {question.limit}"
        table = SUMS if self.reads_sums else FLOWS
        selected = ", ".join([*keys, *sums])
        return f"SELECT {selected} FROM {table} WHERE {self.where()}{grouped}{having}{limit}"

    def _value(self, name: str) -> str:
        """Return a number of the flow log, the value for absent where there is none."""
        if self.reads_sums:
            return name
        return f"ifNull({self._table.named(name)}, {int(COLUMN[name].absent)})"

    def _plain(self, *names: str) -> dict[str, str]:
        return {name: self._value(name) for name in names}

    def _exporter(self) -> dict[str, str]:
        return self._plain(*_EXPORTER)

    def _protocol(self) -> dict[str, str]:
        return self._plain("protocol_identifier")

    def _source(self) -> dict[str, str]:
        return self._plain("source_address_hi", "source_address_lo")

    def _destination(self) -> dict[str, str]:
        return self._plain("destination_address_hi", "destination_address_lo")

    def _bin(self) -> dict[str, str]:
        second = "toUInt32(minute)" if self.reads_sums else f"intDiv({COLLECTION_TIME}, 1000)"
        return {"bin": f"intDiv({second} - {self.question.since}, {self.question.step})"}

    def _service(self) -> dict[str, str]:
        ends = ", ".join(self._value(name) for name in _PORTS)
        lower, upper = f"least({ends})", f"greatest({ends})"
        port = lower
        if self.question.named_ports:
            port = f"if({self._is_named(lower)} OR NOT {self._is_named(upper)}, {lower}, {upper})"
        return {**self._protocol(), "service_port": f"toUInt16({port})"}

    def _is_named(self, port: str) -> str:
        by_protocol: dict[int, list[int]] = {}
        for protocol, number in self.question.named_ports:
            by_protocol.setdefault(protocol, []).append(number)
        value = self._value("protocol_identifier")
        tests = [
            f"({value} = {protocol} AND {port} IN ({', '.join(map(str, sorted(ports)))}))"
            for protocol, ports in sorted(by_protocol.items())
        ]
        return f"({' OR '.join(tests)})"

    def _application(self) -> dict[str, str]:
        application = self._value("application_id")
        port, domain = map(self._value, ("exporter_transport_port", "observation_domain_id"))
        number = f"bitOr(bitShiftLeft(toUInt64({port}), 32), toUInt64({domain}))"
        return {
            **self._exporter(),
            **self._service(),
            "application_id": application,
            "session": f"if({application} = 0, toUInt64(0), {number})",
        }

    def _measures(self) -> Mapping[str, str]:
        if self.reads_sums:
            return {name: name for name in _MEASURES}
        counts = {"octets": "octet_delta_count", "packets": "packet_delta_count"}
        flows = f"least({self._value('delta_flow_count')}, toUInt64({LARGEST_COUNT}))"
        return {**{name: self._scaled(column) for name, column in counts.items()}, "flows": flows}

    def _scaled(self, column: str) -> str:
        told = f"toFloat64({self._value('sampling_rate')})"
        is_sane = f"{told} >= 1 AND {told} <= {LARGEST_RATE}"
        count = self._value(column)
        product = f"least(round(toFloat64({count}) * {told}), toFloat64({LARGEST_COUNT}))"
        plain = f"least(toUInt64({count}), toUInt64({LARGEST_COUNT}))"
        return f"if({is_sane} AND {told} != 1, toUInt64({product}), {plain})"

    def where(self) -> str:
        """Return the condition on rows."""
        question = self.question
        since, until = (min(moment, LAST_SECOND) for moment in (question.since, question.until))
        if self.reads_sums:
            parts = [f"minute >= toDateTime({since}) AND minute < toDateTime({until})"]
        else:
            range_ms = (since * 1000, until * 1000)
            parts = [self._table.where((), *range_ms, only_flows=True)]
        if question.exporter is not None:
            pairs = zip(_EXPORTER, question.exporter, strict=True)
            parts += [f"{name} = toUInt64({value})" for name, value in pairs]
        if question.direction is not None:
            negation = "" if question.direction is Direction.EGRESS else "NOT "
            parts.append(f"{negation}({self._is_egress()})")
        return " AND ".join(parts)

    def _is_egress(self) -> str:
        told = self._value("flow_direction")
        if not self.question.inside:
            return f"{told} = 1"
        source, destination = map(self._is_inside, ("source", "destination"))
        return f"{told} = 1 OR ({told} > 1 AND {source} AND NOT {destination})"

    def _is_inside(self, side: str) -> str:
        hi, lo = (f"toUInt64({self._value(f'{side}_address_{half}')})" for half in ("hi", "lo"))
        tests = [
            f"(bitAnd({hi}, toUInt64({hi_mask})) = toUInt64({high})"
            f" AND bitAnd({lo}, toUInt64({lo_mask})) = toUInt64({low}))"
            for hi_mask, high, lo_mask, low in self.question.inside
        ]
        return f"({' OR '.join(tests)})"
