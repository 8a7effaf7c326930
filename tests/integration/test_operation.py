"""What the people who run it do: reload, drain, look at metrics, ask why."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.inside import change
from tests.support.patience import LONG
from tests.support.raw_calls import call, head
from tests.support.stack import BANK, ENVIRON, SHOP, SINGAPORE, Stack, chat, running

TOKEN = {"authorization": f"Bearer {ENVIRON['ADMIN_TOKEN']}"}


def admin_url(stack: Stack) -> str:
    """Return the admin port's address."""
    assert stack.worker.admin is not None
    host, port = stack.worker.admin.addresses[0][:2]
    return f"http://{host}:{port}"


async def test_a_reload_is_the_whole_file_or_nothing(stack: Stack) -> None:
    """A bad file leaves the last good one in force and lists every mistake; a good one holds for the next call."""
    file = stack.worker.path
    good = file.read_text()
    file.write_text(good.replace("together: ", "together: ") + "nonsense: 1\nmore: 2\n")
    async with stack.http.post(admin_url(stack) + "/admin/v1/reload", headers=TOKEN) as response:
        assert response.status == 422
        mistakes = (await response.json())["mistakes"]
    assert len(mistakes) == 2
    assert all(":" in mistake for mistake in mistakes)
    async with stack.post(json=chat()) as response:
        assert response.headers["x-hybridproxy-backend"] == "together-us"
    file.write_text(good.replace("north-america: [together-us, openrouter-us,", "north-america: [openrouter-us,"))
    os.environ.update(ENVIRON)
    async with stack.http.post(admin_url(stack) + "/admin/v1/reload", headers=TOKEN) as response:
        assert (await response.json()) == {"reloaded": True}
    async with stack.post(json=chat()) as response:
        assert response.headers["x-hybridproxy-backend"] == "openrouter-us"


async def test_a_call_under_way_keeps_the_configuration_it_began_with(stack: Stack) -> None:
    """A reload in the middle of a stream neither cuts it nor changes it."""
    stack.sim("together").behave({"pace_ms": 20, "pieces": 30})
    async with stack.post(json=chat(stream=True)) as response:
        file = stack.worker.path
        file.write_text(file.read_text().replace("[together-us, openrouter-us,", "[openrouter-us,"))
        assert await stack.worker.reload() == []
        data = await response.read()
    assert data.endswith(b"data: [DONE]\n\n")


async def test_a_reload_forgets_what_the_new_configuration_does_not_have(stack: Stack) -> None:
    """Connections, keys and certificates of what was taken out must not live on in the sessions."""
    async with stack.post(json=chat()) as response:
        assert response.status == 200
    async with stack.post(key=BANK, json=chat()) as response:
        assert response.status == 200
    assert stack.worker.general.open == stack.worker.sovereign.open == 1
    for session in (stack.worker.general, stack.worker.sovereign):
        assert session._network._lanes
    os.environ["TOGETHER"] = "tg-rotated"
    os.environ["VLLM"] = "vllm-rotated"
    await change(
        stack,
        (stack.sim("together").base_url, "http://127.0.0.1:9/v1"),
        ("allow_cidrs: [127.0.0.0/8]", "allow_cidrs: [127.0.0.1/32]"),
    )
    await stack.until(lambda: stack.worker.general.open == 0 and stack.worker.sovereign.open == 0)
    assert "tg-key" not in str(list(stack.worker.general._network._lanes.values()))


