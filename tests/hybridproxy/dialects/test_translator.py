"""Tests of the rows that dialects are."""

from dataclasses import replace

import pytest

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.translator import repeated
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import CONTROL_FIELDS
from tests.support.make import call


def test_a_call_in_the_callers_own_words_has_no_control_field() -> None:
    """Passing as it came does not mean steering the upstream."""
    native = {"model": "qwen", "prompt": "hi", **dict.fromkeys(CONTROL_FIELDS, "x")}
    headers = (("anthropic-beta", "a"),)
    made = repeated(replace(call(), native=native, headers=headers), "own-name")
    assert made.body == {"model": "own-name", "prompt": "hi"}
    assert (made.headers, made.dropped) == (headers, ())
    assert native["model"] == "qwen"
    assert repeated(call("qwen"), "own").body["messages"]


@pytest.mark.parametrize("dialect", TRANSLATORS)
def test_a_row_is_found_under_its_dialect(dialect: Dialect) -> None:
    """And no path is claimed by two of them."""
    row = TRANSLATORS[dialect]
    assert row.dialect is dialect
    others = [path for other in TRANSLATORS.values() if other is not row for path in other.paths]
    assert not set(row.paths) & set(others)
    assert all(path.startswith("/") and isinstance(op, Operation) for path, (op, _) in row.paths.items())


def test_what_a_provider_speaks_can_be_translated() -> None:
    """A dialect that is an upstream's only one has to be written and read here."""
    for provider in PROVIDERS.values():
        for dialect, wire in provider.wires.items():
            row = TRANSLATORS[dialect]
            assert row.decoder is not None or set(wire.paths) == {Operation.COUNT}
            if not provider.paths:
                assert row.request is not None
