"""Tests of Bedrock's row."""

import pytest

from geo.countries import CONTINENT_OF
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.bedrock import BEDROCK, REGIONS
from hybridproxy.providers.faults import classify


def test_a_site_is_a_region() -> None:
    """Its name stands in its address, and it lies in a country."""
    assert BEDROCK.sites["us-west-2"] == "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1"
    assert BEDROCK.sites.keys() == REGIONS.keys() == BEDROCK.places.keys()
    assert set(REGIONS.values()) <= CONTINENT_OF.keys()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (403, "The security token included in the request is invalid.", FaultKind.CREDENTIAL),
        (403, "Signature expired: 20261126T202055Z is now earlier than …", FaultKind.CREDENTIAL),
        (403, "You don't have access to the model with the specified model ID.", FaultKind.FORBIDDEN),
    ],
)
def test_a_bad_key_and_a_model_that_is_not_ours_are_told_apart(status: int, message: str, kind: FaultKind) -> None:
    """One benches the key for all, the other for one model."""
    assert classify(BEDROCK.faults, status, {"message": message}, backend="b").kind is kind
