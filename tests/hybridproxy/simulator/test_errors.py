"""The providers' named errors."""

from pathlib import Path

import pytest

from hybridproxy.simulator.errors import ERRORS
from tests.hybridproxy.simulator.client import HELLO, STREAM, ask
from tests.hybridproxy.simulator.conftest import Start


@pytest.mark.parametrize("name", [name for name, (row, _) in sorted(ERRORS.items()) if not row.anthropic])
async def test_every_named_error_is_told(start: Start, name: str) -> None:
    """Each named error reaches the client of a stream: by its status, in a body with 200, or as the first event."""
    row, error = ERRORS[name]
    got = await ask(await start(row.name, fault={"kind": "named", "name": name}), STREAM)
    told = got.json if got.rest.lstrip().startswith((b"{", b"[")) else {}
    told = told[0] if row.listed_errors else told
    if error.place.value == "status":
        assert got.status == error.status
        assert told.get("error") or told.get("detail") or error.message in told["message"]
    elif error.place.value in {"body", "choice"}:
        assert got.status == 200
        assert "error" in (told if error.place.value == "body" else told["choices"][0])
    elif error.place.value == "framed":
        assert got.status == error.status
        assert got.rest.startswith(b'data: {"error":')
    else:
        assert got.status == 200
        assert "error" in got.events[0]
        assert got.done == row.done_after_error


async def test_dashscopes_throttle_by_tokens(start: Start) -> None:
    """DashScope's insufficient_quota is a 429 with an empty param, its own code as type and a request id beside it."""
    got = await ask(await start("dashscope", fault={"kind": "named", "name": "dashscope.insufficient_quota"}))
    assert got.status == 429
    assert got.json["error"] | {"message": ""} == {
        "message": "",
        "type": "insufficient_quota",
        "param": "",
        "code": "insufficient_quota",
    }
    assert got.json["request_id"]


async def test_openrouters_constraint(start: Start) -> None:
    """OpenRouter's residency refusal says which filter excluded the hosts; its code is the status as a number."""
    got = await ask(await start("openrouter", fault={"kind": "named", "name": "openrouter.constraint_filtered"}))
    assert (got.status, got.json["error"]["code"]) == (404, 404)
    assert "data_region" in got.json["error"]["availability"]["excluded_by"]


async def test_openrouters_retry_after(start: Start) -> None:
    """OpenRouter's 429 from a host has a Retry-After, its platform's has rate-limit headers."""
    simulator = await start("openrouter", fault={"kind": "named", "name": "openrouter.rate_limit"})
    assert (await ask(simulator)).headers["retry-after"] == "7"
    simulator.behave({"fault": {"kind": "named", "name": "openrouter.platform_rate_limit"}})
    assert (await ask(simulator)).headers["x-ratelimit-remaining"] == "0"


async def test_sglangs_two_shapes(start: Start) -> None:
    """SGLang's full queue is a flat body with 503, but in a stream a 200 with an error event and `[DONE]`."""
    simulator = await start("sglang", fault={"kind": "named", "name": "sglang.queue_full"})
    whole = await ask(simulator, HELLO)
    assert (whole.status, whole.json["object"], whole.json["code"]) == (503, "error", 503)
    stream = await ask(simulator, STREAM)
    assert (stream.status, stream.events[0]["error"]["code"], stream.done) == (200, 503, True)


def test_the_documentation_has_every_named_error() -> None:
    """docs/simulator.md lists every named error, so that nobody has to guess one."""
    page = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
    assert [name for name in ERRORS if f"`{name}`" not in page] == []
