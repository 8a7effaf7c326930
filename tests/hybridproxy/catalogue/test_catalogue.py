"""Tests of looking things up in the catalogue."""

from datetime import date

from hybridproxy.catalogue.alibaba import ALIBABA
from hybridproxy.catalogue.catalogue import DATED, REFRESHED, Known, Note, freshest, known_of, row_of
from hybridproxy.catalogue.hosts import HOSTS
from hybridproxy.model.price import price
from hybridproxy.providers import PROVIDERS


def newest(line: str, provider: str, site: str = "", **more: object) -> str | None:
    """The name of the freshest of a line."""
    found = freshest(line, "b", provider, site, **more)  # type: ignore[arg-type]
    return None if found is None else found.name


def test_a_row_is_found_by_the_providers_own_name() -> None:
    """At its site, or at all of them where the host makes no difference."""
    assert row_of("dashscope", "singapore", "qwen3-max") != row_of("dashscope", "beijing", "qwen3-max")
    assert row_of("openrouter", "us", "qwen/qwen3-max") == row_of("openrouter", "", "qwen/qwen3-max")
    assert row_of("together", "", "qwen3-max") is None
    assert date.fromisoformat(DATED).year == 2026


def test_every_row_is_of_a_provider_and_a_site_that_a_configuration_can_name() -> None:
    """Else nobody would ever find it."""
    for row in (*ALIBABA, *HOSTS):
        assert row.provider in PROVIDERS, row
        assert row.site is None or row.site in PROVIDERS[row.provider].sites, row


def test_what_is_known_says_where_it_comes_from() -> None:
    """The source and its day stand with each price and window."""
    known = known_of("us", "together", "", "Qwen/Qwen3.7-Max")
    said = "catalogue of 2026-11-23: litellm 1.109.1"
    assert known == Known(
        name="Qwen/Qwen3.7-Max",
        line="qwen-max",
        released="2026-05-21",
        context=1_000_000,
        context_from=said,
        price=price(1.5, 4.5),
        price_from=said,
        leaves="",
        leaves_from="",
        closed=True,
    )
    gone = known_of("us", "together", "", "Qwen/Qwen3.8-2.4T-A95B")
    assert (gone.leaves, gone.leaves_from, gone.closed) == ("2026-11-04", said, False)


def test_weights_at_an_engine_of_ones_own_have_a_day_and_no_price() -> None:
    """By the maker's name; a name of one's own says nothing."""
    known = known_of("vpc", "vllm", "", "Qwen/Qwen3-235B-A22B-Instruct-2507")
    assert (known.released, known.line, known.price, known.price_from) == ("2025-07-21", "qwen3-235b", None, "")
    mine = known_of("vpc", "vllm", "", "mine")
    assert (mine.released, mine.line, mine.context, mine.leaves) == ("", "", None, "")


def test_what_was_refreshed_comes_before_the_catalogue() -> None:
    """Field by field: what an overlay does not say the catalogue does."""
    note = Note("us", "Qwen/Qwen3.7-Max", price=price(1, 2))
    known = known_of("us", "together", "", note.name, {("us", note.name): note})
    assert (known.price, known.price_from) == (price(1, 2), REFRESHED)
    assert (known.context, known.released) == (1_000_000, "2026-05-21")
    note = Note("vpc", "mine", "qwen-max", "2026-11-01", 32_768, None, "2026-12-01")
    known = known_of("vpc", "vllm", "", "mine", {("vpc", "mine"): note})
    assert (known.context, known.context_from) == (32_768, REFRESHED)
    assert (known.line, known.released, known.leaves, known.leaves_from) == (
        "qwen-max", "2026-11-01", "2026-12-01", REFRESHED,
    )  # fmt: skip


def test_the_freshest_of_a_line_is_the_newest_that_a_site_has() -> None:
    """Each site its own; a line that nobody there has leads nowhere."""
    assert newest("qwen-max", "dashscope", "singapore") == "qwen3.8-max"
    assert newest("qwen-max", "together") == "Qwen/Qwen3.7-Max"
    assert newest("qwen-max", "fireworks") == "accounts/fireworks/models/qwen3p8-max"
    assert newest("qwen-max", "groq") is None
    assert newest("qwen3-235b", "openrouter", "us") == "qwen/qwen3-235b-a22b-2507"


def test_where_the_name_decides_where_it_is_computed_nobody_picks_one() -> None:
    """Virginia's names with and without `-us`."""
    assert newest("qwen-max", "dashscope", "virginia") is None


def test_what_is_gone_is_nobodys_freshest() -> None:
    """From the day on; without a day nothing is gone."""
    assert newest("qwen3-235b", "cerebras", today="2026-05-26") == "qwen-3-235b-a22b-instruct-2507"
    assert newest("qwen3-235b", "cerebras", today="2026-05-27") is None
    assert newest("qwen3-235b", "cerebras") == "qwen-3-235b-a22b-instruct-2507"


def test_an_overlay_may_have_what_the_catalogue_has_not() -> None:
    """A newer one than the package knows, or a line of one's own, at its own backend only."""
    newer = Note("b", "qwen/qwen4-max", "qwen-max", "2026-11-20")
    mine = Note("b", "mine", "my-line")
    overlay = {(note.backend, note.name): note for note in (newer, mine)}
    assert newest("qwen-max", "openrouter", overlay=overlay) == "qwen/qwen4-max"
    assert newest("my-line", "vllm", overlay=overlay) == "mine"
    other = freshest("qwen-max", "other", "openrouter", "", overlay)
    assert other is not None
    assert other.name == "qwen/qwen3.8-max"
    gone = {("b", "qwen/qwen3.8-max"): Note("b", "qwen/qwen3.8-max", leaves="2026-11-01")}
    assert newest("qwen-max", "openrouter", overlay=gone, today="2026-11-26") == "qwen/qwen3.7-max"
