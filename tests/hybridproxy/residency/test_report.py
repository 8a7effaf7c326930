"""Where a tenant's calls connected."""

from typing import Any

import pytest

from hybridproxy.residency import report
from hybridproxy.residency.records import Way, intent, outcome, unreached
from hybridproxy.residency.report import Place, Report, Sum
from tests.support.chains import VPC, origin

INSIDE = Place("vpc", "10.0.3.11", "ab", sovereign=True)


def sent(seq: int, at: int, *, tenant: str = "bank", peer: str = "10.0.3.11") -> dict[str, Any]:
    """Make an intent's record."""
    made = intent(origin(seq, tenant), VPC, peer=peer, certificate="ab", reused=False)
    return made | {"seq": seq, "at": at}


def ended(of: int | None, *, sent: int = 10) -> dict[str, Any]:
    """Make an outcome's record."""
    return outcome(of, f"req_{of or 0:04d}", sent=sent, received=20, status=200, fault="")


def test_calls_are_summed_up_by_where_they_went() -> None:
    """Bytes come from the outcome; what has none is told apart, and so is what was never sent."""
    summed = Report("bank", 0, 1000)
    for record in (sent(1, 100), sent(2, 200), ended(1), sent(3, 300, peer="10.0.3.12"), ended(2, sent=0), ended(None)):
        summed.take(record)
    assert summed.places == {
        INSIDE: Sum(calls=2, unsent=1, open=0, sent=10, received=40, first=100, last=200),
        Place("vpc", "10.0.3.12", "ab", sovereign=True): Sum(calls=1, open=1, first=300, last=300),
    }


def test_other_tenants_and_other_times_do_not_count() -> None:
    """Nor do their outcomes; without a tenant everybody counts, our probes too."""
    records = [sent(1, 99), sent(2, 100), sent(3, 200), sent(4, 150, tenant="shop"), *(ended(n) for n in range(1, 5))]
    records.append(intent(None, VPC, peer="10.0.3.11", certificate="ab", reused=False) | {"seq": 9, "at": 150})
    records.append(sent(10, 150) | {"at": None})
    one, all_of_them = Report("bank", 100, 200), Report(None, 100, 200)
    for record in records:
        one.take(record)
        all_of_them.take(record)
    assert one.places == {INSIDE: Sum(calls=1, sent=10, received=20, first=100, last=100)}
    assert all_of_them.places[INSIDE].calls == 3


def test_what_was_not_reached_is_listed_as_such() -> None:
    """There is no address, and nothing was sent."""
    summed = Report("bank", 0, 1000)
    way = Way("us", "https://us.example", sovereign=False)
    summed.take(unreached(origin(1, "bank"), way, fault="connect") | {"seq": 1, "at": 5})
    assert summed.places == {Place("us", "", "", sovereign=False): Sum(calls=1, unsent=1, first=5, last=5)}


def test_numbers_of_another_chain_are_others() -> None:
    """An outcome of one boot never counts for an intent of another."""
    summed = Report("bank", 0, 1000)
    summed.take(sent(1, 100))
    summed.next_chain()
    summed.take(ended(1))
    assert summed.places[INSIDE] == Sum(calls=1, open=1, first=100, last=100)


def test_the_end_of_another_request_is_no_end_of_this_one() -> None:
    """Whatever number it bears: it says whose it is."""
    summed = Report("bank", 0, 1000)
    summed.take(sent(1, 100))
    summed.take(ended(1) | {"id": "req_0002"})
    assert summed.places[INSIDE] == Sum(calls=1, open=1, first=100, last=100)
    summed.take(ended(1))
    assert summed.places[INSIDE] == Sum(calls=1, sent=10, received=20, first=100, last=100)


def test_places_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is one row; other kinds of records and odd values are passed over."""
    monkeypatch.setattr(report, "MAX_ROWS", 1)
    summed = Report("bank", 0, 1000)
    for record in (sent(1, 100), sent(2, 100, peer="a"), sent(3, 100, peer="b"), {"kind": "head"}):
        summed.take(record)
    summed.take(ended(1) | {"sent": "10", "received": None})
    assert [place.backend for place in summed.places] == ["vpc", "(others)"]
    assert [found.calls for found in summed.places.values()] == [1, 2]
