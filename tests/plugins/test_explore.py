"""`/api/v1/explore`: what the query engine answers, over the web."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from appliance.errors import QueryError, StorageError
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import COLUMN, V4_MAPPED, FlowBatch
from appliance.plugins.explore import caller_turns
from appliance.query.engine import QueryEngine
from appliance.query.jobs import STATES
from appliance.query.turns import QueryTurns
from appliance.traffic.captures import CaptureReader
from tests.decoding.building import decode
from tests.query.reference import Flow, batch_of
from tests.web.building import NOW, Client, settings_of, web_of

BASE = "/api/v1/explore"
NOW_MS = int(NOW) * 1000


@pytest.fixture
def flows(settings: Any) -> Path:
    """A flow log: for half an hour 10.0.0.n sends n x 600 octets a minute, n from 1 to 4."""
    log: Path = settings["data_directory"] / "flowlog"
    writer = FlowLogWriter(log, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    start = NOW_MS // 60_000 * 60_000 - 30 * 60_000
    for minute in range(30):
        at = start + minute * 60_000
        batch = batch_of(
            [Flow(n, 9, 40000, 443, n * 600, at, at + 1000, at + 1000) for n in range(1, 5)]
        )
        batch.columns["application_id"] = np.full(4, 13 << 56 | 80, "u8")
        batch.columns["ingress_interface"] = np.full(4, 7, "u4")
        writer.append(batch)
    writer.append(option_names())
    writer.flush({}, NOW_MS)
    writer.close(NOW_MS)
    return log


def option_names() -> FlowBatch:
    """Return what 192.0.2.1 says of application 13:80 and interface 7."""
    values = {
        "exporter_address_lo": V4_MAPPED | 0xC0000201,
        "application_id": [13 << 56 | 80, 0],
        "application_name": ["web", ""],
        "ingress_interface": [0, 7],
        "interface_name": ["", "Gi0/7"],
        "interface_description": ["", "to the = world"],
        "collection_time_milliseconds": NOW_MS - 3_600_000,
    }
    columns = {name: np.full(2, value, COLUMN[name].dtype) for name, value in values.items()}
    return FlowBatch(2, {"exporter_address_hi": np.zeros(2, "u8"), **columns}, options=True)


def test_top_when_asked_then_rows_rest_total_and_where_they_come_from(
    client: Any, flows: Path
) -> None:
    reply = client.get(f"{BASE}/top?by=source&limit=2&other=true&last=1h")
    answer = reply.json
    assert answer["rows"] == [
        {"source_address": "10.0.0.4", "octets": 72_000, "packets": 30, "flows": 30},
        {"source_address": "10.0.0.3", "octets": 54_000, "packets": 30, "flows": 30},
    ]
    assert (answer["other"]["octets"], answer["total"]["octets"]) == (54_000, 180_000)
    assert (answer["method"], answer["rows_scanned"], answer["left_out"]) == ("exact", 120, [])
    assert answer["until"] == "2021-06-15T11:46:17Z"


@pytest.mark.parametrize("path", ["top?by=source", "series?step=10m"])
def test_answers_when_deduplicated_then_name_the_rule(client: Any, flows: Path, path: str) -> None:
    separator = "&" if "?" in path else "?"
    plain = client.get(f"{BASE}/{path}{separator}last=1h").json
    once = client.get(f"{BASE}/{path}{separator}last=1h&dedupe=ingress").json
    assert plain["dedupe"] is None
    assert once["dedupe"]["rule"] == "ingress"
    assert "going out are left out" in once["dedupe"]["text"]
    reply = client.get(f"{BASE}/{path}{separator}last=1h&dedupe=farthest")
    assert reply.status == 400
    assert "expected nearest or ingress" in reply.json["message"]


def test_top_when_filtered_and_by_several_then_only_those(client: Any, flows: Path) -> None:
    answer = client.get(
        f"{BASE}/top?by=source/31,destination_port&filter=source%3D10.0.0.2/31%20and%20port%3D443"
        "&measures=sources&order=sources"
    ).json
    (row,) = answer["rows"]
    assert (row["source_prefix"], row["destination_transport_port"]) == ("10.0.0.2/31", 443)
    assert (row["octets"], row["sources"]) == (5 * 600 * 30, 2)


def test_series_when_asked_then_bins_statistics_and_the_rest(client: Any, flows: Path) -> None:
    answer = client.get(f"{BASE}/series?by=source&limit=1&step=10m&last=30m").json
    best, rest = answer["rows"]
    assert (best["keys"], best["is_other"]) == ({"source_address": "10.0.0.4"}, False)
    assert (rest["keys"], rest["is_other"]) == ({}, True)
    assert len(best["values"]) == len(answer["starts"]) == 4
    assert best["statistics"]["sum"] == 72_000
    assert best["statistics"]["maximum"] == pytest.approx(24_000 / 600)
    assert best["errors"] == [0, 0, 0, 0]
    assert answer["step_seconds"] == 600
    assert answer["complete_until"] == "2021-06-15T11:46:01.500000Z"


def test_series_when_no_step_is_given_then_one_that_fits(client: Any, flows: Path) -> None:
    for last, step in (("2m", 1), ("1h", 30), ("1d", 600), ("30d", 21_600), ("5y", 864_000)):
        answer = client.get(f"{BASE}/series?last={last}").json
        assert answer["step_seconds"] == step


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("top?by=nonsense", "Cannot group by 'nonsense'"),
        ("top?by=a,b,c,d", "At most 3 dimensions"),
        ("top?order=noise", "Cannot order by 'noise'"),
        ("top?filter=what", "column 5: expected a value"),
        ("top?limit=0", "limit"),
        ("top?grop=source", "grop: unknown parameter"),
        ("series?orders=flows", "did you mean order?"),
        ("flows?by=source", "by: unknown parameter"),
        ("export?bogus=3", "bogus: unknown parameter"),
        ("top?last=0h", "last"),
        ("top?exact=perhaps", "exact"),
        ("series?step=1M", "step: expected"),
        ("series?step=1s&last=1d", "choose another step"),
        ("series?order=sources", "Cannot order by 'sources'"),
        ("series?measures=sources", "measures: unknown parameter"),
    ],
)
def test_question_when_wrong_then_400_with_one_sentence(
    client: Any, flows: Path, path: str, said: str
) -> None:
    reply = client.get(f"{BASE}/{path}")
    assert reply.status == 400
    assert said.lower() in reply.json["message"].lower()


def test_explore_when_there_is_no_flow_log_yet_then_no_flows(client: Any) -> None:
    answer = client.get(f"{BASE}/top?by=source").json
    assert (answer["rows"], answer["total"]["octets"]) == ([], 0)
    assert client.get(f"{BASE}/series?by=source").json["rows"] == []
    assert client.get(f'{BASE}/top?filter=app "x"').status == 400


def test_question_when_too_many_are_answered_then_429(
    client: Any, flows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller_turns, "TURNS", QueryTurns(most=2, most_of_user=1))
    with caller_turns.TURNS.of("somebody else"):
        assert client.get(f"{BASE}/top").status == 200
        with caller_turns.TURNS.of("a third"):
            reply = client.get(f"{BASE}/top")
            assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    with caller_turns.TURNS.of("somebody"):
        assert client.get(f"{BASE}/top").status == 429
    assert client.get(f"{BASE}/top").status == 200


def post(client: Any, name: str, values: Any, kind: str = "application/json") -> Any:
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    return client("POST", f"{BASE}/{name}", body, token="user", CONTENT_TYPE=kind)


@pytest.mark.parametrize(
    ("name", "query", "values"),
    [
        ("top", "by=source&limit=2&other=true&last=1h",
         {"by": ["source"], "limit": 2, "other": True, "last": "1h"}),
        ("top", "by=source,destination_port&measures=sources&exact=true&to=1623757577",
         {"by": ["source", "destination_port"], "measures": "sources", "exact": True,
          "to": 1623757577}),
        ("series", "by=source&step=10m&last=30m&raw=1",
         {"by": "source", "step": "10m", "last": "30m", "raw": True}),
    ],
)  # fmt: skip
def test_post_when_asked_as_json_or_form_then_answered_as_the_get_is(
    client: Any, flows: Path, name: str, query: str, values: Any
) -> None:
    expected = client.get(f"{BASE}/{name}?{query}").json
    assert expected["rows"]
    form = "application/x-www-form-urlencoded"
    for reply in (post(client, name, values), post(client, name, query.encode(), form)):
        assert reply.status == 200
        assert reply.json | {"seconds": 0} == expected | {"seconds": 0}


@pytest.mark.parametrize(
    ("values", "status", "said"),
    [
        (b"[", 400, "The body is not JSON"),
        ({"step": "5m"}, 400, "Unknown parameters: step; expected by"),
        ({"exact": "perhaps"}, 400, "exact: expected true or false, found perhaps"),
        ({"by": True}, 400, "by: expected text"),
        ({"limit": [1, 2]}, 400, "limit is given 2 times"),
        ({"filter": "port htp"}, 400, 'got "htp"'),
    ],
)
def test_post_when_wrong_then_400_with_one_sentence(
    client: Any, flows: Path, values: Any, status: int, said: str
) -> None:
    reply = post(client, "top", values)
    assert reply.status == status
    assert said in reply.json["message"]


def test_post_when_described_then_with_the_parameters_of_the_get(client: Any) -> None:
    operations = client.get("/api/openapi.json").json["paths"]
    for name in ("top", "series", "flows", "export"):
        get, posted = (operations[f"{BASE}/{name}"][method] for method in ("get", "post"))
        content = posted["requestBody"]["content"]["application/json"]["schema"]
        assert list(content["properties"]) == [one["name"] for one in get["parameters"]]
        assert not posted["x-changes"]
        assert posted["responses"]["200"] == get["responses"]["200"]


def test_flows_when_asked_then_newest_first_with_times_and_names(client: Any, flows: Path) -> None:
    reply = client.get(f"{BASE}/flows?limit=1&filter=app%20web%20and%20src%20ip%2010.0.0.3")
    (flow,) = reply.json["flows"]
    assert flow["source_address"] == "10.0.0.3"
    assert flow["collection_time_milliseconds"] == "2021-06-15T11:45:01Z"
    assert flow["application_id"] == 13 << 56 | 80
    assert (flow["application_name"], flow["interface_name"]) == ("web", "Gi0/7")
    assert reply.json["left_out"] == []


def test_flows_when_read_page_by_page_then_each_once_though_more_come_in(
    client: Any, flows: Path
) -> None:
    seen, after = [], ""
    for n_pages in range(100):
        answer = client.get(f"{BASE}/flows?limit=7{after}").json
        seen += [
            (flow["collection_time_milliseconds"], flow["source_address"])
            for flow in answer["flows"]
        ]
        if answer["next"] is None:
            break
        after = f"&after={answer['next']}"
        writer = FlowLogWriter(flows, FlowLogLimits(minimum_free_octets=0))
        writer.start()
        writer.append(batch_of([Flow(9, n_pages, 1, 2, 3, NOW_MS, NOW_MS, NOW_MS)]))
        writer.close(NOW_MS)
    assert len(seen) == len(set(seen)) == 120
    assert [moment for moment, _ in seen] == sorted((m for m, _ in seen), reverse=True)


@pytest.mark.parametrize(
    "after",
    ["x", "", "1", "1.2.3", "9" * 30, "1640995200000.9f86d081884c7d6.1", "1.9f86d081884c7d65.1%00"],
)
def test_flows_when_the_cursor_is_no_cursor_then_400(client: Any, flows: Path, after: str) -> None:
    reply = client.get(f"{BASE}/flows?after={after}")
    assert reply.status == 400
    assert reply.json["message"] == "after: expected what `next` of the page before says"


def exported(client: Any, query: str) -> list[dict[str, Any]]:
    reply = client.get(f"{BASE}/export?{query}")
    assert reply.status == 200, reply.body
    text = reply.body.decode()
    if reply.headers["content-type"] == "application/x-ndjson":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text)))


def test_export_when_asked_then_every_flow_oldest_first(client: Any, flows: Path) -> None:
    rows = exported(client, "last=1h&columns=source_address,octets")
    assert len(rows) == 120
    assert rows[0] == {"source_address": "10.0.0.1", "octet_delta_count": "600"}
    assert [row["source_address"][-1] for row in rows] == ["1", "2", "3", "4"] * 30


def test_export_when_filtered_and_as_json_lines_then_an_object_a_line(
    client: Any, flows: Path
) -> None:
    rows = exported(client, "last=1h&format=json&filter=src%20ip%2010.0.0.2")
    assert len(rows) == 30
    assert (rows[0]["source_address"], rows[0]["octet_delta_count"]) == ("10.0.0.2", 1200)
    everything = exported(client, "last=1h&format=json&columns=all&filter=src%20ip%2010.0.0.2")
    assert rows[0].items() < everything[0].items()


def test_export_when_as_parquet_then_a_file_with_times_and_a_name(client: Any, flows: Path) -> None:
    reply = client.get(f"{BASE}/export?from=1623750000&to=1623760000&format=parquet")
    table = pq.read_table(pa.BufferReader(reply.body))
    assert table.num_rows == 120
    assert pc.sum(table["octet_delta_count"]).as_py() == 180_000
    assert pa.types.is_timestamp(table.schema.field("collection_time_milliseconds").type)
    name = "flows-20210615T094000Z-20210615T122640Z.parquet"
    assert reply.headers["content-disposition"] == f'attachment; filename="{name}"'


def test_export_when_as_ipfix_then_messages_that_decoders_read(
    client: Any, flows: Path, tmp_path: Path
) -> None:
    reply = client.get(f"{BASE}/export?from=1623750000&to=1623760000&format=ipfix")
    assert reply.headers["content-type"] == "application/ipfix"
    path = tmp_path / "flows.ipfix"
    path.write_bytes(reply.body)
    decoded = decode(*(found.datagram.payload for found in CaptureReader(path)))
    assert len(decoded.rows) == 120
    assert sum(row["octet_delta_count"] for row in decoded.rows) == 180_000


def test_export_when_there_are_no_flows_then_the_heading(client: Any, flows: Path) -> None:
    for query in ("last=1h&filter=port%201", "from=1000&to=2000"):
        reply = client.get(f"{BASE}/export?{query}&columns=source_address")
        assert (reply.status, reply.body) == (200, b'"source_address"\n')
    assert exported(client, "from=1000&to=2000&format=json") == []


def test_export_when_a_file_is_damaged_then_the_rest(client: Any, flows: Path) -> None:
    (file,) = sorted((flows / "flows").glob("*.parquet")) or sorted((flows / "flows").glob("*"))
    file.write_bytes(b"nonsense")
    assert exported(client, "last=1h") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("format=xml", "format: expected csv, json, parquet, ipfix, found 'xml'"),
        ("columns=colour", "unknown column 'colour'"),
        ("format=ipfix&columns=reverse", "ipfix has no element for reverse"),
        ("filter=port", "expected"),
        ("last=0h", "last"),
    ],
)
def test_export_when_wrong_then_400_with_one_sentence(
    client: Any, flows: Path, query: str, said: str
) -> None:
    reply = client.get(f"{BASE}/export?{query}")
    assert reply.status == 400
    assert said.lower() in reply.json["message"].lower()


def test_export_when_one_of_the_caller_goes_on_then_429_until_it_ends(
    client: Any, flows: Path
) -> None:
    target = f"{BASE}/export?last=1h"
    with caller_turns.EXPORT_TURNS.of("somebody"):
        reply = client.get(target)
        assert (reply.status, reply.json["message"]) == (
            429,
            "1 of your exports at a time, try again soon",
        )
    assert client.get(target).status == 200
    assert client("HEAD", target, token="user").status == 200
    assert client.get(target).status == 200


def test_export_when_posted_then_as_the_get(client: Any, flows: Path) -> None:
    values = {"last": "1h", "columns": ["source_address", "octets"], "filter": "dst port 443"}
    query = "last=1h&columns=source_address,octets&filter=dst%20port%20443"
    assert post(client, "export", values).body == client.get(f"{BASE}/export?{query}").body


def test_filter_when_it_names_an_exporter_or_a_list_then_their_addresses(
    store: Any, tmp_path: Path, flows: Path
) -> None:
    store.records[1] = replace(store.records[1], address="192.0.2.1")
    (tmp_path / "bad.txt").write_text("10.0.0.2\n10.0.0.4/32\n")
    listed = settings_of(tmp_path, {"search": {"lists": {"bad": "bad.txt"}}})
    client = Client(web_of(store, listed))

    def sources(text: str) -> list[str]:
        reply = post(client, "top", {"by": "source", "filter": text})
        return [row["source_address"] for row in reply.json["rows"]]

    assert sources("src ip in @bad") == ["10.0.0.4", "10.0.0.2"]
    assert len(sources('exporter "Core"')) == 4
    assert sources('not exporter "core"') == []
    message = post(client, "top", {"filter": 'exporter "corr"'}).json["message"]
    assert "expected the address or name of an exporter" in message
    assert "one of @bad" in post(client, "top", {"filter": "ip @worse"}).json["message"]


def suggestions(client: Any, text: str) -> dict[str, tuple[str, str]]:
    reply = client.get(f"{BASE}/complete?text={quote(text)}")
    assert (reply.status, reply.json["to"]) == (200, len(text))
    return {one["text"]: (one["kind"], one["note"]) for one in reply.json["suggestions"]}


def test_complete_when_asked_then_values_of_the_data(
    store: Any, tmp_path: Path, flows: Path
) -> None:
    client = Client(
        web_of(store, settings_of(tmp_path, {"search": {"lists": {"bad": "lists/bad.txt"}}}))
    )
    assert suggestions(client, "")["src ip"] == ("field", "source address or network")
    for thread in threading.enumerate():
        if thread.name == "names":
            thread.join()
    assert suggestions(client, "in if ")['"Gi0/7"'] == ("value", "192.0.2.1, 7")
    assert suggestions(client, "app ")['"dns"'] == ("value", "")
    exporters = suggestions(client, "exporter ")
    assert exporters["2001:db8::2"] == ("value", "core")
    assert exporters['"core"'] == ("value", "2001:db8::2")
    assert suggestions(client, "ip in @b") == {"@bad": ("value", "bad.txt")}
    assert suggestions(client, "proto tc") == {"tcp": ("value", "6")}
    assert suggestions(client, "port htt")["http"] == ("value", "80")


def test_complete_when_there_are_no_names_yet_then_the_rest(client: Any, store: Any) -> None:
    store.failure = StorageError("away")
    assert set(suggestions(client, "in if ")) == {"in"}
    assert set(suggestions(client, "exporter ")) == {"in"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("text=" + "x" * 4001, "text: expected at most 4000 characters"),
        ("text=x&cursor=-1", "cursor: expected a whole number"),
        ("text=x&cursor=%F0%9D%9F%8F", "cursor: expected a whole number"),
    ],
)
def test_complete_when_wrong_then_400(client: Any, query: str, said: str) -> None:
    reply = client.get(f"{BASE}/complete?{query}")
    assert (reply.status, reply.json["message"]) == (400, said)


def test_fields_when_asked_then_every_dimension_with_its_text(client: Any) -> None:
    answer = client.get(f"{BASE}/fields").json
    assert answer["dimensions"]["conversation"] == "two addresses, both directions together"
    assert "sources" in answer["measures"]


def test_description_when_read_then_rows_may_have_any_keys_and_values(client: Any) -> None:
    operations = client.get("/api/openapi.json").json["paths"]
    content = operations[f"{BASE}/top"]["get"]["responses"]["200"]["content"]
    rows = content["application/json"]["schema"]["properties"]["rows"]
    assert rows["items"] == {"type": "object", "additionalProperties": {}}


def test_explore_when_not_signed_in_then_401(client: Any, flows: Path) -> None:
    assert client("GET", f"{BASE}/top").status == 401


@pytest.fixture
def many(settings: Any, store: Any, flows: Path) -> Client:
    """A client of an appliance that takes a hundred flows for many."""
    tree = {"search": {"exact_rows": 100}}
    return Client(web_of(store, settings_of(settings["data_directory"].parent, tree)))


def ended(client: Client, location: str, token: str = "user") -> dict[str, Any]:
    end = time.monotonic() + 20
    while (job := client.get(location, token).json)["state"] == "running":
        assert time.monotonic() < end
    return dict(job)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("top", "by=source&limit=2&other=true&last=1h"),
        ("series", "by=source&step=10m&last=1h"),
    ],
)
def test_exact_answer_when_of_many_flows_then_a_job_that_has_it(
    client: Client, many: Client, name: str, query: str
) -> None:
    expected = client.get(f"{BASE}/{name}?{query}&exact=true")
    assert expected.status == 200
    reply = many.get(f"{BASE}/{name}?{query}&exact=true")
    assert (reply.status, reply.json["state"] in STATES) == (202, True)
    job = ended(many, reply.headers["location"])
    assert (job["state"], job["progress"], job["message"]) == ("done", 1, None)
    assert job["answer"] | {"seconds": 0} == expected.json | {"seconds": 0}


def test_job_when_of_somebody_else_or_dropped_then_404(many: Client) -> None:
    location = many.get(f"{BASE}/top?last=1h&exact=true").headers["location"]
    assert many.get(location, "administrator").status == 404
    assert many("DELETE", location, token="administrator").status == 404
    assert ended(many, location)["state"] == "done"
    assert many("DELETE", location, token="user").json["state"] == "done"
    assert many.get(location).status == 404
    assert many.get(f"{BASE}/jobs/nonsense").status == 404


def test_job_when_it_cannot_be_answered_then_says_why(
    many: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def top(_engine: QueryEngine, _question: object) -> None:
        raise QueryError("the question took longer than 3600 s")

    monkeypatch.setattr(QueryEngine, "top", top)
    job = ended(many, many.get(f"{BASE}/top?last=1h&exact=true").headers["location"])
    assert (job["state"], job["answer"]) == ("failed", None)
    assert job["message"].startswith("The question took longer than")


def test_job_when_one_of_the_caller_is_answered_then_429(many: Client) -> None:
    target = f"{BASE}/top?last=1h&exact=true"
    with caller_turns.JOB_TURNS.of("somebody"):
        assert many.get(target).status == 429
        assert many.get(f"{BASE}/top?last=1h").status == 200
    assert ended(many, many.get(target).headers["location"])["state"] == "done"
    assert ended(many, many.get(target).headers["location"])["state"] == "done"


def test_job_when_a_killed_process_left_something_then_it_goes(many: Client, settings: Any) -> None:
    left = settings["data_directory"] / "queries" / "tmp1" / "duckdb_temp_storage-0.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    assert ended(many, many.get(f"{BASE}/top?last=1h&exact=true").headers["location"])["answer"]
    assert not list((settings["data_directory"] / "queries").iterdir())
