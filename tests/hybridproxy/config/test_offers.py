"""Which backend serves which model, and at which price: the configuration, then the overlay, then the catalogue."""

from collections.abc import Callable
from pathlib import Path

from hybridproxy.catalogue.offers import Offer
from hybridproxy.config.load import load
from hybridproxy.model.price import price

BACKENDS = """
backends:
  sg: {provider: dashscope, site: singapore, api_key: "${DASHSCOPE_API_KEY}"}
  us: {provider: together, api_key: "${TOGETHER_API_KEY}"}
  vpc: {provider: vllm, base_url: "http://127.0.0.1:8000"}
routes:
  default: {regions: {default: [vpc, us, sg]}, prefer: [latency, price]}
tenants:
  shop: {keys: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]}
"""
ENVIRON = {"DASHSCOPE_API_KEY": "k", "TOGETHER_API_KEY": "k"}
TODAY = "2026-11-26"
Write = Callable[..., Path]


def offers(write: Write, models: str, more: str = "", today: str = TODAY) -> dict[tuple[str, str], Offer]:
    """What a file with these models offers."""
    path = write(f"models:\n  {models}\n{BACKENDS}{more}")
    return {(one.model, one.backend): one for one in load(path, ENVIRON, today=today).offers}


def test_the_configuration_wins(write: Write) -> None:
    """Its price with all its parts, its window, its day."""
    found = offers(
        write,
        """qwen:
    family: qwen3
    context: 1000
    served_by:
      sg:
        name: qwen3-max
        released: 2026-01-02
        price:
          {input: 1, output: 2, thinking: 3, cache_read: 0.1, cache_read_explicit: 0.05, cache_write: 1.25, tiers: [
            {above: 9, input: 5, output: 6}, {above: 3, input: 4, output: 5}]}""",
    )["qwen", "sg"]
    tiers = ((3, price(4, 5)), (9, price(5, 6)))
    assert found.price == price(1, 2, thinking=3, cached=0.1, written=1.25, tiers=tiers, asked=0.05)
    assert (found.context, found.released) == (1000, "2026-01-02")
    assert (found.price_from, found.context_from) == ("configuration", "configuration")


def test_what_it_does_not_say_the_catalogue_does(write: Write) -> None:
    """Down to the snapshot that routing decides by; what nobody knows is a stand-in."""
    path = write(
        "models: {qwen: {family: qwen3, served_by: {us: Qwen/Qwen3.7-Plus, vpc: mine}}}" + BACKENDS,
    )
    configuration = load(path, ENVIRON)
    served = {one.backend: one for one in configuration.snapshot.models["qwen"].served_by}
    assert (served["us"].price, served["us"].context) == (price(0.32, 1.28), 1_000_000)
    assert (served["us"].released, served["us"].official, served["us"].closed) == ("2026-06-02", False, False)
    assert not served["vpc"].price.known
    mine = configuration.offers[1]
    assert (mine.price_from, mine.context_from, mine.owned) == ("", "", True)
    assert configuration.snapshot.routes["default"].handling.paced


def test_an_overlay_comes_between_them(write: Write) -> None:
    """What the upstreams' lists said, or the operator knows better."""
    write(
        """
dated: 2026-11-26
models:
  - {backend: us, name: Qwen/Qwen3.7-Plus, price: {input: 0.1, output: 0.2}, leaves: 2026-12-24}
  - {backend: vpc, name: mine, context: 32768}
""",
        "prices.yaml",
    )
    models = "qwen: {family: qwen3, served_by: {us: Qwen/Qwen3.7-Plus, vpc: mine}}"
    found = offers(write, models, "catalogue: prices.yaml\n")
    us, mine = found["qwen", "us"], found["qwen", "vpc"]
    assert (us.price, us.price_from, us.leaves) == (price(0.1, 0.2), "refreshed", "2026-12-24")
    assert us.context == 1_000_000
    assert (mine.context, mine.context_from) == (32_768, "refreshed")


def test_a_logical_name_has_every_backend_with_one_of_its_line(write: Write) -> None:
    """The freshest of each; what is written there wins, and may be an engine of one's own."""
    models = "latest: {family: qwen3, latest: qwen-max, served_by: {vpc: {name: mine, released: 2026-10-01}}}"
    found = offers(write, models)
    assert {backend: (one.name, one.released, one.latest) for (_, backend), one in found.items()} == {
        "vpc": ("mine", "2026-10-01", ""),
        "sg": ("qwen3.8-max", "2026-08-03", "qwen-max"),
        "us": ("Qwen/Qwen3.7-Max", "2026-05-21", "qwen-max"),
    }
    served = load(write(f"models:\n  {models}\n{BACKENDS}"), ENVIRON).snapshot.models["latest"].served_by
    assert {one.backend: (one.official, one.closed) for one in served} == {
        "vpc": (False, False),
        "sg": (True, False),
        "us": (False, True),
    }
