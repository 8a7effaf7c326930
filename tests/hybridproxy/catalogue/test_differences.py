"""Tests of what the upstreams' lists say otherwise."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.catalogue.catalogue import NEVER, Note, known_of
from hybridproxy.catalogue.differences import Difference, differences, rates, shown, written
from hybridproxy.catalogue.offers import Offer
from hybridproxy.model.price import UNKNOWN, price
from hybridproxy.providers.lists import Listed

TODAY = "2026-11-26"
SAID = "catalogue of 2026-11-23: somebody"
OFFER = Offer("qwen", "us", "Qwen/Q", 1000, SAID, price(1, 2), SAID, "", "", "")
SAME = Listed("Qwen/Q", context=1000, input=1.0, output=2.0)


def found(offer: Offer, *listed: Listed, notes: Any = None, pinned: bool = False) -> tuple[list[str], dict[Any, Any]]:
    """What is different, in words, and the overlay of it."""
    changes, overlay = differences([offer], {"us": listed}, notes or {}, {"us"} if pinned else set(), TODAY)
    return [str(change) for change in changes], dict(overlay)


def test_where_the_list_says_the_same_nothing_is_different() -> None:
    """And the overlay stays as it is."""
    assert found(OFFER, SAME) == ([], {})
    assert found(OFFER, Listed("Qwen/Q")) == ([], {})


def test_another_price_is_told_and_noted() -> None:
    """With what was held and who said so."""
    changes, overlay = found(OFFER, replace(SAME, input=0.5, output=2.25))
    assert changes == [f"us: Qwen/Q: price: $0.5/$2.25, was $1/$2 ({SAID})"]
    assert overlay == {("us", "Qwen/Q"): Note("us", "Qwen/Q", price=price(0.5, 2.25))}


def test_a_price_nobody_knew_is_one_more() -> None:
    """Even where it is the stand-in's."""
    changes, overlay = found(replace(OFFER, price=UNKNOWN, price_from=""), replace(SAME, output=3.0))
    assert changes == ["us: Qwen/Q: price: $1/$3"]
    assert overlay["us", "Qwen/Q"].price.known


def test_tiers_stay_where_the_first_is_the_same() -> None:
    """A list has one price, that of short inputs."""
    tiered = replace(OFFER, price=price(1, 2, tiers=((500, price(3, 4)),)))
    assert found(tiered, SAME) == ([], {})


def test_a_price_of_pinned_providers_is_on_no_list() -> None:
    """The headline is that of the cheapest."""
    assert found(OFFER, replace(SAME, input=0.01), pinned=True) == ([], {})


def test_another_window_is_told_and_an_absurd_one_is_not() -> None:
    """An engine tells what it was started with (vLLM's `max_model_len`)."""
    changes, overlay = found(replace(OFFER, context=None, context_from=""), SAME)
    assert changes == ["us: Qwen/Q: context: 1000"]
    assert overlay["us", "Qwen/Q"].context == 1000
    assert found(OFFER, replace(SAME, context=5))[0] == [f"us: Qwen/Q: context: 5, was 1000 ({SAID})"]
    assert found(OFFER, replace(SAME, context=10**12)) == ([], {})


def test_an_announced_removal_is_told() -> None:
    """OpenRouter's `expiration_date`; what is no day says nothing."""
    changes, overlay = found(OFFER, replace(SAME, removal="2026-12-24"))
    assert changes == ["us: Qwen/Q: leaves: 2026-12-24"]
    assert overlay["us", "Qwen/Q"].leaves == "2026-12-24"
    assert found(OFFER, replace(SAME, removal="soon")) == ([], {})


def test_a_removal_that_was_called_off_is_told() -> None:
    """It is listed, and no day with it: the note takes back what the catalogue says."""
    leaving = replace(OFFER, leaves="2026-11-04", leaves_from=SAID)
    changes, overlay = found(leaving, SAME)
    assert changes == [f"us: Qwen/Q: listed: with no day on which it leaves, was leaves on 2026-11-04 ({SAID})"]
    assert overlay["us", "Qwen/Q"].leaves == NEVER
    name = "Qwen/Qwen3.8-2.4T-A95B"
    assert known_of("us", "together", "", name, {("us", name): Note("us", name, leaves=NEVER)}).leaves == ""


def test_a_model_that_was_on_a_list_and_is_no_more_is_gone() -> None:
    """From today; one that lists never had (a deployment, an engine's) is only told."""
    changes, overlay = found(OFFER)
    assert changes == ["us: Qwen/Q: gone: it is not on the list"]
    assert overlay["us", "Qwen/Q"].leaves == TODAY
    for never in (
        replace(OFFER, owned=True),
        replace(OFFER, price_from="configuration"),
        replace(OFFER, price_from=""),
    ):
        assert found(never) == (changes, {})


