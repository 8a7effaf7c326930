"""The file that goes before the catalogue."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError

MAIN = """
catalogue: prices.yaml
backends: {vpc: {provider: vllm, base_url: "http://127.0.0.1:8000"}}
models: {qwen: {family: qwen3, served_by: {vpc: mine}}}
routes: {default: {regions: {default: [vpc]}}}
tenants: {shop: {keys: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]}}
"""
Write = Callable[..., Path]


def mistakes(write: Write, overlay: str | None) -> list[str]:
    """What is wrong with an overlay, without its folder."""
    if overlay is not None:
        write(overlay, "prices.yaml")
    path = write(MAIN)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    return [str(mistake).removeprefix(f"{path.parent}/") for mistake in caught.value.mistakes]


def test_every_mistake_has_its_place_in_the_overlay(write: Write) -> None:
    """As in the main file."""
    assert mistakes(write, "dated: soon\nmodels:\n  - {backend: vpc, nam: mine, price: {input: -1, output: 1}}\n") == [
        "prices.yaml:1:8: dated: expected a day such as 2026-11-04",
        "prices.yaml:3:5: models[0].name: is required",
        (
            "prices.yaml:3:20: models[0].nam: unknown option: expected one of: backend, context, leaves, line, name, "
            "price, released; did you mean name?"
        ),
        "prices.yaml:3:46: models[0].price.input: expected greater than or equal to 0",
    ]


def test_a_file_that_is_none_is_a_mistake(write: Write) -> None:
    """Missing, empty, or not YAML."""
    assert mistakes(write, None) == ["hybridproxy.yaml:2:12: catalogue: there is no such file"]
    assert mistakes(write, "") == ["prices.yaml:1:1: expected a mapping, {} for an empty one"]
    (only,) = mistakes(write, "models: [")
    assert only.startswith(("prices.yaml:1:", "prices.yaml:2:"))
    assert "not YAML" in only


def test_notes_on_backends_that_are_gone_do_no_harm(write: Write) -> None:
    """An overlay is older than the configuration at times."""
    write("models: [{backend: gone, name: x, context: 5}]", "prices.yaml")
    assert [one.context for one in load(write(MAIN), {}).offers] == [None]
