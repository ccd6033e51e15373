from appliance.information_elements import element_by_id, element_by_name, elements


def test_element_by_id_when_iana_then_as_registered():
    element = element_by_id(0, 1)
    assert element is not None
    assert (element.name, element.data_type) == ("octetDeltaCount", "unsigned64")
    assert (element.semantics, element.units) == ("deltaCounter", "octets")


def test_element_by_id_when_of_an_enterprise_then_not_the_one_of_iana():
    found = {entry.enterprise for entry in elements().values()}
    assert {0, 9} <= found
    cisco = next(entry for entry in elements().values() if entry.enterprise == 9)
    assert element_by_id(9, cisco.id) == cisco
    assert element_by_id(0, cisco.id) != cisco


def test_element_when_unknown_then_none():
    assert element_by_id(0, 65000) is None
    assert element_by_id(4242, 1) is None
    assert element_by_name("octetsPerMoon") is None


def test_element_by_name_when_known_then_found():
    for name, number in (("applicationId", 95), ("sourceIPv6Address", 27), ("flowDirection", 61)):
        element = element_by_name(name)
        assert element is not None
        assert (element.enterprise, element.id) == (0, number)


def test_element_by_name_when_two_enterprises_have_it_then_iana():
    twice = {e.name for e in elements().values() if e.enterprise} & {
        e.name for e in elements().values() if not e.enterprise
    }
    assert twice
    for name in twice:
        element = element_by_name(name)
        assert element is not None
        assert element.enterprise == 0


def test_elements_when_read_then_the_whole_registry_with_known_types():
    assert len(elements()) > 850
    assert "ipv6address" not in {entry.data_type for entry in elements().values()}
    assert all(entry.name and entry.name.strip() == entry.name for entry in elements().values())


def test_elements_when_asked_twice_then_read_once():
    assert elements() is elements()
