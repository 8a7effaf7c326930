"""Calls that do not stream, and faults before the head."""

import asyncio
import gzip

import orjson
import pytest

from hybridproxy.simulator import wire
from tests.hybridproxy.simulator.client import HELLO, STREAM, TEXT, ask, get, read_all, request, send, settled
from tests.hybridproxy.simulator.conftest import Start


async def test_a_status_in_the_providers_shape(start: Start) -> None:
    """A status fault is told as the provider would, with the headers and words that were set, and only so often."""
    fault = {"kind": "status", "status": 429, "message": "slow down", "headers": {"Retry-After": "7"}, "times": 1}
    simulator = await start("openrouter", fault=fault)
    got = await ask(simulator, STREAM)
    assert (got.status, got.headers["Retry-After"]) == (429, "7")
    assert (got.json["error"]["code"], got.json["error"]["message"]) == (429, "slow down")
    assert (await ask(simulator, STREAM)).done


@pytest.mark.parametrize(("body", "sent"), [({"odd": 1}, b'{"odd":1}'), ("<html>", b"<html>")])
async def test_a_status_with_a_body(start: Start, body: object, sent: bytes) -> None:
    """A status fault can have any body, JSON or text."""
    got = await ask(await start(fault={"kind": "status", "status": 502, "body": body}))
    assert (got.status, got.rest) == (502, sent)


async def test_an_answer_with_a_good_status_and_another_body(start: Start) -> None:
    """A 200 whose body is null is possible, as some servers send it."""
    got = await ask(await start(fault={"kind": "status", "status": 200, "body": {"choices": None}}))
    assert (got.status, got.json) == (200, {"choices": None})


async def test_a_bad_request(start: Start) -> None:
    """What the server cannot read is a 400 in its own shape that says why."""
    got = await ask(await start("dashscope"), {"model": "m"})
    assert (got.status, got.json["error"]["code"]) == (400, "InvalidParameter")
    assert "'messages'" in got.json["error"]["message"]


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_cut_before_the_head(start: Start, how: str) -> None:
    """A connection cut before the head gives no byte, and ends as it was asked to."""
    simulator = await start(fault={"kind": "cut", "before_head": True, "how": how})
    got = await ask(simulator)
    assert (got.raw, got.ended) == (b"", "reset" if how == "reset" else "fin")
    assert (await settled(simulator)).outcome == "cut"


async def test_cut_within_a_body(start: Start) -> None:
    """A body that is cut is shorter than its head says; after 0 pieces there is only the head."""
    simulator = await start(fault={"kind": "cut", "after_pieces": 1})
    got = await ask(simulator)
    assert 0 < len(got.rest) < int(got.headers["content-length"])
    simulator.behave({"fault": {"kind": "cut", "after_pieces": 0, "how": "reset"}})
    got = await ask(simulator)
    assert (got.status, got.rest, got.ended) == (200, b"", "reset")


async def test_a_body_cut_short_of_its_length(start: Start) -> None:
    """truncate_json sends half of the JSON under the whole length, then closes; the tokens were still made."""
    simulator = await start(fault={"kind": "truncate_json"})
    got = await ask(simulator)
    assert 0 < len(got.rest) < int(got.headers["content-length"])
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(got.rest)
    entry = await settled(simulator)
    assert (entry.outcome, entry.pieces_sent, entry.completion_tokens) == ("cut", 0, 8)


async def test_garbage(start: Start) -> None:
    """Garbage is a whole body that is no JSON, or no HTTP at all."""
    simulator = await start(fault={"kind": "garbage"})
    got = await ask(simulator)
    assert (got.status, len(got.rest)) == (200, int(got.headers["content-length"]))
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(got.rest)
    simulator.behave({"fault": {"kind": "garbage", "how": "bytes"}})
    assert not (await ask(simulator)).raw.startswith(b"HTTP")


async def test_an_error_in_a_good_answer(start: Start) -> None:
    """An error within the answer is a 200 that holds only the error."""
    got = await ask(await start("openrouter", fault={"kind": "in_band_error"}))
    assert (got.status, got.json["error"]["code"]) == (200, 502)


async def test_no_finish(start: Start) -> None:
    """An answer without a finish reason is otherwise whole."""
    choice = (await ask(await start(fault={"kind": "no_finish"}))).json["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == (None, TEXT.format("openai"))


async def test_refused_requests(start: Start) -> None:
    """A refusal ends the connection at the head of the request, the and leaves the control address alone."""
    simulator = await start(fault={"kind": "refuse", "how": "reset"})
    got = await ask(simulator)
    assert (got.raw, got.ended) == (b"", "reset")
    entry = await settled(simulator)
    assert (entry.outcome, entry.body) == ("refused", None)
    assert (await get(simulator, "//_sim/state", key=None)).json["totals"]["outcomes"] == {"refused": 1}


async def test_refused_connections(start: Start) -> None:
    """A refusal at accept drops what is open and closes what comes, as often as it was asked to."""
    simulator = await start(pieces=5, pace_ms=60_000)
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM))
    await reader.readline()
    simulator.behave({"fault": {"kind": "refuse", "when": "accept", "times": 2}})
    assert b"Hello" not in (await read_all(reader)).raw[-1:]
    writer.close()
    for _ in range(2):
        assert (await send(simulator, b"")).raw == b""
    assert (await ask(simulator)).status == 200
    assert simulator.upstream.refused == 2


