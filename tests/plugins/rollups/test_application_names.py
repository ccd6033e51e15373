"""Names of applications in memory: whose they are, and how many."""

from __future__ import annotations

import pytest

from appliance.plugins.rollups import application_names
from appliance.plugins.rollups.application_names import ApplicationName, Applications, clean_name
from appliance.services import read_services

EXPORTER = "192.0.2.1"
LISTED = {EXPORTER}


def name_of(
    application: int, name: str, port: int = 4000, domain: int = 0, exporter: str = EXPORTER
) -> ApplicationName:
    return ApplicationName(exporter, port, domain, application, name)


@pytest.fixture
def known() -> Applications:
    return Applications(read_services())


def test_applications_when_too_many_then_refused_and_counted(
    known: Applications, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(application_names, "MOST_APPLICATIONS", 3)
    rows, _ = known.learn([name_of(number, f"name {number}") for number in range(1, 6)], LISTED)
    assert [row.application for row in rows] == [1, 2, 3]
    assert known.refused == 2
    changed = name_of(1, "new name")
    assert known.learn([changed, name_of(2, "name 2")], LISTED) == ([changed], [])
    monkeypatch.setattr(application_names, "MOST_UNLISTED_NAMES", 2)
    unlisted = [name_of(1, "invented", exporter=f"203.0.113.{number}") for number in range(5)]
    assert len(known.learn(unlisted, LISTED).stored) == 2
    assert (known.refused, known.count_unlisted(LISTED)) == (5, 2)
    listed = {EXPORTER, "203.0.113.4"}
    assert len(known.learn([name_of(1, "voice", exporter="203.0.113.4")], listed).stored) == 1
    known.forget(["203.0.113.0", "203.0.113.1"])
    assert known.count_unlisted(LISTED) == 1


def test_application_when_its_exporter_restarts_then_its_name_stays_and_is_stored_once(
    known: Applications,
):
    known.learn([name_of(7, "voice")], LISTED)
    later = name_of(7, "voice", port=4001)
    assert known.name(EXPORTER, later.session, 7) == "voice"
    assert known.learn([later], LISTED) == ([], [])


def test_application_when_sessions_differ_then_each_has_its_own_and_others_none(
    known: Applications,
):
    names = [name_of(7, "voice", domain=1), name_of(7, "backup", domain=2)]
    known.learn(names, LISTED)
    for item in names:
        assert known.name(EXPORTER, item.session, 7) == item.name
    other = name_of(7, "voice", domain=3)
    assert known.name(EXPORTER, other.session, 7) is None
    assert known.learn([other], LISTED).stored == [other]
    again = Applications(read_services())
    again.restore([names[0], other, names[1]])
    assert again.name(EXPORTER, other.session, 7) == "voice"


def test_application_when_ever_new_sessions_name_it_then_the_oldest_give_way(known: Applications):
    names = [name_of(7, f"name {port}", port) for port in range(1, 41)]
    stored, deleted = known.learn(names, LISTED)
    assert stored == names
    assert [item.port for item in deleted] == list(range(1, 25))
    assert known.name(EXPORTER, names[-1].session, 7) == "name 40"
    assert known.name(EXPORTER, names[0].session, 7) is None
    assert known.count_unlisted(set()) == 16


def test_name_when_it_cannot_be_stored_as_it_is_then_cleaned():
    assert clean_name("  a\tb\x00c " + "x" * 500) == "a b c " + "x" * 122
