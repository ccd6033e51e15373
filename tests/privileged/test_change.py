"""What becomes of a change of the network when machine, programs or power fail half-way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from appliance.privileged.change import NetworkChange, Refused
from appliance.privileged.programs import Programs
from appliance.privileged.storage import APPLYING, ARMED, ROLLING_BACK, write_atomically
from tests.privileged.interfaces_files import STATIC_VALUES, needs_ifupdown
from tests.privileged.scripted import INTERFACES, ScriptedRoot

pytestmark = needs_ifupdown


@pytest.fixture
def scripted(tmp_path: Path) -> ScriptedRoot:
    return ScriptedRoot(tmp_path)


@pytest.fixture
def network(scripted: ScriptedRoot) -> NetworkChange:
    return network_of(scripted)


def network_of(scripted: ScriptedRoot) -> NetworkChange:
    return NetworkChange(scripted.root, Programs(scripted.root), scripted.kernel)


def make_change(network: NetworkChange, seconds: int = 60) -> None:
    with network.store.lock() as alone:
        assert alone
        network.apply(network.prepare("eth0", STATIC_VALUES, seconds))


def ended(network: NetworkChange) -> tuple[str, str]:
    record = network.store.latest()
    assert record is not None
    return record.state, record.reason


def assert_as_before(scripted: ScriptedRoot) -> None:
    assert scripted.read("etc/network/interfaces") == INTERFACES
    assert scripted.read("etc/resolv.conf") == "nameserver 9.9.9.9\n"
    assert not list(scripted.root.rglob(".netflow-appliance*"))


def test_change_when_made_then_down_with_the_old_file_and_up_with_the_new(
    scripted: ScriptedRoot, network: NetworkChange
):
    copy = f'cp "{scripted.root}/etc/network/interfaces" "{scripted.root}/$(basename "$0").saw"'
    scripted.script("sbin/ifdown", copy)
    scripted.script("sbin/ifup", copy)
    make_change(network)
    assert scripted.read("ifdown.saw") == INTERFACES
    assert "address 192.1.1.18" in scripted.read("ifup.saw")
    done = [call for call in scripted.calls if not call.startswith("ifquery")]
    assert done[0] == "ifdown --force eth0"
    assert done[-1] == "ifup eth0"


def test_change_when_made_then_the_roll_back_is_armed_before(
    scripted: ScriptedRoot, network: NetworkChange
):
    (scripted.root / "run/systemd/system").mkdir(parents=True)
    make_change(network)
    names = [call.partition(" ")[0] for call in scripted.calls]
    assert "systemctl start appliance-network-rollback.timer" in scripted.calls
    assert names.index("systemctl") < names.index("ifdown")


def test_change_when_the_roll_back_cannot_be_armed_then_nothing_is_written(
    scripted: ScriptedRoot, network: NetworkChange
):
    (scripted.root / "run/systemd/system").mkdir(parents=True)
    scripted.script("bin/systemctl", "echo no such unit; exit 5")
    with pytest.raises(Refused, match="systemctl: no such unit") as raised:
        make_change(network)
    assert raised.value.status == 500
    assert_as_before(scripted)
    assert network.store.pending() is None


def test_change_when_the_time_is_over_then_taken_back(
    scripted: ScriptedRoot, network: NetworkChange
):
    make_change(network, 60)
    scripted.kernel.now += 59
    assert network.look_after()
    assert scripted.kernel.asked == [("192.1.1.1", "eth0")]
    scripted.kernel.now += 1
    assert not network.look_after()
    assert ended(network) == ("rolled back", "nobody confirmed the change within 60 seconds")
    assert_as_before(scripted)


def test_change_when_the_power_was_cut_while_it_waited_then_the_time_counts_from_the_start(
    scripted: ScriptedRoot, network: NetworkChange
):
    make_change(network, 60)
    scripted.kernel.boot_id, scripted.kernel.now = "second", 59
    assert network_of(scripted).look_after()
    scripted.kernel.now = 60
    assert not network_of(scripted).look_after()
    assert ended(network)[0] == "rolled back"
    assert_as_before(scripted)


@pytest.mark.parametrize("state", [ARMED, APPLYING, ROLLING_BACK])
def test_change_when_interrupted_half_way_then_taken_back_at_once(
    scripted: ScriptedRoot, network: NetworkChange, state: str
):
    make_change(network, 60)
    record = network.store.pending()
    assert record is not None
    network.store.put(record.now(state))
    assert not network_of(scripted).look_after()
    assert ended(network) == ("rolled back", "the change was interrupted")
    assert_as_before(scripted)
    assert not network_of(scripted).look_after()


def test_change_when_it_is_being_made_then_the_timer_leaves_it_alone(network: NetworkChange):
    with network.store.lock():
        network.prepare("eth0", STATIC_VALUES, 60)
        assert network.look_after()
        assert not network.confirm()
        record = network.store.pending()
    assert record is not None
    assert record.state == ARMED


def test_confirm_when_somebody_is_just_looking_then_it_waits_for_that(
    scripted: ScriptedRoot, network: NetworkChange
):
    make_change(network)
    looking = network.store.lock()
    assert looking.__enter__()
    timer = threading.Timer(0.3, looking.__exit__, (None, None, None))
    timer.start()
    assert network.confirm()
    timer.join()
    assert ended(network) == ("confirmed", "an authenticated request arrived")
    assert not network.confirm()


def test_change_when_ifup_fails_twice_then_both_reasons_are_told(
    scripted: ScriptedRoot, network: NetworkChange
):
    scripted.script("sbin/ifup", "echo cable is out; exit 1")
    make_change(network)
    assert ended(network) == ("rolled back", "ifup: cable is out; ifup: cable is out")
    assert_as_before(scripted)


@pytest.mark.parametrize("program", ["sbin/ifdown", "sbin/ip"])
def test_change_when_taking_down_fails_then_it_is_made_all_the_same(
    scripted: ScriptedRoot, network: NetworkChange, program: str
):
    scripted.script(program, "echo no such device; exit 1")
    make_change(network)
    assert ended(network)[0] == "waiting"


def test_change_when_resolvconf_is_there_then_resolv_conf_is_left_to_it(
    scripted: ScriptedRoot, network: NetworkChange
):
    scripted.write("run/resolvconf/resolv.conf", "nameserver 9.9.9.9\n")
    (scripted.root / "etc/resolv.conf").unlink()
    (scripted.root / "etc/resolv.conf").symlink_to("../run/resolvconf/resolv.conf")
    make_change(network)
    assert scripted.read("run/resolvconf/resolv.conf") == "nameserver 9.9.9.9\n"
    assert "dns-nameservers 8.8.8.8 8.8.4.4" in scripted.read("etc/network/interfaces")


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("proc/9/comm", "NetworkManager\n", "NetworkManager is running"),
        ("etc/network/interfaces", "auto eth0\n", "has no settings of eth0"),
        ("etc/network/interfaces", "iface eth0 inet manual\n", "the method of eth0 is manual"),
        ("etc/network/interfaces", "mapping eth*\n script x\n", "a mapping decides"),
        ("etc/network/interfaces", "iface eth0 inet dhcp\nnonsense", "ifupdown does not under"),
    ],
)
def test_change_when_it_cannot_be_made_then_nothing_is_written(
    scripted: ScriptedRoot, network: NetworkChange, path: str, text: str, sentence: str
):
    scripted.write(path, text)
    before = scripted.read("etc/network/interfaces")
    with pytest.raises(Refused, match=sentence) as raised:
        make_change(network)
    assert raised.value.status == 409
    assert scripted.read("etc/network/interfaces") == before
    assert not [call for call in scripted.calls if call.startswith(("ifup", "ifdown"))]
    assert not list(scripted.root.rglob(".netflow-appliance*"))


def test_change_when_only_inet6_was_configured_then_a_stanza_beside_it(
    scripted: ScriptedRoot, network: NetworkChange
):
    scripted.write("etc/network/interfaces", "iface eth0 inet6 auto\n")
    make_change(network)
    text = scripted.read("etc/network/interfaces")
    assert text.startswith("iface eth0 inet6 auto\n\nauto eth0\niface eth0 inet static\n")
    assert ended(network)[0] == "waiting"


def test_change_when_made_often_then_only_the_last_backups_are_kept(
    scripted: ScriptedRoot, network: NetworkChange
):
    scripted.kernel.gateway_answers = True
    for _ in range(13):
        make_change(network)
        assert not network.look_after()
    assert len(list((network.store.folder / "backups").iterdir())) == 10


def test_write_when_atomic_then_mode_stays_and_a_link_stays_one(tmp_path: Path):
    target = tmp_path / "target"
    target.write_text("old")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]
