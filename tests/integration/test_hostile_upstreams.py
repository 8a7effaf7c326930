"""Upstreams that misbehave, and bugs of ours beside them: each caller gets one honest outcome."""

import asyncio
import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from hybridproxy.simulator.behaviour import FAULTS
from tests.support.inside import change, finished
from tests.support.raw_calls import SECRETS, call, raw, statuses
from tests.support.stack import Stack, chat, running

VARIANTS: tuple[dict[str, Any], ...] = (
    *({"kind": "status", "status": s, "message": "key tg-key-0123456789abcdef at http://127.0.0.1:99/v1"}
      for s in (204, 206, 302, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 499, 500, 502, 503, 529, 599)),
    {"kind": "status", "status": 200, "body": {"error": {"message": "no", "code": 429}}},
    {"kind": "status", "status": 200, "body": {}},
    {"kind": "status", "status": 200, "body": [1]},
    {"kind": "status", "status": 200, "body": {"choices": []}},
    {"kind": "status", "status": 500, "body": "x" * 200_000},
    {"kind": "status", "status": 500, "body": {"error": {"message": "\x1b[31m\r\n\u2028{\ud7ff", "code": "a\r\nb"}}},
    {"kind": "cut", "before_head": True}, {"kind": "cut", "before_head": True, "how": "reset"},
    {"kind": "cut", "after_pieces": 0}, {"kind": "cut", "after_pieces": 3, "how": "reset"},
    {"kind": "truncate_json"}, {"kind": "truncate_json", "after_pieces": 1, "how": "reset"},
    {"kind": "stall", "before_head": True}, {"kind": "stall", "after_pieces": 0}, {"kind": "stall", "after_pieces": 2},
    {"kind": "garbage", "how": "event"}, {"kind": "garbage", "how": "bytes"}, {"kind": "garbage", "how": "chunk"},
    {"kind": "garbage", "after_pieces": 2, "how": "bytes"}, {"kind": "garbage", "after_pieces": 2, "how": "chunk"},
    {"kind": "in_band_error"}, {"kind": "in_band_error", "after_pieces": 2, "done": True},
    {"kind": "no_finish"}, {"kind": "no_finish", "after_pieces": 2, "done": True},
    {"kind": "refuse", "when": "request"}, {"kind": "refuse", "when": "request", "how": "reset"},
    {"kind": "redirect", "location": "http://127.0.0.1:1/evil"}, {"kind": "redirect", "location": "/", "status": 307},
    {"kind": "redirect", "location": "/", "status": 308},
    {"kind": "extra_bytes", "body": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"},
    {"kind": "extra_bytes", "delay_ms": 20},
    {"kind": "early_response", "status": 503}, {"kind": "early_response", "status": 200},
    {"kind": "gzip"}, {"kind": "huge_header", "size": 100_000}, {"kind": "huge_header", "size": 4_000_000},
    {"kind": "wrong_content_type", "content_type": "text/html"},
    {"kind": "informational", "status": 100}, {"kind": "informational", "status": 103},
)  # fmt: skip


async def test_whatever_an_upstream_does_a_caller_gets_exactly_one_honest_outcome(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every fault of the simulator, with a stream and without: answer or error, one log line, no secret, no trace."""
    assert {fault["kind"] for fault in VARIANTS} | {"named"} == set(FAULTS)
    times = {"first_token": "300ms", "between_bytes": "300ms", "answer": "400ms"}
    async with running(tmp_path, **times) as stack:
        # a rate of its own: a 429 teaches none that the next calls wait for
        own_rate = ("provider: together,", "provider: together, limits: {rpm: 100000},")
        await change(stack, ("[together-us, openrouter-us, dashscope-sg]", "[together-us]"), own_rate)
        stack.forgive()
        count = 0
        for fault in VARIANTS:
            for stream in (True, False):
                stack.sim("together").behave({"fault": fault, "pace_ms": 1})
                cut = False
                data = b""
                async with stack.post(json=chat(stream=stream)) as response:
                    count += 1
                    try:
                        async for part in response.content.iter_any():
                            data += part
                    except Exception:  # noqa: BLE001 - any way to notice
                        cut = True
                    shown = str(response.headers) + data.decode()
                    where = f"{fault} stream={stream}: {response.status} {data[-300:]!r}"
                    if response.status == 200 and stream:
                        complete = data.endswith(b"data: [DONE]\n\n")
                        assert complete is not cut, where
                        assert complete or b'"error"' in data, where
                        assert not complete or b'"finish_reason":"stop"' in data.replace(b" ", b""), where
                    elif response.status == 200:
                        assert orjson.loads(data)["choices"][0]["message"]["content"], where
                    else:
                        assert orjson.loads(data)["error"]["message"], where
                        assert response.content_type == "application/json"
                for secret in (*SECRETS, "0123456789abcdef", "\x1b", "\u2028", "evil"):
                    assert secret not in shown.replace(stack.url, ""), (secret, where)
        await stack.until(lambda: stack.worker.gateway.in_flight == 0)
        lines = await stack.lines()
        assert len([line for line in lines if line["event"] == "call.finished"]) == count
        assert not [line for line in lines if line["event"] == "call.crashed"]
        assert "tg-key" not in str(lines)
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err


@pytest.mark.parametrize("stream", [True, False])
async def test_a_bug_after_the_first_output_does_not_answer_a_second_time(stack: Stack, stream: bool) -> None:
    """Once the head of a stream is out, even a bug of ours may only cut it: no second response inside the body."""

    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    vars(stack.worker.health)["good"] = broken
    came = await raw(stack, call(None, "connection: close", stream=stream))
    assert came.count(b"HTTP/1.1 ") == 1, came[-400:]
    assert b"[DONE]" not in came
    if not stream:
        assert statuses(came) == [500]
    assert len(await finished(stack)) == 1


async def test_an_observer_that_fails_does_not_leave_the_caller_hanging(stack: Stack) -> None:
    """Whatever breaks around a call, its caller gets an answer or the end of the connection."""

    class Broken:
        def call_finished(self, _facts: object) -> None:
            raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    stack.worker.gateway._parts = replace(stack.worker.gateway._parts, observer=Broken())
    came = await raw(stack, call(None, "connection: close"))
    await stack.until(lambda: stack.worker.gateway.in_flight == 0)
    gc.collect()
    assert not came.endswith(b"<open>") or statuses(came) == [200]
