"""What a reboot leaves: services that answer, and the data."""

from __future__ import annotations

from tests.box.processes import eventually


def test_box_when_rebooted_then_it_serves_again_with_its_data(box):
    token = box.sign_in()
    talkers = box.ask("/api/v1/netflow/getIngressTopTalkers", token)
    assert talkers
    box.machine.mark_boot()
    restarting = box.ask("/api/v1/admin/device/restart", token)
    assert restarting["message"].startswith("Device is rebooting")
    box.machine.wait_rebooted()
    eventually(lambda: box.status("/v1/api/") == 200, "served again")
    after = box.ask("/api/v1/netflow/getIngressTopTalkers", token)
    octets = {row["HostIP"]: row for row in after}
    assert {row["HostIP"] for row in talkers} <= set(octets)
    state = box.machine.run("systemctl is-system-running --wait || systemctl --failed --no-legend")
    assert state.strip() == "running"
