"""The same flows in a flow log and in ClickHouse, asked alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from appliance.contracts import QuerySource
from appliance.flowlog import FLOW_LOG_FOLDER, FlowSearch
from appliance.flowlog.limits import QueryLimits
from appliance.flows import V4_MAPPED
from appliance.plugins.clickhouse.schema import Layout
from appliance.plugins.clickhouse.source import ClickHouseSource
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from appliance.query.source_search import SourceSearch
from tests.plugins.clickhouse.world import START, LogOfFlows, Place, load_all

N_FLOWS = 600
HOUR = 3600
SINCE_MS, UNTIL_MS = START * 1000, (START + 2 * HOUR) * 1000
LIMITS = QueryLimits(seconds=30)


def write_flows(log: LogOfFlows, n: int = N_FLOWS, **columns: Any) -> None:
    """Write flows of many kinds, of which some lack what others have, over two hours.

    Parameters
    ----------
    columns
        What a quarter of the flows has in place of what chance says.
    """
    for second in (START, START + 290, START + HOUR - 20, START + HOUR + 900):
        made = _columns(log.random, n // 4, second * 1000)
        log.write(n // 4, second, **(made | columns))


def _columns(random: np.random.Generator, n: int, start_ms: int) -> dict[str, Any]:
    draw = random.integers

    def v4(high: int) -> Any:
        return draw(0, high, n).astype(np.uint64) | np.uint64(V4_MAPPED | 0x0A000000)

    is_v6 = draw(0, 5, n) == 0
    prefix = np.uint64(0x20010DB8_00000000)
    source = np.where(is_v6, draw(1, 5, n).astype(np.uint64), v4(20))
    destination = np.where(is_v6, draw(1, 5, n).astype(np.uint64), v4(600))
    high = np.where(is_v6, prefix, np.uint64(0))
    started = start_ms - draw(0, 400_000, n)
    started[draw(0, 9, n) == 0] = 0
    return {
        "source_address_hi": high,
        "source_address_lo": np.where(draw(0, 30, n) == 0, np.uint64(0), source),
        "destination_address_hi": high,
        "destination_address_lo": destination,
        "source_transport_port": draw(0, 6, n).astype(np.uint16) * np.uint16(200),
        "destination_transport_port": draw(0, 6, n).astype(np.uint16) * np.uint16(200),
        "octet_delta_count": draw(0, 1 << 20, n).astype(np.uint64),
        "packet_delta_count": draw(0, 900, n).astype(np.uint64),
        "delta_flow_count": draw(1, 4, n).astype(np.uint64),
        "ingress_interface": draw(0, 4, n).astype(np.uint32),
        "egress_interface": draw(0, 4, n).astype(np.uint32),
        "flow_direction": draw(0, 3, n).astype(np.uint8),
        "tcp_control_bits": draw(0, 64, n).astype(np.uint16),
        "ip_class_of_service": draw(0, 5, n).astype(np.uint8) * np.uint8(40),
        "flow_start_milliseconds": started,
        "flow_end_milliseconds": started + draw(0, 300_000, n),
        "bgp_source_as_number": draw(0, 3, n).astype(np.uint32) * np.uint32(64500),
        "bgp_destination_as_number": draw(0, 3, n).astype(np.uint32) * np.uint32(64500),
        "application_id": draw(0, 3, n).astype(np.uint64) << np.uint64(57),
    }


def local_engine(folder: Path) -> QueryEngine:
    """Return what asks the flow log."""
    return QueryEngine(FlowSearch(folder / FLOW_LOG_FOLDER, LIMITS))


def source_of(place: Place) -> QuerySource:
    """Return what asks ClickHouse."""
    servers = [place.server(number) for number in range(len(place.addresses))]
    return ClickHouseSource(servers, Layout(place.database, place.cluster))


def source_engine(place: Place, folder: Path, limits: QueryLimits = LIMITS) -> QueryEngine:
    """Return what asks ClickHouse, with the flow log beside it."""
    return QueryEngine(SourceSearch(source_of(place), folder / FLOW_LOG_FOLDER, limits))


def fill(place: Place, folder: Path) -> None:
    """Write the flow log of a folder into ClickHouse."""
    assert load_all(place.loader(folder)) > 0
    place.wait_for_replicas()


def question(*dimensions: str, where: str = "", **rest: Any) -> Question:
    """Return a question about the two hours."""
    fields = {"since_ms": SINCE_MS, "until_ms": UNTIL_MS, "limit": 1000, **rest}
    return Question(dimensions, conditions=parse_conditions([where]), **fields)


def top_answer(engine: QueryEngine, asked: Question) -> dict[str, Any]:
    """Return all that a top list says, sums of floating point rounded."""
    answer = engine.top(asked)
    return {
        "rows": [_rounded(row) for row in answer.rows.to_pylist()],
        "other": answer.other and _rounded(answer.other),
        "total": _rounded(answer.total),
    }


def _rounded(row: Any) -> dict[str, Any]:
    return {
        name: float(f"{value:.9g}") if isinstance(value, float) else value
        for name, value in row.items()
    }
