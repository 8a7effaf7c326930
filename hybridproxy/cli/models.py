"""`hybridproxy models`."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybridproxy.cli.common import (
    FOUND,
    AsJson,
    ConfigFile,
    fail,
    load_config,
    print_columns,
    print_json,
    progress,
    today,
)

if TYPE_CHECKING:
    from hybridproxy.catalogue.catalogue import Overlay
    from hybridproxy.catalogue.differences import Difference
    from hybridproxy.catalogue.offers import Offer
    from hybridproxy.config.settings import Configuration


def models(
    tenant: Annotated[str | None, typer.Option(help="Only what this tenant may use.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the backends' own lists what is different.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="With --refresh: write what is different into an overlay, for `catalogue:`.")
    ] = None,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """List the models: which backend serves what, with which window, at which price, and who says so.

    Prices are US dollars for a million tokens of input and of output. Ends with status 1 when a model is gone or leaves
    within 60 days, and with --refresh also when a list says something else or cannot be had.

    Example: hybridproxy models --refresh --output prices.yaml
    """
    from hybridproxy.catalogue.catalogue import DATED
    from hybridproxy.catalogue.offers import warnings
    from hybridproxy.routing.gate import usable_models

    if output is not None and not refresh:
        fail("--output goes with --refresh")
    configuration = load_config(config, json_output=json)
    snapshot, offers = configuration.snapshot, configuration.offers
    if tenant is not None:
        if tenant not in snapshot.tenants:
            fail(f"there is no tenant {tenant!r}")
        usable = usable_models(snapshot, snapshot.tenants[tenant])
        offers = tuple(offer for offer in offers if offer.model in usable)
    ends = [message for _, message in warnings(offers, today())]
    refreshed = _refresh(configuration, offers) if refresh else None
    if refreshed is not None and output is not None:
        _write(output, refreshed.overlay)
    if json:
        more = {} if refreshed is None else refreshed.plain()
        print_json({"catalogue": DATED, "models": _listed(offers), "warnings": ends, **more})
    else:
        _print(configuration, offers, ends)
        if refreshed is not None:
            _print_refreshed(refreshed, output)
    if ends or (refreshed is not None and (refreshed.changes or refreshed.unanswered)):
        raise typer.Exit(FOUND)


def _listed(offers: Sequence["Offer"]) -> dict[str, Any]:
    from hybridproxy.catalogue.differences import rates

    rows: dict[str, Any] = {}
    for offer in offers:
        rows.setdefault(offer.model, {})[offer.backend] = {
            "name": offer.name,
            "context": offer.context,
            "context_from": offer.context_from or None,
            "price": rates(offer.price) if offer.price.known else None,
            "price_from": offer.price_from or None,
            "released": offer.released or None,
            "leaves": offer.leaves or None,
            "latest": offer.latest or None,
        }
    return rows


def _print(configuration: "Configuration", offers: Sequence["Offer"], ends: Sequence[str]) -> None:
    from hybridproxy.catalogue.differences import shown

    for name in dict.fromkeys(offer.model for offer in offers):
        line = configuration.snapshot.models[name].latest
        print(f"{name} (the freshest {line})" if line else name)
        own = [offer for offer in offers if offer.model == name]
        if line:
            own.sort(key=lambda offer: offer.released, reverse=True)
        print_columns(
            [
                (
                    f"  {offer.backend}",
                    offer.name,
                    f"{offer.context:,} tokens" if offer.context else "window unknown",
                    shown(offer.price) if offer.price.known else "price unknown",
                    offer.released or "-",
                    _sources(offer),
                )
                for offer in own
            ]
        )
    for message in ends:
        print(f"warning: {message}")


def _sources(offer: "Offer") -> str:
    """Return who says what it costs and, where that is another, how long its window is."""
    said = [offer.price_from] if offer.price_from else []
    if offer.context_from not in {"", offer.price_from}:
        said.append(f"window: {offer.context_from}")
    return "; ".join(said)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What is different, the overlay of it, and who did not answer."""

    changes: list["Difference"]
    overlay: "Overlay"
    unanswered: dict[str, str]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, without the overlay."""
        return {"differences": [asdict(change) for change in self.changes], "unanswered": self.unanswered}


def _refresh(configuration: "Configuration", offers: Sequence["Offer"]) -> Refreshed:
    """Ask every backend that offers something."""
    from hybridproxy.catalogue.differences import differences
    from hybridproxy.gateway.lists import ask_lists
    from hybridproxy.providers import PROVIDERS

    snapshot = configuration.snapshot

    def on_a_list(offer: "Offer") -> bool:
        row = PROVIDERS[snapshot.backends[offer.backend].provider].lists
        return row is not None and row.is_about(offer.name)

    names = list(dict.fromkeys(offer.backend for offer in offers))
    with progress("asking", len(names)) as step:
        answers = asyncio.run(ask_lists(snapshot, names, step))
    lists = {name: answer for name, answer in answers.items() if not isinstance(answer, str)}
    pinned = {name for name in names if snapshot.backends[name].pin}
    changes, overlay = differences(filter(on_a_list, offers), lists, configuration.overlay, pinned, today())
    return Refreshed(changes, overlay, {name: answer for name, answer in answers.items() if isinstance(answer, str)})


def _print_refreshed(refreshed: Refreshed, output: Path | None) -> None:
    for change in refreshed.changes:
        print(f"different: {change}")
    for name, why in refreshed.unanswered.items():
        print(f"no list: {name}: {why}", file=sys.stderr)
    if not refreshed.changes:
        print("the lists say nothing else")
    if output is not None:
        print(f"written: {output}; name it in the configuration: catalogue: {output.name}")


def _write(path: Path, overlay: "Overlay") -> None:
    """Write an overlay, whole or not at all."""
    from hybridproxy.catalogue.differences import written

    lines = [f"  - {json.dumps(entry, ensure_ascii=True)}" for entry in written(overlay)]
    text = "\n".join([f'dated: "{today()}"', "models:" if lines else "models: []", *lines, ""])
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.replace(file.name, path)  # noqa: PTH105 - the same
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}")
