"""The upper layer: the environment with the program, its settings, and what probes its health."""

from __future__ import annotations

from pathlib import Path

from debian.contents import FILES as PACKAGED
from debian.contents import write
from debian.environment import make_environment, set_times
from debian.rendering import variables

from image.base import USER
from image.configuration import DATA, NAME, PROBE, PROGRAM, Image

FILES = Path(__file__).parent / "files"


def fill_tree(tree: Path, wheels: Path, bill: str, image: Image) -> dict[str, int]:
    """Fill a tree that does not exist yet; return the owners of what is not root's.

    Parameters
    ----------
    wheels
        A filled bundle: wheels and `requirements.txt`.
    bill
        The bill of materials of the whole image.
    """
    values = variables()
    home = Path(values["base_home"], "current")
    made = make_environment(tree, home, wheels, image.epoch)
    write(made / ".image", f"{NAME} {image.version}\n")
    program = _place(tree, PROGRAM)
    program.symlink_to(home / "bin" / "appliance")
    for name in ("appliance.yml", "api_server.yml"):
        settings = _place(tree, f"{values['base_configuration']}/{name}")
        write(settings, (FILES / name).read_text())
    write(_place(tree, PROBE), (FILES / "probe.py").read_text(), 0o755)
    documents = f"/usr/share/doc/{NAME}"
    write(_place(tree, f"{documents}/copyright"), (PACKAGED / "copyright").read_text())
    write(_place(tree, f"{documents}/sbom.cdx.json"), bill)
    data = _place(tree, DATA)
    data.mkdir()
    data.chmod(0o750)
    set_times(tree, image.epoch)
    return {DATA.lstrip("/"): USER}


def _place(tree: Path, path: str) -> Path:
    """Return where a path of the image is in the tree, in a folder that is there."""
    place = tree / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
