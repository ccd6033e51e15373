"""The routes below `/api/v1/admin/device`: what the machine is, and what can be done to it.

Keys and messages are those of the published API; `success` and `message` stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import Answer
from appliance.plugins.host.machine import Machine
from appliance.plugins.host.network import dns, interface_name, network
from appliance.privileged.addressing import DHCP, PARAMETERS, InvalidSettings, checked_settings
from appliance.privileged.client import HelperRefused
from appliance.privileged.storage import CONFIRMED
from appliance.web.bodies import Body

INVALID = "Network not set, information is invalid please check format"
NOT_SET = "Network not set"
CONFIGURED = {
    DHCP: "DHCP Network configured successfully!",
    "static": "Static Network configured successfully!",
}
REBOOTING = "Device is rebooting, please wait a minute and refresh the browser"
NOT_REBOOTING = "Unable to reboot device"
SHUTTING_DOWN = "Device is shutting down... to use destne again manually power the machine back on"
NOT_SHUTTING_DOWN = "Unable to shutdown device"
NO_CHANGE = {"state": "none", "inProgress": False}


@dataclass(frozen=True, slots=True)
class HostRoutes:
    """The handlers that look at one interface, or ask a machine to do something.

    Attributes
    ----------
    interface
        The setting `host.interface`; empty is the one with the default route.
    rollback_seconds
        The setting `host.network_rollback_seconds`.
    root
        `/`; another folder in tests.
    """

    machine: Machine
    interface: str = ""
    rollback_seconds: int = 180
    root: Path = Path("/")

    def dns(self) -> Mapping[str, Any]:
        """Return the name servers in use."""
        return dns(self.root)

    def network(self) -> Mapping[str, Any]:
        """Return the network settings."""
        return network(interface_name(self.interface), self.root)

    def change_network(self, body: Body) -> Answer:
        """Check new network settings and have them applied; the answer leaves before that."""
        values = body.single(PARAMETERS)
        try:
            settings = checked_settings(values)
        except InvalidSettings as error:
            return _failure(400, INVALID, str(error))
        wanted = values if settings.method != DHCP else {"state": DHCP}
        try:
            answer = self.machine.ask(
                "network_change",
                interface=interface_name(self.interface),
                rollback_seconds=str(self.rollback_seconds),
                **wanted,
            )
        except HelperRefused as refusal:
            return _failure(
                refusal.status, INVALID if refusal.status == 400 else NOT_SET, refusal.sentence
            )
        return Answer({"message": CONFIGURED[settings.method], "change": answer.get("change")})

    def network_change(self) -> Mapping[str, Any]:
        """Return the change of the network that is under way, else the last one; `managed` says
        whether the API can change, restart and switch off this machine at all.
        """
        return {**self._change(), "managed": self.machine.can_act()}

    def confirm_change(self) -> Answer:
        """Keep the changed network for good."""
        try:
            change = self.machine.ask("network_confirm").get("change")
        except HelperRefused as refusal:
            change = self._change()
            # The request itself has confirmed it before this handler was called.
            if refusal.status != 409 or change.get("state") != CONFIRMED:
                return _failure(refusal.status, "Network not confirmed", refusal.sentence)
        return Answer({"message": "Network change confirmed", "change": change})

    def restart(self) -> Answer:
        """Restart the machine; the answer leaves before that."""
        return self._act("reboot", REBOOTING, NOT_REBOOTING)

    def shutdown(self) -> Answer:
        """Switch the machine off; the answer leaves before that."""
        return self._act("power_off", SHUTTING_DOWN, NOT_SHUTTING_DOWN)

    def _change(self) -> Mapping[str, Any]:
        if not self.machine.is_managed:
            return NO_CHANGE
        return self.machine.ask("network_status").get("change") or NO_CHANGE

    def _act(self, act: str, message: str, error: str) -> Answer:
        try:
            self.machine.ask(act)
        except HelperRefused as refusal:
            return _failure(501 if refusal.status == 501 else 500, error, refusal.sentence)
        return Answer({"message": message})


def invalid_network(sentence: str) -> dict[str, object]:
    """Return the JSON of an error about a request to change the network."""
    return {"error": INVALID, "success": False, "message": sentence}


def _failure(status: int, error: str, sentence: str) -> Answer:
    message = sentence[:1].upper() + sentence[1:]
    return Answer({"error": error, "success": False, "message": message}, status)
