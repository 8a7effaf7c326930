"""The log's lines: their names and keys are fixed."""

import os
from typing import Any, cast

import orjson
import pytest

from hybridproxy.model.call import Operation
from hybridproxy.model.facts import CallFacts
from hybridproxy.model.plan import Candidate
from hybridproxy.model.usage import Usage
from hybridproxy.telemetry import logs
from hybridproxy.telemetry.lines import LineWriter
from hybridproxy.telemetry.logs import Log, tenant_hash
from tests.support.patience import LONG

FACTS = CallFacts(
    request_id="req_1",
    operation=Operation.CHAT,
    tenant="shop",
    country="SG",
    region="asia",
    model="qwen",
    stream=True,
    status=200,
    backend="dashscope-sg",
    attempts=1,
    faults=("x" * 1000,),
    candidates=tuple(Candidate(f"b{i}", kept=False, reason="no") for i in range(40)),
    usage=Usage(3, 4),
    text=12,
    seconds=0.5,
    first_output=0.25,
)


async def line_of(facts: CallFacts) -> dict[str, Any]:
    """Log facts and read the line."""
    read, write = os.pipe()
    writer = LineWriter(write)
    Log(writer).call_finished(facts)
    await writer.close(LONG)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        line: dict[str, Any] = orjson.loads(file.read())
    return line


async def test_a_finished_call_is_one_line_with_fixed_keys() -> None:
    """Dashboards and alerts rely on these names."""
    line = await line_of(FACTS)
    assert list(line) == [
        "id", "operation", "dialect", "tenant", "country", "region", "model", "stream", "status", "code", "backend",
        "attempts",
        "faults", "candidates", "prompt_tokens", "completion_tokens", "cost_nanodollars", "text", "ms",
        "first_output_ms", "event", "time",
    ]  # fmt: skip
    assert line["event"] == "call.finished"
    assert line["tenant"] == tenant_hash("shop") != "shop"
    assert (line["ms"], line["first_output_ms"]) == (500, 250)
    assert len(line["faults"][0]) == logs.MAX_TEXT
    assert len(line["candidates"]) == logs.MAX_CANDIDATES


async def test_a_call_of_nobody_has_no_tenant() -> None:
    """A refused key leaves a line too, without a tenant or tokens."""
    line = await line_of(CallFacts(request_id="req_2", operation=Operation.CHAT, status=401, code="invalid_api_key"))
    assert line["tenant"] == ""
    assert line["prompt_tokens"] is None
    assert line["first_output_ms"] is None


async def test_a_call_that_a_limit_refused_says_what_that_bounds() -> None:
    """The code alone does not tell requests from tokens."""
    refused = CallFacts(
        request_id="r", operation=Operation.CHAT, status=429, code="rate_limit_exceeded", limited="tokens"
    )
    assert (await line_of(refused))["limit"] == "tokens"


async def test_odd_values_never_break_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event with a value JSON does not know is still one line of JSON."""
    read, write = os.pipe()
    writer = LineWriter(write)
    Log(writer).event("x.happened", value=cast("Any", object()), text="a\nb\u2028")
    await writer.close(LONG)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        data = file.read()
    assert data.count(b"\n") == 1
    assert orjson.loads(data)["text"] == "a\nb\u2028"


def test_hashes_of_tenants_are_bounded() -> None:
    """Memory does not grow with names of tenants that come and go by reloads."""
    assert tenant_hash.cache_info().maxsize == 100_000
