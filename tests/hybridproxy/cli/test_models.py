"""`hybridproxy models`: what is served, by whom, at which price, and what the upstreams' lists say otherwise."""

import asyncio
import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import Result

from hybridproxy.config.load import load
from hybridproxy.providers.lists import Listed
from tests.support.patience import LONG

Run = Callable[..., Result]
QWEN = "Qwen/Qwen3.7-Plus"
SAID = "catalogue of 2026-11-23: litellm 1.109.1"


def shift(days: int) -> str:
    """So many days from today."""
    return (dt.datetime.now(dt.UTC).date() + dt.timedelta(days)).isoformat()


def catalogued(file: Path, *, url: str = "https://api.together.ai/v1", notes: str = "") -> Path:
    """Put a backend that the catalogue knows into the file, an overlay, and a logical name."""
    text = file.read_text()
    backend = f'  tg: {{provider: together, base_url: "{url}", api_key: "${{UPSTREAM}}"}}\nmodels:\n'
    models = (
        f"  plus: {{family: qwen3, served_by: {{tg: {QWEN}}}}}\n  max: {{family: qwen3, latest: qwen-max}}\nroutes:\n"
    )
    text = text.replace("models:\n", backend).replace("routes:\n", models).replace("[sg, us]", "[sg, us, tg]")
    if notes:
        (file.parent / "prices.yaml").write_text(f"models: [{notes}]\n")
        text += "catalogue: prices.yaml\n"
    file.write_text(text)
    return file


def test_every_model_with_its_backends_prices_and_sources(file: Path, run: Run) -> None:
    """The list reads like the file, and says who says so."""
    done = run("models", "--config", catalogued(file))
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["qwen"],
        ["sg", "qwen-sg", "window", "unknown", "price", "unknown", "-"],
        ["us", "qwen-us", "window", "unknown", "price", "unknown", "-"],
        ["vpc", "qwen-vpc", "window", "unknown", "price", "unknown", "-"],
        ["only-us"],
        ["us", "small", "window", "unknown", "price", "unknown", "-"],
        ["plus"],
        ["tg", QWEN, "1,000,000", "tokens", "$0.32/$1.28", "2026-06-02", *SAID.split()],
        ["max", "(the", "freshest", "qwen-max)"],
        ["tg", "Qwen/Qwen3.7-Max", "1,000,000", "tokens", "$1.5/$4.5", "2026-05-21", *SAID.split()],
    ]


def test_a_tenants_own(file: Path, run: Run) -> None:
    """The sovereign tenant sees only what its VPC serves."""
    answer = json.loads(run("models", "--config", file, "--tenant", "bank", "--json").stdout)
    assert list(answer["models"]) == ["qwen"]
    answer = json.loads(run("models", "--config", file, "--tenant", "shop", "--json").stdout)
    assert list(answer["models"]) == ["qwen", "only-us"]


def test_json_has_all_that_is_known(file: Path, run: Run) -> None:
    """Prices in dollars, what nobody knows as null."""
    answer = json.loads(run("models", "--config", catalogued(file), "--json").stdout)
    assert answer["models"]["max"] == {
        "tg": {
            "name": "Qwen/Qwen3.7-Max", "context": 1_000_000, "context_from": SAID,
            "price": {"input": 1.5, "output": 4.5}, "price_from": SAID, "released": "2026-05-21", "leaves": None,
            "latest": "qwen-max",
        }
    }  # fmt: skip
    assert answer["models"]["only-us"]["us"]["price"] is None
    assert answer["warnings"] == []


def test_what_is_gone_or_leaves_soon_is_found(file: Path, run: Run) -> None:
    """Status 1, and `check` gives the same warning."""
    soon, past = shift(59), shift(-1)  # told once: midnight may come
    notes = f"{{backend: tg, name: {QWEN}, leaves: {soon}, context: 7}}"
    done = run("models", "--config", catalogued(file, notes=notes))
    assert done.exit_code == 1
    assert f"warning: {QWEN} leaves on {soon} at tg (refreshed)\n" in done.stdout
    assert "window: refreshed" in done.stdout
    checked = run("check", "--config", file)
    assert checked.exit_code == 0
    assert f"models.plus.served_by.tg: {QWEN} leaves on {soon} at tg (refreshed)\n" in checked.stdout
    (file.parent / "prices.yaml").write_text(f"models: [{{backend: tg, name: {QWEN}, leaves: {past}}}]\n")
    assert f"{QWEN} gone since {past}" in run("models", "--config", file).stdout


def test_an_unknown_tenant_is_misuse(file: Path, run: Run) -> None:
    """A name that is not in the file is told."""
    done = run("models", "--config", file, "--tenant", "nobody")
    assert done.exit_code == 2
    assert done.stderr == "hybridproxy: there is no tenant 'nobody'\n"
    assert done.stdout == ""