async def test_redirect(start: Start) -> None:
    """A redirect names the place that was set and has no body."""
    got = await ask(await start(fault={"kind": "redirect", "location": "http://127.0.0.1:9/x"}))
    assert (got.status, got.headers["location"], got.rest) == (307, "http://127.0.0.1:9/x", b"")


async def test_bytes_after_the_answer(start: Start) -> None:
    """Extra bytes look like a second answer that nobody asked for; the connection stays open."""
    simulator = await start(fault={"kind": "extra_bytes", "times": 1})
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, HELLO, headers=""))
    got = await reader.readuntil(b'FORGED"}}]}')
    assert got.count(b"HTTP/1.1 200 OK") == 2
    forged = got.rpartition(b"HTTP/1.1")[2].partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(forged[2]) in forged[0]
    writer.write(request(simulator, HELLO))
    assert (await read_all(reader)).status == 200
    writer.close()


async def test_an_answer_before_the_body(start: Start) -> None:
    """An early answer comes while the body is still outstanding, and the connection ends."""
    simulator = await start("vllm", fault={"kind": "early_response", "status": 503})
    head = request(simulator, HELLO, headers="").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    got = await send(simulator, head)
    assert (got.status, got.headers["connection"], got.json["error"]["code"]) == (503, "close", 503)


async def test_gzip_unasked(start: Start) -> None:
    """An answer can be compressed though nobody asked for it."""
    got = await ask(await start(fault={"kind": "gzip"}))
    assert got.headers["content-encoding"] == "gzip"
    assert TEXT.format("openai") in gzip.decompress(got.rest).decode()


async def test_heads_that_are_odd(start: Start) -> None:
    """A header can be huge, the content type wrong, and interim answers can come first."""
    simulator = await start(fault={"kind": "huge_header", "size": 90_000})
    assert len((await ask(simulator)).headers["x-huge"]) == 90_000
    simulator.behave({"fault": {"kind": "wrong_content_type"}})
    assert (await ask(simulator, STREAM)).headers["content-type"].startswith("text/html")
    simulator.behave({"fault": {"kind": "informational", "status": 103}})
    got = await ask(simulator)
    assert got.status == 103
    assert got.rest.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("fault", [None, {"kind": "stall", "before_head": True}, {"kind": "stall", "after_pieces": 1}])
async def test_a_client_that_leaves_a_silent_call(start: Start, fault: object) -> None:
    """A client that leaves while a call that does not stream is silent is noticed at once, whatever the silence is."""
    simulator = await start(latency_ms=60_000 if fault is None else 0, fault=fault)
    _, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, HELLO, headers=""))
    async with asyncio.timeout(30):
        while simulator.upstream.switch.struck < (fault is not None) or not simulator.upstream.journal.entries:
            await asyncio.sleep(0)
    assert simulator.upstream.journal.in_flight == 1
    writer.close()
    entry = await settled(simulator)
    assert entry.outcome == "client_gone"
    assert 0 <= (entry.duration_ms or -1) < 30_000


async def test_a_client_that_leaves_within_its_own_request(start: Start) -> None:
    """A request that never gets whole is recorded as one whose client left."""
    simulator = await start()
    _, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, HELLO)[:-5])
    async with asyncio.timeout(30):
        while not simulator.upstream.journal.entries:
            await asyncio.sleep(0)
    writer.close()
    assert (await settled(simulator)).outcome == "client_gone"


async def test_how_long_an_answer_takes(start: Start) -> None:
    """A call that does not stream takes as long as its stream would."""
    simulator = await start(latency_ms=20, first_token_ms=20, pace_ms=5, pieces=3)
    await ask(simulator)
    assert ((await settled(simulator)).head_ms or 0) >= 50


async def test_only_for_one_key(start: Start) -> None:
    """A fault for one key leaves the others alone."""
    simulator = await start(fault={"kind": "status", "status": 403, "only_key": "poor"}, bad_keys=["gone"])
    assert [(await ask(simulator, key=key)).status for key in ("poor", "rich", "gone", "bad-key")] == [
        403,
        200,
        401,
        200,
    ]


async def test_health_fails_with_the_rest(start: Start) -> None:
    """With `on: all` a dead server's health and models are dead too."""
    simulator = await start("vllm", fault={"kind": "status", "status": 500, "on": "all"})
    assert [(await get(simulator, path)).status for path in ("//health", "/models")] == [500, 500]


async def test_a_mistake_of_the_simulator_itself(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug shows on stderr and in the record, costs only its own connection, and does not look like a fault."""
    simulator = await start()
    with monkeypatch.context() as broken:
        broken.setattr(wire, "whole_answer", None)
        assert (await ask(simulator)).raw == b""
    assert (await settled(simulator)).outcome == "simulator_error"
    assert "TypeError" in capsys.readouterr().err
    assert (await ask(simulator)).status == 200
