"""The chapter on security names tests that exist, and every hostile one."""

from __future__ import annotations

import re
from pathlib import Path

from appliance.manual import chapter_text

ROOT = Path(__file__).parents[1]
PAGE = chapter_text("security")


def test_security_page_when_it_names_a_test_then_it_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", PAGE))
    assert len(named) > 10
    assert not sorted(path for path in named if not (ROOT / path).is_file())


def test_hostile_tests_when_listed_then_each_is_on_the_security_page() -> None:
    files = sorted(path.name for path in (ROOT / "tests/hostile").glob("test_*.py"))
    assert [name for name in files if name not in PAGE] == []
