"""`appliance import`: a capture's flows are in the log, at the times of the capture."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.collector.saved_state import save_templates
from appliance.flowlog import FlowSearch
from appliance.flowlog.questions import FlowQuestion
from appliance.plugins.pmacct.engine.templates_file import TemplatesFile
from tests.asking import totals
from tests.decoding.building import BASIC, V9, a_set, basic, decode, template, write_pcap

CAPTURES = Path(__file__).parents[1] / "data" / "captures"


@pytest.fixture
def conf_path(tmp_path: Path) -> str:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "appliance.yml").write_text("data_directory: ../data\n")
    return f"{folder}/"


def test_import_when_given_a_capture_then_flows_have_its_times(
    conf_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = str(CAPTURES / "v5_juniper_mx80.pcap")
    assert run_command_line(group, ["-confPath", conf_path, "import", capture]) == 0
    assert "29 records" in capsys.readouterr().out
    search = FlowSearch(tmp_path / "data" / "flowlog")
    # The exporter tells that it looks at one packet of a thousand.
    sums = totals(search)
    assert (sums.flows, sums.packets % 1000) == (29, 0)
    captured_ms = 1_469_109_172_001
    question = FlowQuestion(since_ms=captured_ms - 60_000, until_ms=captured_ms + 60_000)
    assert search.flows(question).num_rows == 29
    assert search.flows(FlowQuestion(since_ms=captured_ms + 60_000)).num_rows == 0


def test_import_when_repeated_then_adds_to_the_log(conf_path: str, tmp_path: Path) -> None:
    captures = [str(CAPTURES / f"{name}.pcap") for name in ("v5_juniper_mx80", "v9_akvorado_icmp")]
    captures = [capture for capture in captures if Path(capture).exists()]
    for capture in captures * 2:
        assert run_command_line(group, ["-confPath", conf_path, "import", capture]) == 0
    assert totals(FlowSearch(tmp_path / "data" / "flowlog")).flows == 2 * 29


@pytest.mark.parametrize("known", [True, False])
def test_import_when_the_capture_lacks_a_template_then_it_is_taken_from_the_templates_file(
    conf_path: str, tmp_path: Path, known: bool
) -> None:
    told = V9.message(V9.templates(template(300 if known else 301, *BASIC)))
    save_templates(decode(told).states, TemplatesFile(tmp_path / "templates"))
    with (tmp_path / "conf" / "appliance.yml").open("a") as file:
        file.write("collector:\n  templates_file: ../templates\n")
    write_pcap(tmp_path / "data.pcap", [(0, V9.message(a_set(300, basic("10.9.9.9"))))])
    command = ["-confPath", conf_path, "import", str(tmp_path / "data.pcap")]
    assert run_command_line(group, command) == 0
    assert totals(FlowSearch(tmp_path / "data" / "flowlog")).flows == int(known)


@pytest.mark.parametrize("content", [None, b"", b"no capture at all"])
def test_import_when_file_is_unreadable_then_one_sentence(
    conf_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    file = tmp_path / "broken.pcap"
    if content is not None:
        file.write_bytes(content)
    assert run_command_line(group, ["-confPath", conf_path, "import", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "broken.pcap" in error