def test_what_is_known_to_be_gone_is_no_news() -> None:
    """The warning says it."""
    assert found(replace(OFFER, leaves="2026-11-04")) == ([], {})


def test_notes_of_before_stay() -> None:
    """What the operator wrote into the overlay, of this model and of others."""
    mine = Note("us", "Qwen/Q", line="qwen-max", released="2026-01-01")
    other = Note("vpc", "x", context=5)
    notes = {("us", "Qwen/Q"): mine, ("vpc", "x"): other}
    _, overlay = found(OFFER, replace(SAME, input=0.5), notes=notes)
    assert overlay == {("us", "Qwen/Q"): replace(mine, price=price(0.5, 2)), ("vpc", "x"): other}


def test_backends_without_an_answer_and_names_with_a_star_are_left_alone() -> None:
    """Nothing is known of them."""
    starred = replace(OFFER, name="Qwen/*")
    assert differences([replace(OFFER, backend="down"), starred], {"us": ()}, {}, (), TODAY) == ([], {})


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("qwen/qwen3.9-max", "qwen-max"),
        ("Qwen/Qwen4-Plus", "qwen-plus"),
        ("accounts/fireworks/models/qwen3p9-flash", "qwen-flash"),
        ("qwen-3.9-27b", "qwen-27b"),
        ("Qwen/Qwen3.9-35B-A3B", "qwen-35b-a3b"),
        ("qwen/qwen3.8-max", ""),
        ("accounts/fireworks/models/qwen3p8-max", ""),
        ("qwen/qwen3-coder", ""),
        ("openai/gpt-5", ""),
    ],
)
def test_a_generation_that_the_catalogue_does_not_know_is_told(name: str, line: str) -> None:
    """By its name; it takes part in a logical name once the overlay gives it a line and a day."""
    changes, overlay = found(OFFER, SAME, Listed(name))
    assert changes == ([f"us: {name}: new: a {line}; give it `line` and `released` in the overlay"] if line else [])
    assert overlay == {}
    assert found(replace(OFFER, name=name), Listed(name))[0] == []


def test_a_price_is_shown_as_people_write_it() -> None:
    """Dollars for a million tokens, tiers behind it."""
    tiered = price(0.4, 1.2, thinking=4, tiers=((262_144, price(1.2, 3.6)),))
    assert shown(tiered) == "$0.4/$1.2 (thinking $4); over 262,144: $1.2/$3.6"


def test_an_overlay_is_written_as_it_is_read() -> None:
    """What a note does not say is left out."""
    tiered = price(1, 2, thinking=3, cached=0.2, asked=0.1, written=1.25, tiers=((5, price(4, 5)),))
    notes = {
        ("us", "q"): Note("us", "q", context=7, price=tiered, leaves=TODAY),
        ("us", "r"): Note("us", "r", "l", TODAY),
    }
    assert written(notes) == [
        {
            "backend": "us",
            "name": "q",
            "context": 7,
            "price": {
                "input": 1.0,
                "output": 2.0,
                "thinking": 3.0,
                "cache_read": 0.2,
                "cache_read_explicit": 0.1,
                "cache_write": 1.25,
                "tiers": [{"above": 5, "input": 4.0, "output": 5.0}],
            },
            "leaves": TODAY,
        },
        {"backend": "us", "name": "r", "line": "l", "released": TODAY},
    ]


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_price_keeps_every_nano_dollar(reads: int, writes: int) -> None:
    """Through the file and back."""
    made = rates(replace(price(0, 0), input=reads, output=writes))
    assert price(made["input"], made["output"]) == replace(price(0, 0), input=reads, output=writes)


LISTED = st.builds(
    Listed,
    st.sampled_from(["Qwen/Q", "qwen/qwen9-max", "x"]),
    st.none() | st.integers(1, 10**10),
    st.none() | st.floats(0, 999_999),
    st.none() | st.floats(0, 999_999),
    st.none() | st.sampled_from(["2026-12-24", "2026-99-99", "", "20261224"]) | st.text(max_size=10),
)


@given(st.lists(LISTED, max_size=4))
def test_once_noted_nothing_is_different_any_more(listed: list[Listed]) -> None:
    """Whatever a list says: the overlay of it, put before the catalogue, agrees with it."""
    _, overlay = differences([OFFER], {"us": tuple(listed)}, {}, (), TODAY)
    note = overlay.get(("us", "Qwen/Q"), Note("us", "Qwen/Q"))
    agreed = replace(
        OFFER,
        context=note.context or OFFER.context,
        price=note.price or OFFER.price,
        leaves="" if note.leaves == NEVER else note.leaves,
    )
    again, same = differences([agreed], {"us": tuple(listed)}, overlay, (), TODAY)
    assert [change for change in again if change.what != "new"] == []
    assert same == overlay
    assert all(isinstance(change, Difference) for change in again)
