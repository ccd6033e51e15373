from __future__ import annotations

from datetime import UTC
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from appliance.contracts import Direction, Selection
from appliance.errors import RequestError
from appliance.web.parameters import Query, find_device

NOW = 1_780_000_000.0


def query(text: str, zone=UTC) -> Query:
    return Query(text, NOW, zone)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("", None, None),
        ("from=1700000000", 1_700_000_000, None),
        ("from=1700000000.7&to=1700000060.2", 1_700_000_000, 1_700_000_061),
        ("last=24h", int(NOW) - 86400, None),
        ("last=1h&to=1700000000", 1_699_996_400, 1_700_000_000),
        ("from=2026-01-31T08:00:00Z", 1_769_846_400, None),
        ("from=2026-01-31T08:00:00%2B04:30", 1_769_830_200, None),
        ("from=2026-01-31T08:00:00+04:30", 1_769_830_200, None),
        ("from=2026-01-31", 1_769_817_600, None),
        ("from=2026-01-31T08:00", 1_769_846_400, None),
        ("from=0&unknown=x&other", 0, None),
    ],
)
def test_range_when_given_then_seconds(text, since, until):
    assert query(text).range() == (since, until)


def test_range_when_without_zone_then_in_the_zone_of_the_setting():
    assert query("from=2026-01-31T08:00", ZoneInfo("Asia/Kathmandu")).range()[0] == 1_769_825_700


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("from=yesterday", "from: expected a time such as 2026-01-31T08:00:00Z or seconds since"),
        ("from=", "from: expected a time such as"),
        ("to=-1", "to: expected a time"),
        ("from=999999999999999", "from: expected a time"),
        ("from=nan", "from: expected a time"),
        ("from=0001-01-01", "from: expected a time"),
        ("from=%FF%00", "from: expected a time"),
        ("last=1x", "last: expected a whole number from 1 on and one of s m h d w M y, such as"),
        ("last=0h", "last: expected a whole number from 1 on"),
        ("last=1h&from=5", "Give either from or last, not both"),
        ("from=5&to=5", "The range is empty: its start is not before its end"),
        ("from=2100-01-01", "The range is empty"),
        ("from=5&from=6", "from is given 2 times, expected once"),
        ("&".join(f"a{i}=1" for i in range(200)), "More than 100 query parameters"),
    ],
)
def test_range_when_it_cannot_be_used_then_one_sentence(text, sentence):
    with pytest.raises(RequestError, match="^" + sentence.replace("(", r"\(")) as caught:
        query(text).range()
    assert caught.value.status == 400
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("text", ["0", "1001", "-1", "ten", "", "1.0", "٣", "99999999999"])
def test_limit_when_it_cannot_be_used_then_one_sentence(text):
    with pytest.raises(RequestError, match="limit: expected a whole number from 1 to 1000, found"):
        query(f"limit={quote(text)}").limit()


def test_limit_and_flag_when_given_or_not():
    assert query("").limit(15) == 15
    assert query("limit=1000").limit(15) == 1000
    assert query("limit=10000").limit(15, most=10_000) == 10_000
    assert [query(text).flag("fill") for text in ("", "fill=true", "fill=false", "fill=1")] == [
        0,
        1,
        0,
        1,
    ]
    with pytest.raises(RequestError, match="fill: expected true or false, found yes"):
        query("fill=yes").flag("fill")


def test_device_when_id_or_address_then_found(store):
    assert find_device(store.exporters(), "2").address == "2001:db8::2"
    assert find_device(store.exporters(), "2001:db8::2").id == 2
    for unknown in ("3", "", "02", "2001:db8::3", "\u202e"):
        with pytest.raises(RequestError, match="No device") as caught:
            find_device(store.exporters(), unknown)
        assert caught.value.status == 404
        assert caught.value.message.isprintable()


def test_selection_when_made_then_the_store_is_asked_for_what_is_named_only(store):
    assert query("").selection(store) == Selection()
    assert not store.calls
    assert query("last=1h").selection(store) == Selection((int(NOW) - 3600) // 60 * 60)
    assert store.calls == {"bin_at": 1}
    store.calls.clear()
    asked = query("device=127.0.0.1").selection(store, Direction.EGRESS)
    assert asked == Selection(exporter=1, direction=Direction.EGRESS)
    assert store.calls == {"exporters": 1}
