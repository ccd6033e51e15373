"""nfacctd's file of templates: the appliance and real nfacctd read what the other one wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.saved_state import load_templates, save_templates
from appliance.contracts import SavedTemplate
from appliance.decoding.templates.template import FieldSpecifier, Template
from appliance.plugins.pmacct.engine.templates_file import (
    TemplatesFile,
    read_templates,
    write_templates,
)
from tests.decoding.building import (
    BASIC,
    EXPORTER,
    IPFIX,
    RECEIVED_MS,
    V9,
    VARIABLE,
    a_set,
    basic,
    decode,
    number,
    template,
    write_pcap,
)
from tests.traffic.building import read_capture

CAPTURES = Path(__file__).parents[3] / "data" / "captures"
CASES = (
    "ipfix_barracuda_extended-uniflow",
    "ipfix_calmh_procera",
    "ipfix_constructed_variable-length",
    "v9_cisco-1941_release151",
    "v9_fortigate_fortios521",
    "v9_nprobe_dpi-l7",
)

nfacctd = pytest.mark.skipif(
    shutil.which("nfacctd") is None, reason="nfacctd is not installed: apt-get install pmacct"
)


def run_nfacctd(folder: Path, capture: Path, file: Path) -> str:
    """Let nfacctd read a capture; return what its print plugin wrote."""
    output = folder / "printed"
    config = folder / "nfacctd.conf"
    config.write_text(
        f"pcap_savefile: {capture}\nnfacctd_templates_file: {file}\nplugins: print[p]\n"
        f"aggregate[p]: src_host\nprint_output[p]: json\nprint_output_file[p]: {output}\n"
    )
    subprocess.run(
        ["nfacctd", "-f", str(config)],
        check=False,
        capture_output=True,
        timeout=60,
        env={**os.environ, "TZ": "UTC"},
    )
    return output.read_text() if output.exists() else ""


def data_templates(file: Path) -> list[dict]:
    """Return the lines of data templates, without what only the appliance writes."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    found = [{k: v for k, v in line.items() if k != "version"} for line in lines]
    found = [line for line in found if line["template_type"] == 0]
    return sorted(found, key=lambda line: (line["agent"], line["source_id"], line["template_id"]))


@nfacctd
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_data_templates_when_both_write_them_then_the_same_lines(tmp_path, case):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    capture = CAPTURES / f"{case}.pcap"
    run_nfacctd(tmp_path, capture, theirs)
    save_templates(decode(*read_capture(capture), one_by_one=True).states, TemplatesFile(ours))
    assert data_templates(ours) == data_templates(theirs)


@nfacctd
def test_records_when_nfacctd_knows_templates_from_us_only_then_it_counts_them(tmp_path):
    told = V9.templates(template(300, *BASIC, (4000, 4), (56701, 2)))
    told_too = V9.options_templates(V9.options(301, [(1, 4)], [(34, 4), (40000, 2)]))
    states = decode(V9.message(told, told_too, domain=7)).states
    save_templates(states, TemplatesFile(tmp_path / "templates"))
    capture = tmp_path / "data.pcap"
    record = basic("10.9.9.9", octets=4321) + bytes(6)
    write_pcap(capture, [(0, V9.message(a_set(300, record), domain=7))])
    printed = run_nfacctd(tmp_path, capture, tmp_path / "templates")
    assert json.loads(printed)["ip_src"] == "10.9.9.9"
    assert json.loads(printed)["bytes"] == 4321


@nfacctd
@pytest.mark.parametrize("protocol", [V9, IPFIX], ids=repr)
def test_records_when_templates_are_known_from_nfacctd_only_then_decoded(tmp_path, protocol):
    capture, file = tmp_path / "told.pcap", tmp_path / "templates"
    write_pcap(capture, [(0, protocol.message(protocol.templates(template(300, *BASIC))))])
    run_nfacctd(tmp_path, capture, file)
    states = ExporterStates(ExporterLimits())
    # The address that captures of `write_pcap` come from is the one that datagrams have here.
    assert load_templates(states, TemplatesFile(file), RECEIVED_MS) == 0
    found = decode(protocol.message(a_set(300, basic("10.9.9.9"))), states=states)
    assert found.column("source_address") == ["10.9.9.9"]


def test_templates_when_the_collector_knows_newer_ones_then_those_stay(tmp_path):
    old, new = template(300, (8, 4), (1, 4)), template(300, *BASIC)
    save_templates(decode(V9.message(V9.templates(old))).states, TemplatesFile(tmp_path / "file"))
    states = decode(V9.message(V9.templates(new))).states
    load_templates(states, TemplatesFile(tmp_path / "file"), RECEIVED_MS)
    found = decode(V9.message(a_set(300, basic("10.9.9.9"))), states=states)
    assert found.column("source_address") == ["10.9.9.9"]


