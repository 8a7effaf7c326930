"""`hybridproxy key`."""

import secrets
from typing import Annotated

import typer

from hybridproxy.cli.common import AsJson, print_json

app = typer.Typer(help="Keys of tenants.", no_args_is_help=True)


@app.callback()
def _key() -> None:
    """Keys of tenants."""


@app.command()
def new(tenant: Annotated[str, typer.Argument(help="Who gets the key.")], json: AsJson = False) -> None:
    """Make a key: it is printed once, the digest goes into the configuration.

    Example: hybridproxy key new shop
    """
    from hybridproxy.config.keys import new_key

    key, digest = new_key(secrets.token_bytes)
    if json:
        print_json({"tenant": tenant, "key": key, "digest": digest})
        return
    print(f'key for {tenant}, shown only now:\n  {key}\nfor the configuration:\n  {tenant}: {{keys: ["{digest}"]}}')
