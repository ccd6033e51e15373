"""Real nfacctd and the appliance take the same flows, and give them the same tags and networks.

Each case is a plugin `print` of its own; one nfacctd runs a group of them on one capture.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.plugins.pmacct.both import fill_tables, run_nfacctd
from tests.plugins.pmacct.maps_capture import lengths_capture, maps_capture

ENDS = "src_host, dst_host, src_port, dst_port, proto"
AGGREGATE = f"tag, tag2, label, {ENDS}, tos, in_iface, out_iface, src_as, dst_as, flows"
FILES = {
    "tags.map": "set_tag=10 in=1 jeq=o\nset_tag=20 in=2 jeq=o\nset_tag2=7 out=1 label=o jeq=l\n"
    "set_label=red vlan=10 label=l\nset_label=blue vlan=100\n",
    "networks.lst": "! c\n64999,10.10.0.0/16\n65001,10.10.0.2/32\n65003,2001:db8::/32\n"
    "192.0.2.1,70001_65002,203.0.113.0/24\n192.168.5.0/24\n65005,0.0.0.0/1\n65006,10.20.3.9/16\n",
    "lengths.lst": "name=flowid4 field_type=148 len=4 semantics=u_int\n"
    "name=flowid8 field_type=148 len=8 semantics=u_int\n",
    "equal.lst": "name=a field_type=148 len=8 semantics=u_int\n"
    "name=b field_type=148 len=8 semantics=u_int\n",
    "raw.lst": "name=a field_type=148 len=8 semantics=raw\n"
    "name=b field_type=148 len=4 semantics=raw\n",
    "ports.lst": "! c\n443\nabc\n80\n",
    "sampling.map": "id=50 ip=192.0.2.10 in=1\nid=70 ip=192.0.2.0/24 out=2\n",
}
FILTERS = (
    *("dst port 25", "host 10.10.0.1", "ip6", "tcp", "icmp", "icmp6", "ip proto 47", "sctp"),
    *("port 443 or tcp dst port 80", "port 80 or 443", "port (80 or 443 or 25)", "port domain"),
    *("tcp[13] & 2 != 0", "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn", "ip[1] = 184"),
    *("ip multicast", "src net 10 and not (dst net 192.168 or dst net 203.0.113.0/24)"),
    *("portrange 50-500", "src portrange 443-80", "not host 10.10.0.1 and 10.10.0.2"),
    *("src or dst net 2001:db8:1::/48", "net 2001:db8::/32 and udp", "ip[12:4] <= 0x0A0A0001"),
    *("src and dst net 10.0.0.0/8", "tcp or udp and port 53", "not tcp and not udp"),
    *("tcp[2:2] > 400 and tcp[2:2] < 500", "port 80,port 443", "proto \\tcp", "1 = 2"),
)
TAG_FILTERS = ("10", "10-19", "-10", "10,20", "-10,-20", "10,-20", "-10,20", "0", "-10-20")
LINES = (
    *("filter='dst port 443'", "filter='port 443 and host 10.10.0.1' in=1", "filter=ip6"),
    *("src_net=10.10.0.0/16", "dst_net=-10.10.0.0/16", "src_net=2001:db8::/32", "in=1 out=2"),
    *("src_net=10.10.0.0/16 dst_net=10.10.0.0/16", "src_as=64999", "dst_as=-70000", "in=-1 out=2"),
    *("bgp_nexthop=10.0.0.253", "direction=1", "direction=-1", "vlan=10", "vlan=-10", "vlan=0"),
    *("engine_type=3", "engine_type=0", "engine_id=7", "source_id=0", "sample_type=flow-ipv6"),
    *("src_mac=00:11:22:33:44:55", "is_multicast=true", "is_multicast=false", "nat_event=1"),
    *("cvlan=10", "cvlan=-10", "cvlan=0", "mpls_pw_id=4711", "mpls_pw_id=-0", "is_bi_flow=true"),
    *("is_bi_flow=false", "is_bi_flow=-true", "set_tos=32 vlan=10", "set_tos=300", "set_tos=x"),
    *("set_tos=0 in=1 jeq=next\nset_tos=8 out=1 jeq=next\nset_tag=6", "sample_type=-flow-ipv6"),
    *("out=1 jeq=next\nset_tag=6 in=1 jeq=n\nset_tag=7 label=n stack=sum", "fwdstatus=64"),
)
PER_RUN = 24


def _groups() -> dict[str, tuple[str, list[str]]]:
    """Return lines for all plugins, and those of each plugin, by the name of a group."""
    tags = "pre_tag_map: tags.map"
    plain = f"aggregate: {AGGREGATE}"
    filters = [f"aggregate_filter[p]: {text}" for text in FILTERS]
    by_tag = [f"pre_tag_filter[p]: {text}" for text in TAG_FILTERS]
    by_tag += [f"pre_tag2_filter[p]: {text}" for text in ("7", "-7")]
    by_tag += [
        f"pre_tag_label_filter[p]: {text}" for text in ("red", "-null", "null", "-red,-blue")
    ]
    by_tag += ["pre_tag_filter[p]: 10\naggregate_filter[p]: port 25", "post_tag[p]: 7"]
    lines = [f"pre_tag_map[p]: line{n}.map" for n in range(len(LINES))]
    networks = [
        f"aggregate[p]: {ENDS}, {more}"
        for more in ("src_as, dst_as", "src_as, dst_as, src_net, dst_net", "src_mask, dst_net")
    ] + [
        "aggregate[p]: src_as, dst_as",
        "aggregate[p]: sum_as",
        f"aggregate[p]: {ENDS}, src_as, dst_as, src_net, dst_net, peer_src_as, peer_dst_as",
    ]
    groups = {
        "tags": (f"{plain}\n{tags}", by_tag),
        "ports": (plain, ["ports_file[p]: ports.lst"]),
        "rates": (f"{plain}, sampling_rate\nsampling_map: sampling.map", [""]),
        "rates multiplied": (
            f"{plain}, sampling_rate\nsampling_map: sampling.map\nnfacctd_renormalize: true",
            [""],
        ),
        "one rate": (f"{plain}\nnfacctd_ext_sampling_rate: 1000\nnfacctd_renormalize: true", [""]),
        "tags by file": (
            f"{plain}\nnfacctd_as: file\nnetworks_file: networks.lst",
            ["pre_tag_map[p]: as.map"],
        ),
    }
    for start in range(0, len(filters), PER_RUN):
        groups[f"filters {start}"] = (plain, filters[start : start + PER_RUN])
    for start in range(0, len(lines), PER_RUN):
        groups[f"maps {start}"] = (plain, lines[start : start + PER_RUN])
    for methods in (
        *("nfacctd_as: file", "nfacctd_as: longest", "nfacctd_net: file", "nfacctd_net: longest"),
        "nfacctd_as: fallback\nnfacctd_net: fallback",
        "nfacctd_as: longest\nnfacctd_net: longest\nnetworks_file_no_lpm: true",
    ):
        name = methods.replace("nfacctd_", "").replace("\n", ", ")
        groups[name] = (f"networks_file: networks.lst\n{methods}", networks)
    # What is filtered keeps its AS number in nfacctd where no network is in the aggregate.
    groups["others zeroed"] = (
        "networks_file: networks.lst\nnfacctd_as: longest\nnfacctd_net: longest\n"
        "networks_file_filter: true",
        networks[1:2],
    )
    groups["one mask"] = (
        "networks_file: networks.lst\nnfacctd_net: mask\nnfacctd_as: file\nnetworks_mask: 20",
        [
            f"aggregate[p]: {names}"
            for names in (
                *("src_net, src_mask, dst_net, dst_mask", "src_host, dst_mask, peer_dst_ip"),
                "src_mask, src_net, src_as, peer_src_as",
            )
        ],
    )
    groups["a mask that does nothing"] = ("networks_mask: 20", ["aggregate[p]: src_net, src_mask"])
    for method in ("netflow", "file", "longest"):
        groups[f"AS numbers of peers, {method}"] = (
            f"networks_file: networks.lst\nnfacctd_peer_as: true\nnfacctd_as: {method}",
            ["aggregate[p]: src_as, dst_as, peer_src_as, peer_dst_as", "aggregate[p]: src_as"],
        )
    groups["hosts kept"] = ("networks_no_mask_if_zero: true", [f"aggregate[p]: {ENDS}, src_net"])
    return groups


GROUPS = _groups()
PRIMITIVES = {
    f"aggregate_primitives: {name}.lst": names
    for name, names in (("lengths", "flowid4, flowid8"), ("equal", "a, b"), ("raw", "a, b"))
}


class MapsSide:
    """Where one of the two writes."""

    def __init__(self, folder: Path, capture: Path, group: str) -> None:
        folder.mkdir(parents=True)
        self.folder, self.capture, self.config = folder, capture, folder / "c.conf"
        names = PRIMITIVES.get(group, "")
        one = (group, [f"aggregate[p]: src_host, {names}"])
        common, self.cases = one if names else GROUPS[group]
        maps = {f"line{n}.map": f"set_tag=5 {line}\n" for n, line in enumerate(LINES)}
        for name, text in {**FILES, **maps, "as.map": "set_tag=5 src_as=65006\n"}.items():
            (folder / name).write_text(text)
        plugins = ", ".join(f"print[p{n}]" for n in range(len(self.cases)))
        text = f"daemonize: false\npcap_savefile: {capture}\nnfacctd_time_new: true\n"
        text += f"plugins: {plugins}\n{common}\nprint_output: csv\nprint_output_separator: ;\n"
        text += "print_refresh_time: 600\n"
        for n, lines in enumerate(self.cases):
            text += f"print_output_file[p{n}]: {folder}/out{n}.csv\n"
            text += lines.replace("[p]", f"[p{n}]") + "\n"
        self.config.write_text(text)

    def rows(self, n: int) -> list[str]:
        """Return the lines of a case; a file that was never made has none."""
        file = self.folder / f"out{n}.csv"
        return sorted(file.read_text().splitlines()[1:]) if file.exists() else []


@pytest.fixture(scope="module")
def capture(tmp_path_factory) -> Path:
    if shutil.which("nfacctd") is None:
        pytest.skip("nfacctd is not installed: apt-get install pmacct")
    return maps_capture(tmp_path_factory.mktemp("maps") / "maps.pcap")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("group", GROUPS)
def test_flows_when_filtered_tagged_and_resolved_by_both_then_the_same_rows(
    capture, tmp_path, group
):
    assert_same(tmp_path, capture, group)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("group", PRIMITIVES)
def test_primitives_when_of_one_element_then_the_occurrence_whose_length_fits(
    capture, tmp_path, group
):
    assert_same(tmp_path, lengths_capture(tmp_path / "lengths.pcap"), group)


def assert_same(folder: Path, capture: Path, group: str) -> None:
    theirs, ours = (MapsSide(folder / who, capture, group) for who in ("nfacctd", "appliance"))
    run_nfacctd(theirs.config)
    fill_tables(ours.folder, ours.config, capture)
    different = [
        (lines, set(theirs.rows(n)) ^ set(ours.rows(n)))
        for n, lines in enumerate(ours.cases)
        if theirs.rows(n) != ours.rows(n)
    ]
    assert different == []
    assert any(theirs.rows(n) for n in range(len(theirs.cases)))
