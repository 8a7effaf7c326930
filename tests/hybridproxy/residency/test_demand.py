"""The header by which a caller demands more than its tenant."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.residency import EUROPEAN_UNION, Residency
from hybridproxy.residency.demand import DemandError, days, parse_demand, places

US = frozenset({"US"})


@pytest.mark.parametrize(
    ("text", "demand"),
    [
        ("vpc", Residency(vpc=True)),
        (" vpc ", Residency(vpc=True)),
        ("{compute: [US], storage: [US], retention: none}", Residency(False, US, US, 0)),
        ('{"compute":["US"],"storage":["US","CA"],"retention":"30d"}', Residency(False, US, US | {"CA"}, 30)),
        ("{ compute : [ EU , NO ] }", Residency(compute=EUROPEAN_UNION | {"NO"})),
        ("{retention: none}", Residency(retention=0)),
    ],
)
def test_a_demand_is_read(text: str, demand: Residency) -> None:
    """The words of the configuration, quoted or not."""
    assert parse_demand(text) == demand


@pytest.mark.parametrize(
    "text",
    [
        "", "VPC", "none", "{}", "{compute: US}", "{compute: []}", "{compute: [us]}", "{compute: [US]", "[US]",
        "{compute: [US], compute: [SG]}", "{compute: [US],}", "{retention: 0d}", "{retention: 9999d}",
        "{retention: [US]}", "{where: [US]}", "{compute: [US]} vpc", "{vpc: true}", "{compute: [US\u0130]}",
        "{" + "compute: [US]" * 99 + "}",
    ],
)  # fmt: skip
def test_what_is_no_demand_is_refused_and_not_repeated(text: str) -> None:
    """A typing mistake must not read as "no demand": the call is refused."""
    with pytest.raises(DemandError, match=r"^expected [^#]+$"):
        parse_demand(text + "#")
    with pytest.raises(DemandError, match=r"^expected "):
        parse_demand(text)


@given(st.text(max_size=80) | st.text(alphabet='{}[]:, computestragevpUSnd09"', max_size=80))
def test_whatever_is_sent_is_a_demand_or_refused(text: str) -> None:
    """No other error, and never a demand for nothing."""
    with contextlib.suppress(DemandError):
        assert parse_demand(text) != Residency()


def test_the_parts_read_what_a_file_may_hold() -> None:
    """Anything at all stands in a file."""
    wrong: Any
    for wrong in (None, 5, "US", [5], {}):
        with pytest.raises(DemandError):
            places(wrong)
    for wrong in (None, 5, "d", "5", []):
        with pytest.raises(DemandError):
            days(wrong)