@contextmanager
def together(*entries: dict[str, Any]) -> Iterator[str]:
    """Together's list, at an address of the test's."""
    started, ended, port = threading.Event(), asyncio.Event(), [0]
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application()

        async def answer(_request: web.Request) -> web.Response:
            return web.json_response(list(entries))

        app.router.add_get("/v1/models", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port[0] = runner.addresses[0][1]
        started.set()
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(LONG)
    try:
        yield f"http://127.0.0.1:{port[0]}/v1"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def listed(name: str, usd: float = 0.32) -> dict[str, Any]:
    """An entry as Together has it."""
    return {"id": name, "context_length": 1_000_000, "pricing": {"input": usd, "output": 1.28}}


MAX = listed("Qwen/Qwen3.7-Max") | {"pricing": {"input": 1.5, "output": 4.5}}


def only_together(file: Path) -> None:
    """Leave out what cannot be asked here."""
    text = file.read_text()
    text = text.replace("served_by: {sg: qwen-sg, us: qwen-us, vpc: qwen-vpc}", f"served_by: {{tg: {QWEN}}}")
    text = text.replace("served_by: {us: small}", f"served_by: {{tg: {QWEN}}}").replace(
        '  bank: {keys: ["sha256:', '  x: {keys: ["sha256:'
    )
    file.write_text(text.replace("residency: vpc", "route: default"))


def test_a_refresh_tells_what_the_lists_say_otherwise_and_writes_an_overlay(file: Path, run: Run) -> None:
    """A new price, a model gone; named in the configuration the overlay holds from then on."""
    with together(listed(QWEN, 0.5), listed("Qwen/Qwen3.9-Max")) as url:
        only_together(catalogued(file, url=url))
        done = run("models", "--config", file, "--refresh", "--output", "prices.yaml")
    assert done.exit_code == 1
    assert [line for line in done.stdout.splitlines() if line.startswith(("different", "written"))] == [
        f"different: tg: {QWEN}: price: $0.5/$1.28, was $0.32/$1.28 ({SAID})",
        "different: tg: Qwen/Qwen3.7-Max: gone: it is not on the list",
        "different: tg: Qwen/Qwen3.9-Max: new: a qwen-max; give it `line` and `released` in the overlay",
        "written: prices.yaml; name it in the configuration: catalogue: prices.yaml",
    ]
    # without the logical name, which has nothing left
    file.write_text(
        file.read_text().replace("  max: {family: qwen3, latest: qwen-max}\n", "") + "catalogue: prices.yaml\n"
    )
    offers = {offer.model: offer for offer in load(file, {"ADMIN_TOKEN": "a", "UPSTREAM": "u"}).offers}
    assert (offers["plus"].price.input, offers["plus"].price_from) == (500_000_000, "refreshed")
    with together(listed(QWEN, 0.5), MAX) as url:
        file.write_text(file.read_text().replace("https://api.together.ai/v1", url))
        assert json.loads((file.parent / "prices.yaml").read_text().splitlines()[2].removeprefix("  - "))


def test_what_is_on_no_list_is_not_gone(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fireworks' list is of its serverless models; a deployment is the account's own."""

    async def ask(_snapshot: Any, names: list[str], _step: Any) -> dict[str, Any]:
        return dict.fromkeys(names, (Listed("accounts/fireworks/models/other"),))

    monkeypatch.setattr("hybridproxy.gateway.lists.ask_lists", ask)
    text = file.read_text()
    backend = '  fw: {provider: fireworks, api_key: "${UPSTREAM}"}\nmodels:\n'
    own = "  own: {family: qwen3, served_by: {fw: accounts/acme/deployments/abc}}\n"
    gone = "  gone: {family: qwen3, served_by: {fw: accounts/fireworks/models/x}}\n"
    text = text.replace("models:\n", backend + own + gone)
    file.write_text(text.replace("[sg, us]", "[sg, us, fw]"))
    told = run("models", "--refresh", "--config", file).stdout
    assert "different: fw: accounts/fireworks/models/x: gone" in told
    assert "different: fw: accounts/acme" not in told


def test_a_refresh_that_finds_nothing_else_is_fine(file: Path, run: Run) -> None:
    """And one that gets no answer is not."""
    with together(listed(QWEN), MAX) as url:
        only_together(catalogued(file, url=url))
        done = run("models", "--config", file, "--refresh", "--output", "prices.yaml")
        assert (done.exit_code, done.stdout.splitlines()[-2]) == (0, "the lists say nothing else")
        assert (file.parent / "prices.yaml").read_text().endswith("models: []\n")
        answer = json.loads(run("models", "--config", file, "--refresh", "--json").stdout)
        assert (answer["differences"], answer["unanswered"]) == ([], {})
    done = run("models", "--config", file, "--refresh")
    assert done.exit_code == 1
    assert done.stderr.startswith("no list: tg: ")


def test_an_output_without_a_refresh_or_without_a_place_is_misuse(file: Path, run: Run) -> None:
    """Nothing is written."""
    done = run("models", "--config", file, "--output", "prices.yaml")
    assert (done.exit_code, done.stderr) == (2, "hybridproxy: --output goes with --refresh\n")
    with together(listed(QWEN), MAX) as url:
        only_together(catalogued(file, url=url))
        done = run("models", "--config", file, "--refresh", "--output", "nowhere/prices.yaml")
    assert (done.exit_code, done.stderr) == (
        2,
        "hybridproxy: cannot write nowhere/prices.yaml: No such file or directory\n",
    )
