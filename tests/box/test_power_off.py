"""The last thing that is done to a box."""

from __future__ import annotations


def test_box_when_powered_off_then_it_ends_in_order(box):
    reply = box.ask("/api/v1/admin/device/shutdown", box.sign_in())
    assert reply["message"].startswith("Device is shutting down")
    assert box.machine.wait_powered_off() == 0
