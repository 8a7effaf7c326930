"""The record of what was received."""

import asyncio

import pytest

from hybridproxy.simulator import journal as module
from hybridproxy.simulator.http import Request
from hybridproxy.simulator.journal import Journal
from tests.hybridproxy.simulator.client import HELLO, STREAM, JsonDict, ask, get, request, send, settled
from tests.hybridproxy.simulator.conftest import Start

PROMPT, PIECE = 1000, 2000
"""Nano-dollars a token, as docs/simulator.md says."""
HEAD = Request("POST", "/v1/x?y=1", "1.1", (("Authorization", "Bearer fake"), ("X", "1"), ("x", "2")))


def test_an_entry_shows_what_was_sent() -> None:
    """Headers keep their spelling, order and repetitions; a body keeps its text; the first outcome stands."""
    journal = Journal()
    entry = journal.begin(HEAD)
    journal.keep_body(entry, b'{"a": 1}')
    journal.end(entry, "cut")
    journal.end(entry, "complete")
    shown = entry.shown()
    assert shown["headers"] == [["Authorization", "Bearer fake"], ["X", "1"], ["x", "2"]]
    assert (shown["path"], shown["outcome"], shown["body_bytes"]) == ("/v1/x?y=1", "cut", 8)
    assert journal.totals()["outcomes"] == {"cut": 1}
    assert journal.in_flight == 0


def test_a_body_that_is_no_json_is_shown_as_text() -> None:
    """A broken body is shown too."""
    journal = Journal()
    entry = journal.begin(HEAD)
    journal.keep_body(entry, b"\xffx")
    assert entry.shown()["body"] == "\ufffdx"


