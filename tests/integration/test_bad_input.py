"""Bad input: always JSON in the caller's dialect, with the right status, and nothing of ours in it."""

import asyncio
from pathlib import Path

import orjson
import pytest

from tests.support.stack import BANK, SHOP, SMALL, Stack, chat, running


async def raw(stack: Stack, data: bytes) -> bytes:
    """Send bytes, half-close, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    writer.write(data)
    await writer.drain()
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


def request(body: bytes, *headers: str, path: str = "/v1/chat/completions", length: int | None = None) -> bytes:
    """Return the bytes of a request that ends its connection."""
    lines = [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {SHOP}", "connection: close", *headers]
    if length is not None or not any(h.lower().startswith("transfer-encoding") for h in headers):
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@pytest.mark.parametrize("key", ["hp_" + "x" * 43, "", "ü", "x" * 5000, "hp_\x00"])
async def test_an_unknown_key_is_401(stack: Stack, key: str) -> None:
    """Whatever the key looks like, the answer is the same and comes before the body is read."""
    body = orjson.dumps(chat())
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
    answer = await raw(stack, head.encode("utf-8") + b"content-length: %d\r\n\r\n" % len(body) + body)
    status = int(answer.split(b" ", 2)[1])
    assert status in {400, 401}
    error = orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] in {"invalid_api_key", "bad_request"}
    if status == 401:
        assert error["type"] == "authentication_error"


async def test_a_key_may_come_in_either_header_but_not_two_keys(stack: Stack) -> None:
    """`Authorization: Bearer` and `x-api-key` are the same; two different ones are nobody's."""
    async with stack.post(key=None, json=chat(), headers={"x-api-key": SHOP}) as response:
        assert response.status == 200
    async with stack.post(key=SHOP, json=chat(), headers={"x-api-key": BANK}) as response:
        assert response.status == 401
    async with stack.post(key=None, json=chat()) as response:
        assert response.status == 401
        assert "Authorization" in (await response.json())["error"]["message"]


async def test_an_unknown_model_is_404_and_names_the_tenants_own(stack: Stack) -> None:
    """The caller learns what it may use, and nothing of what others may."""
    async with stack.post(json=chat(model="gpt-9")) as response:
        assert response.status == 404
        message = (await response.json())["error"]["message"]
    assert "qwen" in message
    assert "only-us" in message
    async with stack.post(key=SMALL, json=chat(model="qwen")) as response:
        assert response.status == 404
        message = (await response.json())["error"]["message"]
    assert "only-us" in message
    assert "small-window" not in message


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b'{"model": "qwen",\n "messages": [}', "invalid_json", "line 2"),
        (b"", "invalid_json", "JSON"),
        (b"[1]", "invalid_json", "object"),
        (b'{"model": "qwen"}', "invalid_request", "messages"),
        (b'{"model": "qwen", "messages": []}', "invalid_request", "messages"),
        (b'{"model": 7, "messages": [{"role": "user"}]}', "invalid_request", "model"),
        (b'{"model": "qwen", "messages": [{"role": "user"}], "stream": "yes"}', "invalid_request", "stream"),
        (b'{"Model": "qwen", "messages": [{"role": "user"}]}', "invalid_request", "case"),
        (b'{"model": "qwen", "messages": ' + b"[" * 100 + b"]" * 100 + b"}", "too_complex", "64"),
        (b'{"model": "q", "messages": [{"role": "user"}], "seed": 99999999999999999999}', "number_too_large", "2^53"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_400_with_its_place(stack: Stack, body: bytes, code: str, says: str) -> None:
    """Each mistake has its own words."""
    async with stack.post(data=body) as response:
        assert response.status == 400
        assert response.content_type == "application/json"
        error = (await response.json())["error"]
    assert error["code"] == code
    assert says in error["message"]


async def test_a_body_over_the_limit_is_413_and_not_swallowed(stack: Stack) -> None:
    """The refusal comes at once, whether the length was told or not, and the connection is closed."""
    answer = await raw(stack, request(b"x" * 1000, length=50_000_000).replace(b"connection: close\r\n", b""))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()
    chunks = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = await raw(stack, request(chunks * 20 + b"0\r\n\r\n", "transfer-encoding: chunked"))
    assert answer.startswith(b"HTTP/1.1 413")
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"


async def test_a_compressed_body_is_415(stack: Stack) -> None:
    """Bodies are taken as they are: a bomb is not even looked at."""
    async with stack.post(data=b"\x1f\x8b", headers={"content-encoding": "gzip"}) as response:
        assert response.status == 415


async def test_a_slow_body_is_408(tmp_path: Path) -> None:
    """A body has `body_timeout` to arrive."""
    async with running(tmp_path, body_timeout="300ms") as stack:
        answer = await raw(stack, request(b'{"model"', length=500))
    assert answer.startswith(b"HTTP/1.1 408")


async def test_the_client_may_wait_for_100_continue(stack: Stack) -> None:
    """Curl asks before it sends a large body; without an answer it would wait a second."""
    body = orjson.dumps(chat())
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    whole = request(body, "expect: 100-continue")
    writer.write(whole[: -len(body)])
    async with asyncio.timeout(30):
        assert (await reader.readline()) == b"HTTP/1.1 100 Continue\r\n"
        assert (await reader.readline()) == b"\r\n"
        writer.write(body)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        b"POST http://evil/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n"
            b"content-length: 0\r\n\r\n"
        ),
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n"
            b"content-length: 0\r\n\r\n"
        ),
    ],
)
async def test_broken_http_is_400_as_json_and_closed(stack: Stack, data: bytes) -> None:
    """No traceback, no parser's words, no second request on that connection."""
    answer = await raw(stack, data)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    error = orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error["type"] == "invalid_request_error"
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "//v1/chat/completions", 404),
        ("POST", "/v1/%63hat/completions", 404),
        ("POST", "/v1/../v1/chat/completions", 404),
        ("GET", "/metrics", 404),
        ("GET", "/admin/v1/state", 404),
    ],
)
async def test_only_the_listed_raw_paths_answer(stack: Stack, method: str, path: str, status: int) -> None:
    """Dispatch goes by the raw path: nothing is decoded, merged or guessed."""
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    answer = await raw(stack, head.encode())
    assert int(answer.split(b" ", 2)[1]) == status
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


