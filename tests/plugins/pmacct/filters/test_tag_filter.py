"""Filters of tags and labels; the rows are those that nfacctd 1.7.7 was seen to take."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.plugins.pmacct.filters.tag_filter import read_label_filter, read_tag_filter

TAGS = np.array([0, 10, 20], np.uint64)
TEXTS = ["", "red", "blue"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", [10]),
        ("10-20", [10, 20]),
        ("15-25", [20]),
        ("-10", [0, 20]),
        ("10,20", [10, 20]),
        ("-10,-20", [0, 20]),
        ("10,-20", [0, 10]),
        ("-10,20", [0, 20]),
        ("-10-20", [0]),
        ("0", [0]),
        (" 10 , 20 ", [10, 20]),
        ("18446744073709551615", []),
    ],
)
def test_tags_when_filtered_then_the_entries_decide_in_their_order(text, expected):
    assert TAGS[read_tag_filter(text).mask(TAGS)].tolist() == expected


@pytest.mark.parametrize("text", ["", "abc", "10-", "20-10", "10,", "--1", "1-2-3", "1" * 30])
def test_tag_filter_when_it_is_none_then_refused(text):
    with pytest.raises(ValueError, match="no tag and no range of tags"):
        read_tag_filter(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red", ["red"]),
        ("r", ["red"]),
        ("null", [""]),
        ("-null", ["red", "blue"]),
        ("red,blue", ["red", "blue"]),
        ("-red,-blue", ["", "blue"]),
    ],
)
def test_labels_when_filtered_then_by_their_beginning(text, expected):
    mask = read_label_filter(text).mask(np.arange(3), TEXTS)
    assert [text for text, is_taken in zip(TEXTS, mask, strict=True) if is_taken] == expected


def test_label_filter_when_an_entry_is_empty_then_refused():
    with pytest.raises(ValueError, match="empty"):
        read_label_filter("red,,blue")
