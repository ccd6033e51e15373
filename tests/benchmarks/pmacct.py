"""Rows a second into a table of pmacct, next to nfacctd: same flows, same server, same disk.

Of nfacctd only its purge is timed, from its log, with the best of several `sql_multi_values`; of
the appliance everything from the sealed flow log to the commit: reading, summing up and writing.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.flowlog import FlowLogLimits, FlowLogWriter, Maintainer
from appliance.flows import COLUMN, FlowBatch, address_halves
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.tables.destination import Destination
from appliance.plugins.pmacct.tables.loader import PmacctLoader
from appliance.plugins.pmacct.tables.plan import table_plans
from tests.sql.mariadb import MariaDb

GOALS = {"sqlite3": 4.0, "mysql": 2.0}
MULTI_VALUES = (0, 65_536, 1_000_000, 8_000_000)
RUNS = 3
DATAGRAM_FLOWS = 30
EPOCH = 1_800_000_000

CONFIG = """\
daemonize: false
plugins: {kind}[p]
aggregate: src_host, dst_host, src_port, dst_port, proto, tos
sql_optimize_clauses: true
sql_table_version: 9
sql_table: acct_v9
sql_dont_try_update: true
sql_history: 1h
sql_history_roundoff: h
sql_refresh_time: 3600
{where}"""
ONLY_NFACCTD = (
    "pcap_savefile: {pcap}\nsql_multi_values: {multi_values}\nsql_cache_entries: 999983\n"
)
SCHEMA = """\
CREATE TABLE acct_v9 (ip_src CHAR(45) NOT NULL, ip_dst CHAR(45) NOT NULL, port_src INT NOT NULL,
port_dst INT NOT NULL, ip_proto CHAR(6) NOT NULL, tos INT NOT NULL, packets INT NOT NULL,
bytes BIGINT NOT NULL, stamp_inserted DATETIME NOT NULL, stamp_updated DATETIME)"""

_V5_HEADER = struct.Struct(">HHIIIIBBH")
_V5_RECORD = np.dtype(
    [
        *(("source", ">u4"), ("destination", ">u4"), ("next_hop", ">u4"), ("interfaces", ">u4")),
        *(("packets", ">u4"), ("octets", ">u4"), ("first", ">u4"), ("last", ">u4")),
        *(("source_port", ">u2"), ("destination_port", ">u2"), ("pad", "u1"), ("flags", "u1")),
        *(("protocol", "u1"), ("tos", "u1"), ("rest", ">u8")),
    ]
)


def pmacct(folder: Path, rows: int) -> dict[str, Any]:
    """Fill SQLite and MariaDB with both, each from an empty table; return rows a second."""
    folder.mkdir(parents=True)
    records = flows(rows)
    write_capture(folder / "flows.pcap", records)
    write_log(folder / "flowlog", records)
    report: dict[str, Any] = {"rows": rows}
    report["sqlite3"] = _compared(folder, "sqlite3", None)
    if shutil.which("mariadbd") is not None:
        server = MariaDb(folder / "mariadb")
        (folder / "mariadb").mkdir()
        folder.parent.chmod(0o755)
        folder.chmod(0o755)
        server.install()
        server.start()
        try:
            server.run(
                "CREATE USER 'appliance'@'127.0.0.1' IDENTIFIED BY 'sec@ret'",
                "GRANT ALL ON *.* TO 'appliance'@'127.0.0.1'",
            )
            report["mysql"] = _compared(folder, "mysql", server)
        finally:
            server.stop()
    return report


def flows(n: int) -> Any:
    """Make v5 records with one 5-tuple each."""
    random = np.random.default_rng(5)
    records = np.zeros(n, _V5_RECORD)
    records["source"] = 0x0A000000 + random.integers(0, 50_000, n)
    records["destination"] = 0xC6336400 + random.integers(0, 250, n)
    # Source port and a counter in the network make each unique.
    records["source_port"] = 1024 + np.arange(n) % 60_000
    records["destination"] += (np.arange(n) // 60_000 << 8).astype(np.uint32)
    records["destination_port"] = random.choice([443, 80, 53, 22], n)
    records["packets"], records["octets"] = random.integers(1, 100, n), random.integers(40, 9000, n)
    records["first"] = records["last"] = 1000
    records["protocol"] = random.choice([6, 17], n)
    return records


def write_capture(path: Path, records: Any) -> None:
    """Write the records as NetFlow v5 over UDP over Ethernet."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for first in range(0, len(records), DATAGRAM_FLOWS):
            some = records[first : first + DATAGRAM_FLOWS]
            header = _V5_HEADER.pack(5, len(some), 1000, EPOCH, 0, first, 0, 0, 0)
            payload = header + some.tobytes()
            udp = struct.pack(">HHHH", 40000, 2055, 8 + len(payload), 0) + payload
            ip = struct.pack(
                *(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0),
                *(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))),
            )
            frame = bytes(12) + b"\x08\x00" + ip + udp
            file.write(struct.pack("<IIII", EPOCH, 0, len(frame), len(frame)) + frame)