def test_templates_when_loaded_then_no_exporter_has_appeared(tmp_path):
    save_templates(
        decode(V9.message(V9.templates(template(300, *BASIC)))).states,
        TemplatesFile(tmp_path / "f"),
    )
    states = ExporterStates(ExporterLimits())
    load_templates(states, TemplatesFile(tmp_path / "f"), RECEIVED_MS)
    assert not states.appeared
    assert len(states.exporters) == 1


def test_template_when_it_has_no_room_in_nfacctd_then_not_written(tmp_path):
    # nfacctd writes beyond its tables when a file has more.
    for fields in ([(1000 + 8 * n, 1) for n in range(33)], [(8, 1)] * 256):
        known = Template(300, tuple(FieldSpecifier(*field) for field in fields))
        write_templates(tmp_path / "f", [SavedTemplate(EXPORTER, 0, 9, known)])
        assert (tmp_path / "f").read_text() == ""


_FIELDS = st.lists(
    st.builds(
        FieldSpecifier,
        st.integers(1, 0x7FFF),
        st.integers(1, 40) | st.just(VARIABLE),
        st.sampled_from([0, 9, 29305]),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=_FIELDS, is_options=st.booleans(), scopes=st.integers(0, 30))
def test_template_when_written_and_read_then_the_same(tmp_path, fields, is_options, scopes):
    scope_count = min(scopes, len(fields)) if is_options else 0
    saved = SavedTemplate(
        "2001:db8::1", 2**32 - 1, 10, Template(300, tuple(fields), scope_count, is_options)
    )
    write_templates(tmp_path / "file", [saved])
    found, unusable = read_templates(tmp_path / "file")
    assert unusable == 0
    buckets = [field.element % 8 for field in fields]
    if is_options or all(buckets.count(bucket) <= 32 for bucket in buckets):
        assert found == [saved]


_LINE = {
    "agent": EXPORTER, "source_id": 0, "template_id": 11265, "template_type": 0, "num": 1,
    "len": 4, "vlen": 0,
    "list": [{"type": 0, "otpl": {"off": 0, "len": 4, "tpl_len": 4, "tpl_index": 8}}],
}  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from([*_LINE, "version", "fields", "scope_count"]), value=_JSON)
@example("list", [{"type": 1, "utpl": {"type": 2**40, "tpl_len": 4, "pen": 0}}])
@example("template_id", 1)
@example("version", 5)
def test_file_when_a_line_holds_anything_then_the_others_are_read(tmp_path, key, value):
    file = tmp_path / "file"
    file.write_text(f"{json.dumps(_LINE | {key: value})}\n{json.dumps(_LINE)}\n")
    found, unusable = read_templates(file)
    assert (EXPORTER, 0, 9) in {saved[:3] for saved in found}
    assert unusable <= 1


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(octets=st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'\xff\n1e999\n"')
def test_file_when_it_holds_any_octets_then_it_is_survived(tmp_path, octets):
    (tmp_path / "file").write_bytes(octets)
    states = ExporterStates(ExporterLimits())
    assert load_templates(states, TemplatesFile(tmp_path / "file"), RECEIVED_MS) <= len(
        octets.splitlines()
    )
    assert not states.exporters


@pytest.mark.parametrize("own", [True, False])
def test_element_when_it_is_there_twice_then_only_our_line_tells_the_template(tmp_path, own):
    known = Template(300, (FieldSpecifier(8, 4), FieldSpecifier(210, 2), FieldSpecifier(210, 5)))
    saved = SavedTemplate(EXPORTER, 0, 9, known)
    write_templates(tmp_path / "file", [saved])
    if not own:
        line = json.loads((tmp_path / "file").read_text())
        del line["version"]
        (tmp_path / "file").write_text(json.dumps(line))
    assert read_templates(tmp_path / "file") == ([saved] if own else [], 0)


def test_length_when_no_octet_is_left_of_a_field_then_unusable(tmp_path):
    line = _LINE | {"list": [{"type": 0, "otpl": {"tpl_len": 0, "tpl_index": 8}}]}
    (tmp_path / "file").write_text(json.dumps(line))
    assert read_templates(tmp_path / "file") == ([], 1)


def test_number_when_written_then_in_the_order_that_nfacctd_leaves_it(tmp_path):
    known = Template(300, (FieldSpecifier(8, 4),))
    write_templates(tmp_path / "file", [SavedTemplate(EXPORTER, 0, 9, known)])
    line = json.loads((tmp_path / "file").read_text())
    assert line["template_id"].to_bytes(2, "little") == number(300, 2)
