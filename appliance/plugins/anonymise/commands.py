"""`appliance anonymise`: a key, and which address stands for which."""

from __future__ import annotations

from pathlib import Path

import click

from appliance import Settings
from appliance.cli.options import pass_settings


@click.group("anonymise")
def anonymise() -> None:
    """Make the key of anonymisation, and turn addresses into others and back."""


@anonymise.command("key")
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> None:
    """Write a new key to FILE, which only its owner may read.

    Set anonymise.key_file to it; the user that the collector runs as must be able to read it. Keep
    a copy elsewhere: without it nobody turns addresses back, and with another key the same host
    gets another address.
    """
    from appliance.plugins.anonymise.key_files import write_new_key

    write_new_key(file)
    click.echo(f"{file} has a new key; name it in anonymise.key_file")


@anonymise.command("address")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--back", is_flag=True, help="ADDRESS is one of the flow log: print the real one.")
@pass_settings
def address(settings: Settings, /, addresses: tuple[str, ...], back: bool) -> None:
    """Print which address stands for each ADDRESS.

    That is what flows have in its place, such as to search for a host. Needs the key.
    """
    from appliance.plugins.anonymise.address_map import address_map_of
    from appliance.plugins.anonymise.single_addresses import original_of, replaced_of

    table = address_map_of(settings)
    turn = original_of if back else replaced_of
    for text in addresses:
        try:
            click.echo(turn(table, text))
        except ValueError:
            raise click.BadParameter(f"expected an address, found {text!r}") from None