def write_log(folder: Path, records: Any) -> None:
    """Write the same records to a flow log, and seal it."""
    writer = FlowLogWriter(folder, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    v4 = address_halves("0.0.0.0")[1]
    for first in range(0, len(records), 1 << 16):
        some = records[first : first + (1 << 16)]
        given = {
            "collection_time_milliseconds": EPOCH * 1000,
            "flow_start_milliseconds": EPOCH * 1000,
            "exporter_address_lo": address_halves("192.0.2.1")[1],
            "export_protocol_version": 5,
            "source_address_lo": v4 + some["source"].astype(np.uint64),
            "destination_address_lo": v4 + some["destination"].astype(np.uint64),
            "source_transport_port": some["source_port"],
            "destination_transport_port": some["destination_port"],
            "protocol_identifier": some["protocol"],
            "packet_delta_count": some["packets"],
            "octet_delta_count": some["octets"],
        }
        columns = {
            name: np.broadcast_to(np.asarray(value).astype(COLUMN[name].dtype), (len(some),))
            for name, value in given.items()
        }
        writer.append(FlowBatch(len(some), columns))
        writer.flush({}, EPOCH * 1000)
    writer.close(EPOCH * 1000)
    Maintainer(folder, FlowLogLimits(retention_seconds=0)).run_once(EPOCH * 1000)


def _compared(folder: Path, kind: str, server: MariaDb | None) -> dict[str, Any]:
    if shutil.which("nfacctd") is None:
        ours = max(_ours(folder, kind, server) for _ in range(RUNS))
        return {"appliance": ours, "goal": GOALS[kind]}
    each = {size: _nfacctd(folder, kind, server, size) for size in MULTI_VALUES}
    best = max(each, key=lambda size: each[size])
    # In turns, so that other work on the machine is in either's way; the best run of each counts.
    ours, theirs = 0.0, each[best]
    for _ in range(RUNS):
        ours = max(ours, _ours(folder, kind, server))
        theirs = max(theirs, _nfacctd(folder, kind, server, best))
    return {
        "appliance": ours,
        "goal": GOALS[kind],
        "nfacctd": theirs,
        "sql_multi_values": best,
        "ratio": ours / theirs,
        "nfacctd_each": {str(size): rate for size, rate in each.items()},
    }


def _configured(folder: Path, kind: str, server: MariaDb | None, more: str = "") -> Path:
    """Make an empty table, and the configuration that fills it."""
    place = folder / "table.db"
    if server is None:
        for ending in ("", "-wal", "-shm"):
            Path(f"{place}{ending}").unlink(missing_ok=True)
        connection = sqlite3.connect(place)
        connection.execute(SCHEMA)
        connection.close()
        where = f"sql_db: {place}\n"
    else:
        name = server.new_database().split("/")[-1]
        server.run(f"USE {name}", SCHEMA)
        where = f"sql_db: {name}\nsql_host: 127.0.0.1\nsql_port: {server.port}\n"
        where += "sql_user: appliance\nsql_passwd: sec@ret\n"
    path = folder / "c.conf"
    path.write_text(CONFIG.format(kind=kind, where=where) + more)
    return path


def _ours(folder: Path, kind: str, server: MariaDb | None) -> float:
    loader = PmacctLoader(read_effective(_configured(folder, kind, server)), folder / "flowlog")
    began = time.perf_counter()
    while loader.load_once(EPOCH).busy:
        pass
    loader.finish(EPOCH)
    took = time.perf_counter() - began
    loader.close()
    return _rows_of(folder / "c.conf") / took


def _nfacctd(folder: Path, kind: str, server: MariaDb | None, multi_values: int) -> float:
    more = ONLY_NFACCTD.format(pcap=folder / "flows.pcap", multi_values=multi_values)
    config = _configured(folder, kind, server, more)
    process = subprocess.Popen(
        ["nfacctd", "-f", str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seconds, began = 0.0, 0.0
    assert process.stdout is not None
    for line in process.stdout:
        if "Purging cache - START" in line:
            began = time.perf_counter()
        elif "Purging cache - END" in line:
            seconds += time.perf_counter() - began
    process.wait()
    rows = _rows_of(config)
    return rows / seconds if seconds else 0.0


def _rows_of(config: Path) -> int:
    plans, _ = table_plans(read_effective(config))
    destination = Destination(plans[0].place)
    with destination.transaction():
        rows = int(destination.rows("SELECT count(*) FROM acct_v9")[0][0])
    destination.close()
    return rows