async def test_the_admin_port_wants_its_token(stack: Stack) -> None:
    """Without the token the admin port says nothing, on any path."""
    for path in ("/metrics", "/admin/v1/reload", "/nothing"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {ENVIRON['ADMIN_TOKEN']}"}):
            async with stack.http.get(admin_url(stack) + path, headers=headers) as response:
                assert response.status == 401


async def test_metrics_count_calls_by_backend_and_outcome(stack: Stack) -> None:
    """Prometheus finds what happened."""
    async with stack.post(json=chat()) as response:
        assert response.status == 200
    async with stack.post(json=chat(model="nope")) as response:
        assert response.status == 404
    async with stack.http.get(admin_url(stack) + "/metrics", headers=TOKEN) as response:
        text = await response.text()
    assert (
        'hybridproxy_calls_total{backend="together-us",code="ok",operation="chat",region="north-america"} 1.0' in text
    )
    assert 'code="model_not_found"' in text
    assert 'hybridproxy_tokens_total{backend="together-us",kind="completion"}' in text


async def test_explain_header_and_log_show_one_value(stack: Stack) -> None:
    """The decision is the same wherever it is shown."""
    async with stack.post(address=SINGAPORE, json=chat(), headers={"x-hybridproxy-explain": "1"}) as response:
        shown = orjson.loads(response.headers["x-hybridproxy-decision"])
    question = {"tenant": "shop", "model": "qwen", "address": SINGAPORE}
    async with stack.http.post(admin_url(stack) + "/admin/v1/explain", headers=TOKEN, json=question) as response:
        explained = await response.json()
    logged = next(line for line in await stack.lines() if line["event"] == "call.finished")
    assert explained["candidates"] == shown["candidates"] == logged["candidates"]
    assert explained["caller"] == shown["caller"]
    assert [c["kept"] for c in shown["candidates"]] == [True, True, False, False]


async def test_an_admin_question_never_crashes(stack: Stack) -> None:
    """Whatever is asked, the admin port answers with JSON and a status that fits."""
    assert stack.worker.admin is not None
    host, port = stack.worker.admin.addresses[0][:2]
    url = f"http://{host}:{port}/admin/v1/explain"
    token = {"authorization": "Bearer admin-token-of-tests"}
    base = {"tenant": "shop", "model": "qwen"}
    questions: tuple[dict[str, Any], ...] = (
        {"size": -5}, {"size": "x"}, {"size": [1]}, {"size": 1e308}, {"needs": 5},
        {"needs": [[1]]}, {"needs": "tools"},
        {"address": "\u0000"}, {"address": "x" * 60_000},
        {"operation": "no"}, {"tenant": 1}, {"model": "\u2028"}, {"stream": []},
    )  # fmt: skip
    bodies = [orjson.dumps(base | more) for more in questions]
    for body in (*bodies, b'{"tenant":"shop","model":"qwen","size":1e400}', b"[" * 60_000, b"", b"1", b"\xff"):
        async with stack.http.post(url, headers=token, data=body) as response:
            assert response.status in {200, 400}, (body[:80], await response.text())
            assert type(await response.json()) is dict


async def test_the_decision_header_is_ascii_and_bounded(stack: Stack) -> None:
    """However many backends there are, the header stays within what load balancers take."""
    async with stack.post(json=chat(), headers={"x-hybridproxy-explain": "1"}) as response:
        value = response.headers["x-hybridproxy-decision"]
    assert value.isascii()
    assert len(value) <= 2048


async def test_the_log_has_no_address_no_key_and_no_content(stack: Stack) -> None:
    """A log line can be kept: it names the region and a hash of the tenant."""
    async with stack.post(address=SINGAPORE, json=chat("my secret prompt")) as response:
        answer = await response.text()
    lines = await stack.lines()
    text = json.dumps(lines)
    assert SINGAPORE not in text
    assert SHOP not in text
    assert "secret prompt" not in text
    assert "sk-ds" not in text
    assert '"shop"' not in text
    assert json.loads(answer)["choices"][0]["message"]["content"][:20] not in text
    call = next(line for line in lines if line["event"] == "call.finished")
    assert call["region"] == "asia"
    assert len(call["tenant"]) == 12


async def test_health_tells_the_load_balancer(stack: Stack) -> None:
    """Alive and ready; for a region only while it has a usable backend; not ready once draining."""
    for path, status in (
        ("/livez", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/readyz?region=asia", 200),
        ("/readyz?region=china", 503),
        ("/readyz?region=atlantis", 503),
    ):
        async with stack.http.get(stack.url + path) as response:
            assert response.status == status, path


async def test_one_broken_model_does_not_take_a_region_out_of_the_load_balancer(stack: Stack) -> None:
    """`/readyz?region=` says whether the region has a usable backend; while other models answer there, it has."""
    for name, own in (("dashscope", "qwen-sg"), ("openrouter", "qwen/qwen-or")):
        stack.sim(name).behave({"fault": {"kind": "status", "status": 500, "only_model": own}})
    for _ in range(6):
        async with stack.post(address=SINGAPORE, json=chat()) as response:
            assert response.status >= 500
    async with stack.post(address=SINGAPORE, json=chat(model="small-window")) as response:
        assert response.status == 200
    async with stack.http.get(stack.url + "/readyz?region=asia") as response:
        assert response.status == 200, await response.text()


async def test_sigterm_lets_calls_end_and_takes_no_new_ones(tmp_path: Path) -> None:
    """A stream under way when the process is told to stop is answered to its end."""
    async with running(tmp_path) as stack:
        stack.sim("together").behave({"pace_ms": 20, "pieces": 40})
        async with stack.post(json=chat(stream=True)) as response:
            stopping = asyncio.ensure_future(stack.worker.stop())
            await stack.until(lambda: stack.worker.ingress.draining)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", int(stack.url.rpartition(":")[2]))
            assert (await response.read()).endswith(b"data: [DONE]\n\n")
        await asyncio.wait_for(stopping, LONG)
        assert stack.worker.stopped.is_set()


async def test_a_stream_that_ends_while_draining_ends_its_connection(stack: Stack) -> None:
    """A load balancer must not reuse a connection to a process that is going."""
    stack.sim("together").behave({"pace_ms": 10, "pieces": 20})
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    writer.write(call(None, stream=True))
    await reader.readuntil(b"data: ")
    stopping = asyncio.ensure_future(stack.worker.stop())
    try:
        async with asyncio.timeout(60):  # less than an idle connection is kept
            while await reader.read(1 << 20):
                pass
    finally:
        writer.transport.abort()
        await stopping


def listens(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_reader_of_the_log_that_hangs_does_not_keep_the_process_alive(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """Lost telemetry degrades only itself: SIGTERM still ends the process within its drain time and a little."""
    port = unused_tcp_port
    file = tmp_path / "hybridproxy.yaml"
    file.write_text(
        f"""
listen: {{host: 127.0.0.1, port: {port}, drain_timeout: 100ms}}
backends: {{v: {{provider: vllm, endpoints: ["http://127.0.0.1:9"]}}}}
models: {{m: {{family: qwen3, served_by: {{v: m}}}}}}
routes: {{default: {{regions: {{default: [v]}}}}}}
tenants: {{t: {{keys: ["sha256:{"0" * 64}"]}}}}
"""
    )
    command = [sys.executable, "-m", "hybridproxy", "serve", "--config", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: ASYNC220 - at once
        try:
            async with asyncio.timeout(LONG):
                while not await asyncio.to_thread(listens, port):
                    await asyncio.sleep(0.02)
            for _ in range(400):  # each a line of 300 bytes and more, into a pipe of 64 KB that nobody reads
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(head("content-length: 0", key="hp_no"))
                await reader.read(12)
                writer.close()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, LONG) == 0
        finally:
            process.kill()
            assert process.stderr is not None
            trace = process.stderr.read()
    assert b"Traceback" not in trace


async def test_models_are_those_the_tenant_may_use(stack: Stack) -> None:
    """The list of models is the tenant's own, under both roots."""
    client = stack.openai()
    names = [model.id async for model in client.models.list()]
    assert names == ["qwen", "only-us", "small-window", "free/*"]
    assert (await client.models.retrieve("qwen")).id == "qwen"
    headers = {"authorization": "Bearer " + "hp_" + "t" * 43}
    async with stack.http.get(stack.url + "/compatible-mode/v1/models", headers=headers) as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["only-us"]


async def test_completions_and_embeddings_and_the_alias(stack: Stack) -> None:
    """The other operations, and the path of applications that point at DashScope today."""
    client = stack.openai()
    answer = await client.completions.create(model="qwen", prompt="say hello there")
    assert answer.choices[0].text
    vectors = await client.embeddings.create(model="qwen", input=["a", "b"])
    assert len(vectors.data) == 2
    async with stack.post("/compatible-mode/v1/chat/completions", address=SINGAPORE, json=chat()) as response:
        assert response.headers["x-hybridproxy-backend"] == "dashscope-sg"
    async with stack.post(json=chat(model="free/qwen3")) as response:
        assert response.status == 200
    assert stack.received("openrouter")[-1]["body"]["model"] == "qwen/qwen3:x"