async def test_no_backend_left_is_503_with_a_wait_and_the_reasons(stack: Stack) -> None:
    """When every allowed backend is out, the caller learns for how long, and its SDK may try again then."""
    stack.sim("together").behave({"fault": {"kind": "status", "status": 503}})
    for _ in range(3):  # the only backend is asked twice a call: five faults in the third
        async with stack.post(json=chat(model="only-us")) as response:
            assert response.status == 503
            assert response.headers["x-should-retry"] == "false"
    async with stack.post(json=chat(model="only-us")) as response:
        assert response.status == 503
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert "x-should-retry" not in response.headers
        error = (await response.json())["error"]
    assert error["code"] == "no_backend_left"
    assert "together-us" in error["message"]


async def test_an_input_too_long_for_one_backend_goes_to_a_larger_window(stack: Stack) -> None:
    """The window drops a backend by a marked estimate; the others serve the call."""
    long = chat("word " * 200, model="small-window")
    async with stack.post(json=long, headers={"x-hybridproxy-explain": "1"}) as response:
        assert response.status == 200
        assert response.headers["x-hybridproxy-backend"] == "dashscope-sg"
        assert "estimated" in response.headers["x-hybridproxy-decision"]


async def test_an_upstreams_key_and_address_never_reach_the_caller(stack: Stack) -> None:
    """An upstream that quotes our key and its own URL in its error is cleaned before anyone sees it."""
    words = "key tg-key-0123456789abcdef at http://10.1.2.3:8000/v1 is wrong, ask 10.1.2.3"
    fault = {"kind": "status", "status": 400, "message": words}
    stack.sim("together").behave({"fault": fault})
    async with stack.post(json=chat()) as response:
        assert response.status == 400
        text = await response.text()
    assert "is wrong" in text
    for secret in ("0123456789abcdef", "10.1.2.3", "http://"):
        assert secret not in text


async def test_control_fields_of_a_client_do_not_pass(stack: Stack) -> None:
    """What would steer the upstream's own routing is ours to say, or nobody's."""
    body = chat("hi", api_base="http://evil", models=["x"], plugins=[1], temperature=0.5, top_k=3)
    body["provider"] = {"only": ["evil"]}
    stack.sim("together").behave({"fault": {"kind": "status", "status": 503}})
    async with stack.post(json=body) as response:
        assert response.status == 200
    (sent,) = [entry["body"] for entry in stack.received("openrouter")]
    assert sent["provider"]["only"] == ["deepinfra"]
    assert sent["provider"]["allow_fallbacks"] is False
    assert sent["temperature"] == 0.5
    assert sent["top_k"] == 3
    assert not {"api_base", "models", "plugins"} & set(sent)


async def test_a_bug_of_ours_is_a_500_with_an_id_that_the_log_has(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a bug answers in the caller's dialect, and the log says where it was without saying what it was about."""

    def broken(*_args: object) -> None:
        raise ZeroDivisionError("the prompt was secret")

    monkeypatch.setattr("hybridproxy.gateway.pipeline.plan", broken)
    async with stack.post(json=chat()) as response:
        assert response.status == 500
        assert "secret" not in await response.text()
        request_id = response.headers["x-request-id"]
    lines = await stack.lines()
    crashed = next(line for line in lines if line["event"] == "call.crashed")
    assert crashed["id"] == request_id
    assert crashed["error"] == "ZeroDivisionError"
    assert "secret" not in str(lines)
