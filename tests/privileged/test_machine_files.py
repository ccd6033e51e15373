"""What is read from the machine's files: interfaces and their includes, managers, name servers."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.privileged.files import CannotRead, find_configured, read_interfaces
from appliance.privileged.managers import other_manager
from appliance.privileged.resolver import (
    is_kept_by_others,
    name_servers,
    servers_of,
    with_servers,
)

STANZA = "iface eth0 inet dhcp\n"


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def file_of(root: Path, interface: str = "eth0") -> str:
    return str(find_configured(read_interfaces(root), interface).file.path.relative_to(root))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("source /etc/network/interfaces.d/*", "etc/network/interfaces.d/a.cfg"),
        ("source interfaces.d/*.cfg", "etc/network/interfaces.d/a.cfg"),
        ("source  nothing/*  interfaces.d/a.cfg", "etc/network/interfaces.d/a.cfg"),
        ("source-directory interfaces.d", "etc/network/interfaces.d/eth0-lan"),
        ("source-dir /etc/network/interfaces.d", "etc/network/interfaces.d/eth0-lan"),
        ("so\\\nurce interfaces.d/a.cfg", "etc/network/interfaces.d/a.cfg"),
    ],
)
def test_files_when_included_then_the_stanza_is_found(tmp_path: Path, line: str, path: str):
    write(tmp_path, "etc/network/interfaces", f"auto eth0\n{line}\n")
    write(tmp_path, path, STANZA)
    assert file_of(tmp_path) == path


def test_files_when_a_folder_is_included_then_only_plain_names(tmp_path: Path):
    write(tmp_path, "etc/network/interfaces", "source-directory interfaces.d\n")
    for name in ("eth0.bak", "eth0~", ".hidden"):
        write(tmp_path, f"etc/network/interfaces.d/{name}", STANZA)
    assert len(read_interfaces(tmp_path)) == 1


def test_files_when_they_include_each_other_then_each_is_read_once(tmp_path: Path):
    write(tmp_path, "etc/network/interfaces", "source interfaces\nsource other\n")
    write(tmp_path, "etc/network/other", f"source interfaces\n{STANZA}")
    assert [file.path.name for file in read_interfaces(tmp_path)] == ["interfaces", "other"]


@pytest.mark.parametrize("text", ["source $HOME/x\n", "source `x`\n", 'source "x\n', "\0"])
def test_files_when_they_cannot_be_followed_then_says_so(tmp_path: Path, text: str):
    write(tmp_path, "etc/network/interfaces", text)
    with pytest.raises(CannotRead):
        read_interfaces(tmp_path)


def test_files_when_too_many_then_refused(tmp_path: Path):
    write(tmp_path, "etc/network/interfaces", "source many/*\n")
    for number in range(300):
        write(tmp_path, f"etc/network/many/{number}", "auto lo\n")
    with pytest.raises(CannotRead, match="more than 256 files"):
        read_interfaces(tmp_path)


def test_manager_when_ifupdown_alone_then_none(tmp_path: Path):
    write(tmp_path, "proc/1/comm", "systemd\n")
    assert other_manager("eth0", tmp_path) is None


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"proc/77/comm": "NetworkManager\n"}, "NetworkManager"),
        ({"etc/netplan/50-cloud-init.yaml": "network: {}\n"}, "netplan"),
        ({"run/netplan/x.yml": ""}, "netplan"),
        (
            {
                "proc/77/comm": "systemd-network\n",
                "sys/class/net/eth0/ifindex": "2\n",
                "run/systemd/netif/links/2": "ADMIN_STATE=configured\nOPER_STATE=routable\n",
            },
            "systemd-networkd",
        ),
    ],
)
def test_manager_when_another_runs_then_named(tmp_path: Path, files: dict[str, str], word: str):
    for path, text in files.items():
        write(tmp_path, path, text)
    assert word in str(other_manager("eth0", tmp_path))


@pytest.mark.parametrize("state", ["ADMIN_STATE=unmanaged\n", ""])
def test_manager_when_networkd_leaves_the_interface_alone_then_none(tmp_path: Path, state: str):
    write(tmp_path, "proc/77/comm", "systemd-network\n")
    write(tmp_path, "sys/class/net/eth0/ifindex", "2\n")
    write(tmp_path, "run/systemd/netif/links/2", state)
    assert other_manager("eth0", tmp_path) is None


def test_name_servers_when_the_stub_of_resolved_then_those_behind_it(tmp_path: Path):
    write(tmp_path, "etc/resolv.conf", "nameserver 127.0.0.53\n")
    assert name_servers(tmp_path) == ["127.0.0.53"]
    write(tmp_path, "run/systemd/resolve/resolv.conf", "nameserver 8.8.8.8\nnameserver 8.8.4.4\n")
    assert name_servers(tmp_path) == ["8.8.8.8", "8.8.4.4"]


def test_name_servers_when_replaced_then_every_other_line_stays():
    text = "# mine\nsearch a b\nnameserver 1.1.1.1 # old\noptions edns0\nnameserver ::1"
    new = with_servers(text, [IPv4Address("8.8.8.8"), IPv4Address("8.8.8.8")])
    assert new == "# mine\nsearch a b\nnameserver 8.8.8.8\noptions edns0\n"
    assert servers_of(with_servers("options x", [IPv4Address("9.9.9.9")])) == ["9.9.9.9"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("nameserver 1.1.1.1\n", False), ("# Generated by resolvconf\n", True)],
)
def test_resolver_when_a_plain_file_then_it_is_openresolvs_if_it_says_so(
    tmp_path: Path, text: str, expected: bool
):
    write(tmp_path, "etc/resolv.conf", text)
    assert is_kept_by_others(tmp_path) is expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("../run/systemd/resolve/stub-resolv.conf", True),
        ("/run/resolvconf/resolv.conf", True),
        ("resolv.conf.mine", False),
    ],
)
def test_resolver_when_a_link_then_its_target_tells_whose(
    tmp_path: Path, target: str, expected: bool
):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to(target)
    assert is_kept_by_others(tmp_path) is expected
