"""What has to fit together within a model, and what is known to end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hybridproxy.catalogue.checkpoints import LINES
from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError

MAIN = """
backends:
  us: {provider: together, api_key: "${TOGETHER_API_KEY}"}
  vpc: {provider: vllm, base_url: "http://127.0.0.1:8000"}
routes: {default: {regions: {default: [us, vpc]}}}
tenants: {shop: {keys: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]}}
models:
"""
ENVIRON = {"TOGETHER_API_KEY": "k"}
Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("models", "wrong"),
    [
        ("{qwen: {family: qwen3}}", "models.qwen.served_by: expected at least one backend"),
        (
            "{l: {family: qwen3, latest: qwen-mox}}",
            (
                f"models.l.latest: there is no line of models qwen-mox: expected one of: {', '.join(LINES)}; "
                "did you mean qwen-max?"
            ),
        ),
        (
            "{l: {family: qwen3, latest: qwen-27b}}",
            "models.l.latest: no backend is known to have a qwen-27b: name them in served_by",
        ),
        ('{"l*": {family: qwen3, latest: qwen-max}}', "a name for the freshest of a line holds no *"),
        (
            "{q: {family: qwen3, served_by: {us: {name: x, price: {input: 1, output: 1, tiers: [%s, %s]}}}}}"
            % (("{above: 5, input: 1, output: 1}",) * 2),
            "models.q.served_by.us.price.tiers: two tiers begin at the same number of tokens",
        ),
    ],
)
def test_a_model_that_cannot_be_is_refused(models: str, wrong: str, write: Write) -> None:
    """Each with what was expected."""
    with pytest.raises(ConfigError) as caught:
        load(write(MAIN.rstrip() + f" {models}\n"), ENVIRON)
    (mistake,) = map(str, caught.value.mistakes)
    assert mistake.endswith(wrong)


def warned(write: Write, models: str, today: str) -> list[str]:
    """What is warned of on a day."""
    path = write(MAIN.rstrip() + f" {models}\n")
    return [warning.partition(": ")[2] for warning in load(path, ENVIRON, today=today).warnings]


def test_what_is_gone_or_soon_will_be_is_warned_of(write: Write) -> None:
    """With the day and who says so; where nobody tells the day of today nothing is."""
    models = "{big: {family: qwen3, served_by: {us: Qwen/Qwen3.8-2.4T-A95B}}}"
    said = "at us (catalogue of 2026-11-23: litellm 1.109.1)"
    place = "models.big.served_by.us"
    assert warned(write, models, "2026-11-26") == [f"{place}: Qwen/Qwen3.8-2.4T-A95B gone since 2026-11-04 {said}"]
    assert warned(write, models, "2026-10-01") == [f"{place}: Qwen/Qwen3.8-2.4T-A95B leaves on 2026-11-04 {said}"]
    assert warned(write, models, "2026-01-01") == []
    assert warned(write, models, "") == []


def test_a_logical_name_that_leads_to_an_end_is_warned_of_too(write: Write) -> None:
    """It will lead to something older from then on, or to nothing."""
    write("models: [{backend: us, name: Qwen/Qwen3.7-Max, leaves: 2026-12-01}]", "prices.yaml")
    path = write(MAIN.rstrip() + " {l: {family: qwen3, latest: qwen-max}}\ncatalogue: prices.yaml\n")
    (warning,) = load(path, ENVIRON, today="2026-11-26").warnings
    assert warning.endswith("models.l.latest: Qwen/Qwen3.7-Max leaves on 2026-12-01 at us (refreshed)")
