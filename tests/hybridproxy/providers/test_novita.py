"""Tests of Novita's row."""

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import classify
from hybridproxy.providers.lists import read_list
from hybridproxy.providers.novita import NOVITA


def test_a_403_may_be_about_money() -> None:
    """Which the name in `reason` says."""
    body = {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "m"}
    assert classify(NOVITA.faults, 403, body, backend="n").kind is FaultKind.QUOTA
    assert classify(NOVITA.faults, 403, body | {"reason": "ACCESS_DENY"}, backend="n").kind is FaultKind.FORBIDDEN


def test_its_prices_are_in_small_units() -> None:
    """900 are nine cents for a million tokens."""
    assert NOVITA.lists is not None
    (found,) = (
        read_list(NOVITA.lists, {"data": [{"id": "m", "context_size": 131072, "input_token_price_per_m": 900}]}) or ()
    )
    assert found.context == 131072
    assert found.input == pytest.approx(0.09)
