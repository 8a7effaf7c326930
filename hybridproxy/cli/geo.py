"""`hybridproxy geo`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from hybridproxy.cli.common import DEFAULT_FILE, AsJson, ConfigFile, fail, load_config, open_database, print_json


def geo(
    address: Annotated[str, typer.Argument(help="The client's address, or the peer's where --header is given.")],
    header: Annotated[
        list[str] | None, typer.Option(help="A value of the forwarding header, as it arrived; may be repeated.")
    ] = None,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Show which hop is trusted, what the country database says of the client, and which region follows.

    Without a configuration file no proxy is trusted and the region is not known.

    Example: hybridproxy geo 10.0.0.7 --header "203.0.113.9, 165.21.83.88"
    """
    from geo.client_ip import client_address
    from geo.locate import Locator
    from geo.networks import NetworkSet
    from geo.regions import region_of

    if config is None and "HYBRIDPROXY_CONFIG" not in os.environ and not Path(DEFAULT_FILE).is_file():
        settings = None
        client = client_address(address, header or (), "x-forwarded-for", NetworkSet.parse([]))
        database = open_database(None)
        locator = Locator(database)
    else:
        settings = load_config(config, json_output=json).settings
        client = client_address(address, header or (), settings.listen.forwarded_header, settings.trusted)
        database = open_database(settings.geo.database)
        locator = Locator(database, settings.geo.overrides)
    if client.source == "none":
        fail(f"{address!r} is not an IP address")
    location = locator.locate(client.address)
    region = None if settings is None else region_of(location, settings.regions)
    answer = {
        "client": client.address,
        "found_in": client.source,
        "trusted_hops": list(client.hops),
        "problem": client.problem,
        "country": location.country,
        "continent": location.continent,
        "source": location.source,
        "database": {"type": database.info.type, "built": database.info.built.date().isoformat()},
        "region": region,
    }
    if json:
        print_json(answer)
        return
    hops = ", ".join(client.hops) or "none"
    print(f"client    {client.address or 'none'} (from the {client.source}; trusted hops: {hops})")
    if client.problem:
        print(f"problem   {client.problem}")
    print(f"location  {location.country or 'unknown'}, continent {location.continent or 'unknown'} ({location.source})")
    print(f"database  {database.info.type}, built {database.info.built:%Y-%m-%d}")
    print(f"region    {region or ('none: calls are refused' if settings else 'not known without a configuration')}")