def test_the_record_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last requests are kept, only so many bytes of bodies, and no huge body; the sizes stay known."""
    monkeypatch.setattr(module, "MAX_KEPT_BODIES", 25)
    monkeypatch.setattr(module, "MAX_KEPT_BODY", 10)
    journal = Journal()
    for size in (10, 10, 10, 11):
        entry = journal.begin(HEAD)
        journal.keep_body(entry, b"x" * size)
    assert [entry.body and len(entry.body) for entry in journal.entries] == [None, 10, 10, None]
    assert [entry.body_bytes for entry in journal.entries] == [10, 10, 10, 11]
    for _ in range(module.KEPT):
        journal.begin(HEAD)
    assert len(journal.entries) == module.KEPT
    assert journal.entries[0].number == 5


def test_forgetting() -> None:
    """Forgotten requests are gone with their totals; one still in flight ends without being counted twice."""
    journal = Journal()
    entry = journal.begin(HEAD)
    journal.clear()
    assert (list(journal.entries), journal.in_flight) == ([], 1)
    journal.keep_body(entry, b"{}")
    journal.end(entry, "complete")
    assert (journal.in_flight, entry.body) == (0, None)


@pytest.mark.parametrize(
    ("provider", "fault", "stream", "bill"),
    [
        ("vllm", None, True, 2 * PROMPT + 8 * PIECE),
        ("vllm", None, False, 2 * PROMPT + 8 * PIECE),
        ("vllm", {"kind": "cut", "before_head": True}, True, 2 * PROMPT),
        ("vllm", {"kind": "cut", "before_head": True}, False, 2 * PROMPT),
        ("vllm", {"kind": "cut", "after_pieces": 0}, True, 2 * PROMPT),
        ("vllm", {"kind": "cut", "after_pieces": 3, "how": "reset"}, True, 2 * PROMPT + 3 * PIECE),
        ("vllm", {"kind": "cut", "after_pieces": 3}, False, 2 * PROMPT + 8 * PIECE),
        ("vllm", {"kind": "truncate_json"}, True, 2 * PROMPT + 1 * PIECE),
        ("vllm", {"kind": "in_band_error", "after_pieces": 2}, True, 2 * PROMPT + 2 * PIECE),
        ("vllm", {"kind": "in_band_error"}, False, 0),
        ("vllm", {"kind": "no_finish"}, True, 2 * PROMPT + 8 * PIECE),
        ("vllm", {"kind": "garbage", "how": "bytes"}, True, 2 * PROMPT),
        ("vllm", {"kind": "informational"}, True, 2 * PROMPT + 8 * PIECE),
        ("vllm", {"kind": "status", "status": 503}, True, 0),
        ("vllm", {"kind": "status", "status": 200, "body": {}}, False, 0),
        ("vllm", {"kind": "redirect", "location": "/"}, True, 0),
        ("vllm", {"kind": "named", "name": "vllm.queue_full"}, True, 0),
        ("vllm", {"kind": "named", "name": "vllm.queue_full_in_stream"}, True, 0),
        ("openrouter", {"kind": "named", "name": "openrouter.error_in_200"}, False, 0),
        ("vllm", {"kind": "refuse"}, True, 0),
        ("vllm", {"kind": "early_response", "status": 200}, True, 0),
    ],
)
async def test_what_is_billed(start: Start, provider: str, fault: JsonDict | None, stream: bool, bill: int) -> None:
    """What was generated for is billed, also where it got lost; an error in place of an answer costs nothing."""
    simulator = await start(provider, fault=fault)
    await ask(simulator, STREAM if stream else HELLO)
    assert (await settled(simulator)).billed == bill
    assert simulator.upstream.journal.totals()["billed_nanodollars"] == bill
    shown = (await get(simulator, "//_sim/requests", key=None)).json["requests"][0]
    assert (shown["billed"], type(shown["billed"])) == (bill, int)


@pytest.mark.parametrize(("before_head", "pieces"), [(True, 0), (False, 2)])
async def test_a_stall_is_billed(start: Start, before_head: bool, pieces: int) -> None:
    """A client that leaves a stalled answer pays for its prompt and for what was made until then."""
    simulator = await start(fault={"kind": "stall", "before_head": before_head, "after_pieces": pieces})
    _, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM))
    async with asyncio.timeout(30):
        while not simulator.upstream.switch.struck or simulator.upstream.journal.entries[0].pieces_sent < pieces:
            await asyncio.sleep(0.001)
    assert simulator.upstream.journal.entries[0].billed == 2 * PROMPT + pieces * PIECE
    writer.close()
    assert (await settled(simulator)).outcome == "client_gone"
    state = (await get(simulator, "//_sim/state", key=None)).json
    assert state["totals"]["billed_nanodollars"] == 2 * PROMPT + pieces * PIECE


async def test_what_costs_nothing(start: Start) -> None:
    """Bad keys, bad requests, lists of models and requests that never got whole are not billed; embeddings are."""
    simulator = await start()
    await ask(simulator, key="bad-key")
    await ask(simulator, {"model": "m"})
    await get(simulator, "/models")
    _, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, HELLO)[:-5])
    async with asyncio.timeout(30):
        while len(simulator.upstream.journal.entries) < 4:
            await asyncio.sleep(0.001)
    writer.close()
    await settled(simulator)
    assert simulator.upstream.journal.totals()["billed_nanodollars"] == 0
    await ask(simulator, {"model": "m", "input": "one two three"}, "/embeddings")
    assert simulator.upstream.journal.totals()["billed_nanodollars"] == 3 * PROMPT


async def test_the_bill_is_the_cost_that_was_told(start: Start) -> None:
    """OpenRouter's cost is the bill in dollars; totals add up, and forgetting the requests forgets them."""
    simulator = await start("openrouter")
    costs = [(await ask(simulator, HELLO | {"n": n})).json["usage"]["cost"] for n in (1, 2, 3)]
    bills = [entry.billed for entry in simulator.upstream.journal.entries]
    assert [round(cost * 1e9) for cost in costs] == bills == [2 * PROMPT + n * 8 * PIECE for n in (1, 2, 3)]
    assert simulator.upstream.journal.totals()["billed_nanodollars"] == sum(bills)
    await send(simulator, request(simulator, None, "//_sim/requests", method="DELETE"))
    assert simulator.upstream.journal.totals()["billed_nanodollars"] == 0
