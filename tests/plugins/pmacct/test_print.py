"""The plugin `print`: the same lines as real nfacctd, in files and on standard output."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.app import build_app
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.decoding.messages.block import block_of
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.plugin_manager import build_plugin_manager
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.tables import new_tables
from appliance.plugins.pmacct.tables.loader import PmacctLoader
from appliance.settings.file import SettingsFile
from tests.decoding.building import write_pcap
from tests.plugins.pmacct.test_network_primitives import datagrams
from tests.plugins.pmacct.world import PRIMITIVES, START, PmacctWorld
from tests.traffic.building import read_capture

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
CASES = ("v9_cisco-1941_release151", "v9_pynetflow_softflowd-stream", "made")
NO_TEXTS = (
    "src_mac, src_as, dst_as, peer_src_as, peer_dst_as, peer_src_ip, in_iface, out_iface,"
    " mpls_vpn_rd, mpls_pw_id, src_host, dst_host, src_net, src_mask, src_port, dst_port, tcpflags,"
    " proto, tos, sampling_rate, sampling_direction, post_nat_src_host, mpls_label_top,"
    " mpls_label_bottom, mpls_stack_depth, vxlan, cos, etype, class, tag, tag2, dst_roa,"
    " export_proto_seqno, export_proto_version, timestamp_export, dscp, appname, code, flows"
)
EVERYTHING = f"{NO_TEXTS}, label, as_path, std_comm, src_med"

nfacctd = pytest.mark.skipif(
    shutil.which("nfacctd") is None, reason="nfacctd is not installed: apt-get install pmacct"
)


class Printing:
    """A configuration with one plugin `print`, for nfacctd and for the appliance."""

    def __init__(self, folder: Path, text: str, capture: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.capture = folder, capture
        (folder / "p.lst").write_text(PRIMITIVES)
        (folder / "tags").write_text("set_tag=7 jeq=l\nset_label=gr\u00f6\u00dfe label=l\n")
        self.config = folder / "c.conf"
        read = f"pcap_savefile: {capture}\n" if capture is not None else ""
        self.config.write_text(
            f"{read}plugins: print[p]\naggregate_primitives: {folder}/p.lst\n"
            f"pre_tag_map: {folder}/tags\nprint_refresh_time: 600\n{text}\n"
        )
        self.loader: PmacctLoader | None = None

    def run_nfacctd(self) -> str:
        done = subprocess.run(
            ["nfacctd", "-f", str(self.config)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            env={**os.environ, "TZ": "UTC"},
        )
        return done.stdout

    def take(self) -> None:
        """Write the capture to the flow log."""
        assert self.capture is not None
        tree = {"data_directory": str(self.folder), "collector": {"config": str(self.config)}}
        app = build_app(
            build_plugin_manager(entry_points=()), SettingsFile(None, self.folder, tree)
        )
        writer = FlowLogWriter(
            self.folder / "flowlog", FlowLogLimits(), app.settings["collector.raw_elements"]
        )
        states = ExporterStates(ExporterLimits())
        pipeline = Pipeline(app.decoders, states, writer, app.enrichers)
        writer.start()
        sent = list(read_capture(self.capture))
        pipeline.take(block_of(sent), sent[-1].received_ms)
        writer.close()

    def purge(self) -> None:
        """Write what is new, as at the end of the process."""
        loader = PmacctLoader(read_effective(self.config), self.folder / "flowlog")
        loader.load_once(time.time())
        loader.finish(time.time())
        loader.close()

    @property
    def lines(self) -> list[str]:
        return (self.folder / "out").read_text(encoding="utf-8").splitlines()


def capture_of(case: str, folder: Path) -> Path:
    if case != "made":
        return CAPTURES / f"{case}.pcap"
    return write_pcap(folder / "made.pcap", [(0, payload) for payload in datagrams()])


def both(folder: Path, text: str, case: str) -> tuple[list[str], list[str]]:
    """Return what nfacctd and what the appliance wrote."""
    capture = capture_of(case, folder)
    theirs = Printing(
        folder / "theirs", text + f"\nprint_output_file: {folder}/theirs/out", capture
    )
    ours = Printing(folder / "ours", text + "\nprint_output_file: out", capture)
    theirs.run_nfacctd()
    ours.take()
    ours.purge()
    return theirs.lines, ours.lines


@nfacctd
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("output", "aggregate"),
    [
        ("csv", EVERYTHING),
        ("json", EVERYTHING),
        ("formatted", NO_TEXTS),
        ("event_csv", "src_host, proto, flows"),
        ("event_formatted", "src_host, sampling_direction, flows"),
        ("csv", "sum_host"),
    ],
)
def test_output_when_both_write_it_then_the_same_lines(tmp_path, case, output, aggregate):
    text = f"print_output: {output}\naggregate: {aggregate}"
    theirs, ours = both(tmp_path, text, case)
    if output != "json":
        assert ours[0] == theirs[0]
    assert ours
    assert sorted(ours) == sorted(theirs)


@nfacctd
def test_output_when_with_bins_and_markers_then_as_nfacctd_has_them(tmp_path):
    text = "aggregate: src_host, flows\nprint_history: 1m\nprint_history_roundoff: m"
    text += "\nprint_markers: true\nprint_output: {}"
    for output in ("json", "csv"):
        folder = tmp_path / output
        folder.mkdir()
        theirs, ours = both(folder, text.format(output), CASES[0])
        own = re.compile(r'\d+ *\)|/\d+|"stamp_updated": "[^"]*"|"duration": \d+')
        assert [own.sub("", line) for line in sorted(ours)] == [
            own.sub("", line) for line in sorted(theirs)
        ]


def test_separator_when_a_letter_or_a_tab_then_that_else_a_comma(tmp_path):
    for written, separator in ((";", ";"), ("\\t", "\t"), ("abc", ",")):
        folder = tmp_path / str(ord(separator))
        text = f"print_output: csv\nprint_output_separator: {written}\naggregate: src_host, tos"
        printing = Printing(
            folder, text + "\nprint_output_file: out", CAPTURES / f"{CASES[0]}.pcap"
        )
        printing.take()
        printing.purge()
        assert printing.lines[0] == separator.join(("SRC_IP", "TOS", "PACKETS", "BYTES"))


@pytest.mark.parametrize("append", [True, False])
def test_file_when_purged_again_then_appended_to_or_written_anew(tmp_path, append):
    text = f"print_output: csv\naggregate: proto\nprint_output_file_append: {str(append).lower()}"
    printing = Printing(
        tmp_path / "p", text + "\nprint_output_file: out", CAPTURES / f"{CASES[0]}.pcap"
    )
    printing.take()
    printing.purge()
    first = printing.lines
    printing.purge()
    assert printing.lines == first
    printing.take()
    printing.purge()
    assert printing.lines == (first + first[1:] if append else first)


def test_file_when_its_name_has_variables_then_one_a_bin_in_its_folder(tmp_path):
    text = "aggregate: src_host\nprint_history: 1m\nprint_history_roundoff: m\nprint_output: json"
    printing = Printing(
        tmp_path / "p",
        text + "\nprint_output_file: %Y/flows-%s.json",
        CAPTURES / "v9_pynetflow_softflowd-stream.pcap",
    )
    printing.take()
    printing.purge()
    found = sorted((tmp_path / "p").glob("20*/flows-*.json"))
    assert found
    for file in found:
        second = int(file.stem.removeprefix("flows-"))
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        assert {row["stamp_inserted"] for row in rows} == {stamp}


def test_files_when_flows_claim_any_time_then_so_many_a_minute_and_no_line_is_lost(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(new_tables, "NEW_TABLES_AT_ONCE", 3)
    world = PmacctWorld(tmp_path)
    world.configure(
        "print_output: csv\nprint_output_file: day-%Y%m%d\nprint_history: 1d\n"
        "print_history_roundoff: h\naggregate: src_host\n",
        plugins="print[p]",
    )
    starts = (START - 86400 * np.arange(10)) * 1000
    world.flows(10, flow_start_milliseconds=starts)
    world.purge()
    world.close()
    files = sorted(tmp_path.glob("day-*"))
    today = f"day-{time.strftime('%Y%m%d', time.localtime(START))}"
    assert [len(file.read_text().splitlines()) for file in files] == [2, 2, 1 + 8]
    assert files[-1].name == today
    assert [text.rpartition(" ")[2] for text in world.warnings] == [today]


def test_output_when_no_file_is_named_then_standard_output(tmp_path, capsys):
    printing = Printing(
        tmp_path / "p", "print_output: csv\naggregate: proto", CAPTURES / f"{CASES[0]}.pcap"
    )
    printing.take()
    printing.purge()
    assert capsys.readouterr().out.startswith("PROTOCOL,PACKETS,BYTES\n")


def test_file_when_it_cannot_be_written_then_nothing_is_lost(tmp_path):
    printing = Printing(
        tmp_path / "p",
        "print_output: csv\naggregate: proto\nprint_output_file: out",
        CAPTURES / f"{CASES[0]}.pcap",
    )
    printing.take()
    (tmp_path / "p" / "out").mkdir()
    with pytest.raises(Exception, match=r"plugin p: .*out: "):
        printing.purge()
    (tmp_path / "p" / "out").rmdir()
    printing.purge()
    assert printing.lines[0] == "PROTOCOL,PACKETS,BYTES"
    assert len(printing.lines) > 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print_output: nosuch", "Invalid print output value 'nosuch'"),
        ("print_output: avro", "will produce no output"),
        ("aggregate: label", "are not supported in print plugin with formatted output"),
        ("print_refresh_time: 0", "'print_refresh_time' has to be > 0."),
    ],
)
def test_output_when_it_cannot_be_then_nfacctds_words(tmp_path, text, said):
    printing = Printing(tmp_path / "p", text)
    assert any(said in m.text for m in read_effective(printing.config).messages)
