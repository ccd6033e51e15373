"""`appliance cert`: HTTPS for the first start."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from appliance.cli.options import pass_settings
from appliance.errors import StartupError
from appliance.settings.file import Settings

_DAYS = 825
"""The longest that the programs of Apple accept."""


@click.command("cert")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME|ADDRESS",
    help="Also valid for this; repeatable.",
)
@click.option("--days", type=click.IntRange(1, 36500), default=_DAYS, show_default=True)
@click.option("--force", is_flag=True, help="Replace the pair that is there.")
@click.option("--if-missing", is_flag=True, help="Do nothing where there is a certificate.")
@pass_settings
def command(
    settings: Settings, names: tuple[str, ...], days: int, force: bool, if_missing: bool
) -> None:
    """Make a self-signed certificate for HTTPS.

    It lies in the data directory, and web.listen speaks HTTPS with it from the next start on,
    unless web.tls_certificate names another. Prints its fingerprint, to compare with what a browser
    shows.
    """
    from appliance.web.certificates import fingerprint, is_there, make_pair, own_pair, usual_names
    from appliance.web.listeners import appliance_tls

    pair = own_pair(settings)
    if if_missing and appliance_tls(settings) is not None:
        return
    if is_there(pair) and not force:
        raise StartupError(f"{pair.certificate} is there already: --force replaces it")
    make_pair(pair, [*usual_names(settings), *names], days, datetime.now(UTC))
    click.echo(f"certificate {pair.certificate}")
    click.echo(f"SHA-256     {fingerprint(pair.certificate)}")


def _make_if_missing(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.invoke(command, if_missing=True)


make_certificate_option = click.option(
    "--make-certificate",
    is_flag=True,
    expose_value=False,
    callback=_make_if_missing,
    help="First make a certificate where there is none, as `appliance cert --if-missing` does.",
)
"""For commands that serve HTTPS in one step, such as in a container."""
