"""The container image as far as it can be seen without making one: layers, layout, settings.

That it runs: tests/image/test_running.py.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
import yaml

from appliance.settings.file import CORE_SETTINGS, read_settings_file
from appliance.web.api_server import read_api_server
from tests.ansible_modules import package_beside_playbook

ROOT = Path(__file__).parents[2]
FILES = ROOT / "ansible" / "image" / "files"
EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def image():
    """The modules that make the image, which lie beside the playbook."""
    with package_beside_playbook("image.__main__") as package:
        yield package


@pytest.fixture
def tree(tmp_path):
    """A tree with what a layer may hold."""
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/su").write_bytes(b"program")
    (tree / "usr/bin/su").chmod(0o4755)
    (tree / "usr/bin/link").symlink_to("su")
    (tree / "var/lib/data").mkdir(parents=True)
    (tree / "var/lib/data").chmod(0o750)
    return tree


@pytest.fixture
def written(image, tree, tmp_path):
    """An image of that tree, and its description."""
    described = image.configuration.Image("1.2.3", "amd64", EPOCH)
    members = image.layers.tree_members(tree, {"var/lib/data": 2055}, EPOCH)
    layer = image.layers.write_layer(tmp_path / "layer", members, "a test", 1)
    return image.archive.write_archive(tmp_path / "dist", described, [layer]), described


def blobs(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {entry.name: opened.extractfile(entry).read() for entry in opened if entry.isreg()}


def blob_of(files: dict[str, bytes], descriptor) -> bytes:
    content = files[f"blobs/{descriptor['digest'].replace(':', '/')}"]
    assert hashlib.sha256(content).hexdigest() == descriptor["digest"].removeprefix("sha256:")
    assert len(content) == descriptor["size"]
    return content


def test_layer_when_written_twice_then_the_same_octets(image, tree, tmp_path):
    for name in ("one", "other"):
        members = image.layers.tree_members(tree, {}, EPOCH)
        image.layers.write_layer(tmp_path / name, members, "", 6)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_layer_when_written_then_nobody_can_become_another_user_and_owners_are_kept(
    image, tree, tmp_path
):
    members = image.layers.tree_members(tree, {"var/lib/data": 2055}, EPOCH)
    layer = image.layers.write_layer(tmp_path / "layer", members, "", 6)
    with tarfile.open(layer.file) as archive:
        entries = {entry.name: entry for entry in archive}
    assert entries["usr/bin/su"].mode == 0o755
    assert entries["usr/bin/link"].linkname == "su"
    assert (entries["var/lib/data"].uid, entries["var/lib/data"].mode) == (2055, 0o750)
    assert {entry.uid for name, entry in entries.items() if name != "var/lib/data"} == {0}
    assert max(entry.mtime for entry in entries.values()) == EPOCH


def test_archive_when_written_then_each_reference_leads_to_its_blob(written):
    files = blobs(written[0])
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (named,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(blob_of(files, named))
    settings = json.loads(blob_of(files, manifest["config"]))
    (layer,) = manifest["layers"]
    plain = gzip.decompress(blob_of(files, layer))
    assert settings["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
    assert len(settings["history"]) == 1
    # Each blob is referred to.
    assert len([name for name in files if name.startswith("blobs/")]) == 3


def test_archive_when_an_older_docker_reads_it_then_the_same_blobs_under_two_names(written):
    files = blobs(written[0])
    (docker,) = json.loads(files["manifest.json"])
    (named,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(blob_of(files, named))
    assert docker["Config"].rpartition("/")[2] == manifest["config"]["digest"][7:]
    assert [name.rpartition("/")[2] for name in docker["Layers"]] == [
        layer["digest"][7:] for layer in manifest["layers"]
    ]
    assert docker["RepoTags"] == [
        "localhost/netflow-appliance:1.2.3",
        "localhost/netflow-appliance:latest",
    ]


def test_archive_when_written_then_its_name_has_version_and_processor(written):
    assert written[0].name == "netflow-appliance_1.2.3_amd64.oci.tar"
    assert not list(written[0].parent.glob("*.partial"))


def test_image_when_run_then_no_root_known_ports_and_commands_without_a_shell(image, written):
    settings = image.configuration.configuration(written[1], [])["config"]
    user, _, group = settings["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert settings["Entrypoint"][0] == "/usr/bin/tini"
    assert settings["Cmd"][0] == "run"
    default = next(each.default for each in CORE_SETTINGS if each.name == "collector.listen")
    udp = [f"{text.rpartition(':')[2]}/udp" for text in default]
    assert list(settings["ExposedPorts"]) == [*udp, "8443/tcp"]
    assert settings["Volumes"] == {"/var/lib/netflow-appliance": {}}


def test_base_when_packed_then_without_devices_and_what_names_the_builder(image, tmp_path):
    kept = {"etc/passwd": b"x", "usr/share/doc/libc6/copyright": b"y", "var/lib/dpkg/status": b"z"}
    gone = ("etc/apt/sources.list", "etc/passwd-", "var/log/dpkg.log", "var/cache/apt/x.bin")
    gone += ("etc/hostname", "var/lib/apt/lists/x", "etc/machine-id", "tmp/left")
    with tarfile.open(tmp_path / "base.tar", "w") as archive:
        for folder in ("./", "./etc/", "./tmp/", "./var/cache/", "./var/log/"):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for name, content in {**kept, **dict.fromkeys(gone, b"")}.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size, entry.uname, entry.mtime = len(content), "somebody", 2_000_000_000
            archive.addfile(entry, io.BytesIO(content))
        device = tarfile.TarInfo("./dev/null")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    members = list(image.base.base_members(tmp_path / "base.tar", EPOCH))
    folders = {"etc", "tmp", "var/cache", "var/log"}
    assert {member.entry.name for member in members} == {*kept, *folders}
    assert {member.entry.uname for member in members} == {""}
    assert max(member.entry.mtime for member in members) == EPOCH


def test_settings_when_in_the_image_then_accepted_and_only_https_leaves_the_container():
    settings = read_settings_file(FILES).settings()
    assert [str(at) for at in settings["web.listen"]] == ["0.0.0.0:8443"]
    assert str(read_api_server(FILES).listen) == "127.0.0.1:9999"


def test_image_when_made_then_what_its_parts_say_of_user_and_folder_agrees(image):
    name, _, user, group, _, home, shell = image.base.ACCOUNT.split(":")
    assert {user, group} == {str(image.base.USER)}
    assert (name, home) == ("netflow", image.configuration.DATA)
    assert shell.endswith("nologin")


def test_compose_when_read_then_it_runs_the_image_as_the_image_says(image, written):
    services = yaml.safe_load((ROOT / "conf" / "compose.yml").read_text())["services"]
    service = services["appliance"]
    assert service["image"] == "localhost/netflow-appliance:${NETFLOW_APPLIANCE:-latest}"
    assert service["image"].replace("${NETFLOW_APPLIANCE:-latest}", "latest") in written[1].tags
    settings = image.configuration.configuration(written[1], [])["config"]
    assert service["healthcheck"]["test"] == settings["Healthcheck"]["Test"]
    volumes = [text.partition(":")[2] for text in service["volumes"]]
    assert volumes == list(settings["Volumes"])
    # Addresses of exporters are theirs, and a database is not started unless it is asked for.
    assert service["network_mode"] == "host"
    assert services["mariadb"]["profiles"] == ["mariadb"]
