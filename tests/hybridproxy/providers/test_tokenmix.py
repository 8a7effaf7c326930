"""Tests of TokenMix's row."""

from hybridproxy.providers.provider import Provider
from hybridproxy.providers.tokenmix import TOKENMIX


def test_nothing_is_assumed_of_it() -> None:
    """It documents an address; thoughts are looked for under both of their names."""
    assert Provider("tokenmix", sites=TOKENMIX.sites, lists=TOKENMIX.lists, reasons_too="reasoning") == TOKENMIX
