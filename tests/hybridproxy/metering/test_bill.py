"""What attempts are charged for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.families import FAMILIES
from hybridproxy.metering.bill import Attempted, bill, bills, tokens, used
from hybridproxy.model.bill import NO_BILL, Basis, Bill
from hybridproxy.model.price import MILLION, UNKNOWN, Price
from hybridproxy.model.usage import Seen, Usage

QWEN = FAMILIES["qwen3"]
PRICE = Price(1000 * MILLION, 2000 * MILLION, cached=100 * MILLION, written=1250 * MILLION, thinking=4000 * MILLION)
"""A thousand nano-dollars a token of input, two thousand a token of output."""

REPORTED = Attempted(PRICE, Usage(100, 20))


def test_what_an_upstream_reports_is_charged_by_the_table() -> None:
    """A hundred tokens in, twenty out; what is dear or cheap of them is charged as that, and once."""
    assert bill(REPORTED, 7, QWEN) == Bill(Usage(100, 20), 140_000, Basis.TABLE, 140_000)
    cached = Usage(100, 20, cached=40, written=50, reasoning=3)
    assert bill(replace(REPORTED, usage=cached), 7, QWEN).cost == 10_000 + 40 * 100 + 50 * 1250 + 20 * 4000


def test_the_upstreams_own_word_on_the_cost_wins() -> None:
    """What the table says is kept beside it, so that the difference can be seen."""
    told = bill(replace(REPORTED, usage=Usage(100, 20, cost=99)), 7, QWEN)
    assert (told.cost, told.basis, told.table) == (99, Basis.UPSTREAM, 140_000)
    free = bill(replace(REPORTED, usage=Usage(100, 20, cost=0)), 7, QWEN)
    assert (free.cost, free.basis) == (0, Basis.UPSTREAM)


def test_a_price_that_nobody_gave_is_charged_as_a_stand_in() -> None:
    """So that a budget still ends; the bill says so."""
    made = bill(Attempted(UNKNOWN, Usage(100, 20)), 7, QWEN)
    assert made.cost > 0
    assert not made.priced


@pytest.mark.parametrize("usage", [None, Usage(0, 0)])
def test_what_was_refused_or_not_sent_costs_nothing(usage: Usage | None) -> None:
    """Failed calls are not billed, as DashScope says; a report that is all zeros says nothing else."""
    assert bill(Attempted(PRICE, usage, billed=False), 7, QWEN) is NO_BILL


def test_what_was_refused_after_it_reported_tokens_is_charged() -> None:
    """An error within a stream may come after the upstream has begun to count."""
    assert bill(Attempted(PRICE, Usage(100, 0), billed=False), 7, QWEN).cost == 100_000


@pytest.mark.parametrize("usage", [None, Usage(0, 0)])
def test_a_stream_without_a_report_does_not_cost_nothing(usage: Usage | None) -> None:
    """Others logged such streams as $0: here its input is estimated, and its output is what was seen of it."""
    seen = Seen(events=12, text=100)
    made = bill(Attempted(PRICE, usage, seen), 7, QWEN)
    assert made.usage == Usage(7, 25, estimated=True)
    assert (made.cost, made.basis) == (57_000, Basis.ESTIMATE)


def test_an_estimate_thinks_only_where_thinking_was_seen() -> None:
    """Half of what was seen was thinking: all of the answer is at the price of that; none was: none is."""
    thought = used(Attempted(PRICE, None, Seen(events=4, text=100, thought=50)), 7, QWEN)
    assert (thought.completion, thought.reasoning) == (25, 12)
    assert used(Attempted(PRICE, None, Seen(events=4, text=100)), 7, QWEN).reasoning == 0


def test_what_came_after_the_last_report_is_added_by_an_estimate() -> None:
    """Anthropic reports the input and one token at the beginning, and the rest at an end that a cut stream lacks."""
    begun = Attempted(PRICE, Usage(100, 1, cost=5), Seen(events=9, text=30), whole=False)
    assert used(begun, 7, QWEN) == Usage(100, 10, estimated=True)
    assert bill(begun, 7, QWEN).basis is Basis.ESTIMATE


def test_a_stream_that_reports_with_each_event_is_charged_as_reported_when_it_is_cut() -> None:
    """DashScope's own protocol does so: nothing came after the last report, so nothing is estimated."""
    assert bill(replace(REPORTED, whole=False), 7, QWEN) == bill(REPORTED, 7, QWEN)


