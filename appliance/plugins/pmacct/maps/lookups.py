"""Reads the files that a configuration looks values up in: networks, ports and sampling rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.config import at_line, is_comment, read_lines
from appliance.plugins.pmacct.configuration.keys import leading_number
from appliance.plugins.pmacct.maps.networks import read_networks
from appliance.plugins.pmacct.maps.resolution import FILE, LONGEST, MASK, NETFLOW, Resolution
from appliance.plugins.pmacct.maps.sampling_map import SamplingMap, read_sampling_map

_SOURCE, _DESTINATION = "source_prefix_length", "destination_prefix_length"
METHODS = {"file": FILE, "longest": LONGEST, "fallback": LONGEST, "mask": MASK}

_BY_FLOW = (NETFLOW, LONGEST)


def read_resolution(
    text: Callable[[str], str], file: Callable[[str], Path | None], names: Sequence[str]
) -> tuple[Resolution, list[str]]:
    """Read what a configuration puts in place of a flow's own columns.

    Parameters
    ----------
    text, file
        Return the value of a key, and the file that it names.
    names
        The primitives that the plugin aggregates by.

    Returns
    -------
    tuple
        The resolution, and a sentence for each line of its files that was ignored.

    Raises
    ------
    SettingsError
        A file cannot be read, or none is named where one is needed.
    """
    warnings: list[str] = []
    as_method, net_method = (
        METHODS.get(text(key).lower(), NETFLOW) for key in ("nfacctd_as", "nfacctd_net")
    )
    networks_file, ports_file, map_file = (
        file(key) for key in ("networks_file", "ports_file", "sampling_map")
    )
    if networks_file is None and FILE in (as_method, net_method):
        raise SettingsError("'file' needs a networks_file")
    mask = leading_number(text("networks_mask"))
    if net_method == MASK and not mask:
        raise SettingsError("'mask' needs a networks_mask")
    networks = read_networks(networks_file) if networks_file is not None else None
    ports, ignored = read_ports(ports_file) if ports_file is not None else (None, [])
    sampling = read_sampling_map(map_file) if map_file is not None else SamplingMap()
    warnings += [*(networks.warnings if networks else ()), *ignored, *sampling.warnings]
    resolution = Resolution(
        networks,
        as_method,
        net_method,
        zeroes_others=text("networks_file_filter").lower() == "true",
        file_first=text("networks_file_no_lpm").lower() == "true",
        keeps_hosts=text("networks_no_mask_if_zero").lower() == "true",
        mask=mask,
        moves_as=text("nfacctd_peer_as").lower() == "true",
        takes_ip_next_hop=text("use_ip_next_hop").lower() == "true" and net_method in _BY_FLOW,
        ports=ports,
        sampling=sampling,
        lengths=_lengths(names, as_method, net_method),
        external_rate=leading_number(text("nfacctd_ext_sampling_rate")),
    )
    return resolution, warnings


def _lengths(names: Sequence[str], as_method: str, net_method: str) -> frozenset[str]:
    """Return the columns of the prefix lengths that nfacctd knows with these primitives."""
    kinds = ["mask"] if net_method == MASK else ["net", "mask"]
    kinds += ["as"] if as_method == LONGEST else []
    sides = {"src": (_SOURCE,), "dst": (_DESTINATION,), "sum": (_SOURCE, _DESTINATION)}
    parts = (name.split("_", 1) for name in names if "_" in name)
    lengths = (sides[side] for side, kind in parts if side in sides and kind in kinds)
    return frozenset(column for columns in lengths for column in columns)


def read_ports(path: Path) -> tuple[tuple[int, ...], list[str]]:
    """Read a `ports_file`, one port a line; also return a sentence for each that is none.

    Raises
    ------
    SettingsError
        The file cannot be read.
    """
    ports, warnings = [], []
    for number, text in enumerate(read_lines(path), 1):
        if is_comment(text):
            continue
        port = leading_number(text.strip())
        if 0 < port <= 65535:
            ports.append(port)
        else:
            warnings.append(f"[{at_line(path, number)}] invalid port specified.")
    return tuple(ports), warnings
