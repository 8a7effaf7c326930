"""Starting simulators, in a process and as a program."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import openai
import orjson
import pytest

from hybridproxy.simulator.server import SimulatorError, SimulatorSpec, main, read_arguments, serve
from tests.hybridproxy.simulator.client import HELLO, STREAM, Got, ask, read_all, request
from tests.hybridproxy.simulator.conftest import Start
from tests.support.places import Place

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "hybridproxy.simulator")


async def test_several_at_once() -> None:
    """One call starts several upstreams, two of the same provider by name, each at its own port; close ends them."""
    running = await serve(
        [SimulatorSpec("together", 0, "us-a"), SimulatorSpec("together", 0, "us-b"), SimulatorSpec("vllm")]
    )
    assert list(running.ports) == ["us-a", "us-b", "vllm"]
    assert (await ask(running["us-b"])).json["choices"][0]["message"]["content"].startswith("Hello from us-b")
    reader, writer = await asyncio.open_connection("127.0.0.1", running.ports["vllm"])
    running["vllm"].behave({"fault": {"kind": "stall"}})
    writer.write(request(running["vllm"], STREAM))
    await reader.readline()
    await running.close()
    assert not (await read_all(reader)).raw.endswith(b"0\r\n\r\n")
    writer.close()
    for port in running.ports.values():
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_base_urls() -> None:
    """A simulator's base_url is what a backend is pointed at."""
    running = await serve([SimulatorSpec("dashscope"), SimulatorSpec("openrouter")])
    ports = running.ports
    assert running["dashscope"].base_url == f"http://127.0.0.1:{ports['dashscope']}/compatible-mode/v1"
    assert running["openrouter"].base_url == f"http://127.0.0.1:{ports['openrouter']}/api/v1"
    await running.close()


async def test_what_cannot_be_started(start: Start) -> None:
    """An unknown provider, a name used twice and a taken port are refused; nothing stays behind."""
    with pytest.raises(SimulatorError, match="unknown provider 'acme'; known are dashscope"):
        await serve([SimulatorSpec("acme")])
    with pytest.raises(SimulatorError, match="used twice"):
        await serve([SimulatorSpec("vllm"), SimulatorSpec("vllm")])
    taken = (await start()).port
    with contextlib.closing(Place()) as free:
        with pytest.raises(SimulatorError, match=f"cannot listen on 127.0.0.1:{taken} for vllm"):
            await serve([SimulatorSpec("together", free.port), SimulatorSpec("vllm", taken)])
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", free.port)


def test_the_command_line() -> None:
    """Names, ports and the host are read from the command line."""
    specs, host = read_arguments(["dashscope:9101", "us-a=together:9102", "--host", "::1", "vllm"])
    assert specs == [
        SimulatorSpec("dashscope", 9101),
        SimulatorSpec("together", 9102, "us-a"),
        SimulatorSpec("vllm", 0),
    ]
    assert host == "::1"
    assert read_arguments(["vllm", "--host=0.0.0.0"])[1] == "0.0.0.0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to imitate"),
        (["--fast", "vllm"], "unknown option '--fast'"),
        (["vllm", "--host"], "--host needs"),
        (["vllm:70000"], "not a port"),
        (["vllm:x"], "not a port"),
        (["=vllm:1"], "empty name"),
        (["acme:0"], "unknown provider 'acme'"),
    ],
)
def test_misuse(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Misuse ends with status 2 and one line that says what is wrong."""
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The help has an example."""
    assert main(["--help"]) == 0
    assert "python -m hybridproxy.simulator dashscope:9101" in capsys.readouterr().out


@contextlib.asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """Run the program until its simulators are ready; yield it and their addresses."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, cwd=ROOT, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    try:
        lines = [(await asyncio.wait_for(process.stdout.readline(), 60)).decode().split() for _ in arguments]
        assert all(line[0] == "ready" for line in lines)
        yield process, {line[1]: line[2] for line in lines}
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_program(number: signal.Signals) -> None:
    """The program says when it is ready, answers, resets connections when told to, and stops cleanly at a signal."""
    async with program("dashscope", "us-a=together") as (process, urls):
        assert list(urls) == ["dashscope", "us-a"]
        async with aiohttp.ClientSession(headers={"authorization": "Bearer k"}) as http:
            async with http.post(f"{urls['us-a']}/v1/chat/completions", json=HELLO) as answer:
                assert answer.status == 200
            fault = {"kind": "cut", "after_pieces": 2, "how": "reset"}
            async with http.put(f"{urls['us-a']}/_sim/behaviour", json={"chunking": "bytes", "fault": fault}) as answer:
                assert answer.status == 200
        got = await raw(urls["us-a"], STREAM)
        assert (got.text, got.ended, got.whole) == ("Hello from", "reset", False)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def raw(url: str, body: object) -> Got:
    """Send one chat call to the program and read all bytes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    data = orjson.dumps(body)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer k\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    try:
        return await read_all(reader)
    finally:
        writer.transport.abort()


async def test_a_taken_port_stops_the_program(start: Start) -> None:
    """The program ends with status 2 and names the port that is taken."""
    port = (await start()).port
    process = await asyncio.create_subprocess_exec(
        *COMMAND, f"vllm:{port}", cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in errors.decode()


async def test_the_official_client_streams_from_it(start: Start) -> None:
    """The openai client reads a stream with its usage, an answer, embeddings and models, and sees a typed error."""
    simulator = await start("vllm")
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="any", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == "Hello from vllm (m). You said: hi"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 7
        answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content == text
        assert len((await client.embeddings.create(model="m", input="x")).data[0].embedding) == 8
        assert [model.id async for model in client.models.list()] == ["qwen3-235b"]
        simulator.behave({"fault": {"kind": "named", "name": "vllm.queue_full"}})
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert caught.value.status_code == 503


def test_it_imports_nothing_of_the_proxy() -> None:
    """A fresh interpreter that imports the simulator has loaded no other module of the project."""
    code = (
        "import sys, hybridproxy.simulator.server\n"
        "names = [name for name in sys.modules if name.split('.')[0] in ('hybridproxy', 'geo')]\n"
        "print(*[name for name in names if name != 'hybridproxy' and not name.startswith('hybridproxy.simulator')])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