def test_what_an_upstream_may_have_made_after_its_last_report_makes_that_an_estimate() -> None:
    """We ended the stream, not the upstream; a report that has the cost comes at the end, though."""
    left = replace(REPORTED, whole=False, left=True)
    assert bill(left, 7, QWEN) == Bill(Usage(100, 20, estimated=True), 140_000, Basis.ESTIMATE, 140_000)
    told = replace(left, usage=Usage(100, 20, cost=99))
    assert (bill(told, 7, QWEN).cost, bill(told, 7, QWEN).basis) == (99, Basis.UPSTREAM)


def test_of_a_whole_answer_the_report_is_all() -> None:
    """However much text came after it."""
    assert used(replace(REPORTED, seen=Seen(events=9, text=3000)), 7, QWEN) == Usage(100, 20)


def test_an_answer_nobody_saw_grow_may_have_been_made() -> None:
    """Its caller left before it was there, and pays for what was made meanwhile."""
    left = Attempted(PRICE, None, whole=False, unseen=30)
    assert bill(left, 7, QWEN).usage == Usage(7, 30, estimated=True)


def test_another_attempts_report_tells_the_input_of_all() -> None:
    """The loser of a hedge reported nothing, but the winner read the same prompt."""
    lost, won = bills([Attempted(PRICE, None, whole=False), REPORTED], 7, QWEN)
    assert lost.usage == Usage(100, 0, estimated=True)
    assert won.basis is Basis.TABLE


def test_what_was_sent_along_to_be_gone_on_with_is_input() -> None:
    """The second part of a stream reads the first one; the first did not read itself."""
    first, second = bills(
        [Attempted(PRICE, None, Seen(events=15), whole=False), Attempted(PRICE, Usage(115, 5), ahead=15)], 7, QWEN
    )
    assert (first.usage.prompt, second.usage.prompt) == (100, 115)
    first, second = bills([REPORTED, Attempted(PRICE, None, whole=False, ahead=15)], 7, QWEN)
    assert (first.usage.prompt, second.usage.prompt) == (100, 115)


@pytest.mark.parametrize("cost", [None, 300])
def test_what_was_sent_twice_may_be_billed_twice(cost: int | None) -> None:
    """A connection that had died unseen may have carried it to the upstream all the same."""
    made = bill(replace(REPORTED, usage=Usage(100, 20, cost=cost), again=True), 90, QWEN)
    assert made.usage == Usage(190, 20, cost=cost, estimated=True)
    assert (made.cost, made.table) == ((cost or 140_000) + 90_000, 230_000)
    assert made.basis is Basis.ESTIMATE


def test_what_was_sent_twice_and_refused_then_may_be_billed_once() -> None:
    """The upstream that refuses it now may have read it before."""
    refused = Attempted(PRICE, None, billed=False, whole=False)
    made = bill(replace(refused, again=True, ahead=5), 90, QWEN)
    assert (made.usage, made.basis) == (Usage(95, 0, estimated=True), Basis.ESTIMATE)
    assert made.cost == made.table == PRICE.of(Usage(95, 0))
    assert bill(refused, 90, QWEN).basis is Basis.NOTHING


def test_output_is_counted_by_its_text_or_by_its_events() -> None:
    """Four letters are a token and a Chinese character is more than half of one; an event has at least one."""
    assert tokens(Seen(events=2, text=40), QWEN) == 10
    assert tokens(Seen(events=2, text=10, wide=20), QWEN) == 6
    assert tokens(Seen(events=30, text=40), QWEN) == 30
    assert tokens(Seen(events=0, text=3, wide=90), QWEN) == 1


COUNTS = st.integers(0, 10**6)
SEEN = st.builds(Seen, COUNTS, COUNTS, COUNTS, COUNTS)
USAGES = st.none() | st.builds(Usage, COUNTS, COUNTS, cost=st.none() | COUNTS)
ATTEMPTS = st.builds(
    Attempted, st.just(PRICE), USAGES, SEEN, st.booleans(), st.booleans(), st.booleans(), COUNTS, COUNTS
)


@given(st.lists(ATTEMPTS, max_size=4), st.integers(1, 10**6))
def test_every_attempt_has_one_bill_and_no_bill_is_negative(attempts: list[Attempted], prompt: int) -> None:
    """What may be charged for costs something, whatever was reported, unless the upstream says that it is free."""
    made = bills(attempts, prompt, QWEN)
    assert len(made) == len(attempts)
    for one, charged in zip(attempts, made, strict=True):
        assert min(charged.cost, charged.table, charged.usage.prompt, charged.usage.completion) >= 0
        if one.billed and (one.usage is None or one.usage.cost is None):
            assert charged.cost > 0
        assert (charged.basis is Basis.ESTIMATE) == charged.usage.estimated
