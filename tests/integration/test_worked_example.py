"""The worked example of docs/limits-and-costs.md, as it is written there: its figures are those of the ledger."""

import io
import re
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from ruamel.yaml import YAML

from hybridproxy.metering.statement import answer, as_columns, question
from hybridproxy.simulator.server import SimulatorSpec, serve
from hybridproxy.stores.ledger_files import usage_in
from tests.support.stack import SHOP, Stack, chat, digest, started

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "limits-and-costs.md").read_text()
KEYS = {"DASHSCOPE_API_KEY": "sk-ds-of-tests", "OPENROUTER_API_KEY": "sk-or-of-tests"}
TEXT = " ".join(["word"] * 2000)
ANSWER = {"text": " ".join(["word"] * 100)}


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def ask(stack: Stack, **more: Any) -> tuple[int, bytes]:
    """Call as the application does; return the status and what came before the stream was cut."""
    got = b""
    async with stack.post(json=chat(TEXT, max_tokens=500, **more)) as response:
        try:
            async for block in response.content.iter_any():
                got += block
        except aiohttp.ClientPayloadError:
            pass
    return response.status, got


async def test_the_worked_example_goes_as_the_page_says(tmp_path: Path) -> None:
    """A budget owner who adds up what is written there comes to what the ledger says."""
    simulators = await serve([SimulatorSpec("dashscope"), SimulatorSpec("openrouter")])
    yaml = YAML()
    config = yaml.load(blocks("yaml")[0])
    config["listen"] = {"host": "127.0.0.1", "port": 0}
    config["tenants"]["shop"]["keys"] = [f"sha256:{digest(SHOP)}"]
    for backend in config["backends"].values():
        backend["base_url"] = simulators[backend["provider"]].base_url
    file = tmp_path / "hybridproxy.yaml"
    written = io.StringIO()
    yaml.dump(config, written)
    file.write_text(written.getvalue())
    async with started(file, simulators, KEYS) as stack:
        for simulator in simulators.all:
            simulator.behave(ANSWER)
        assert (await ask(stack))[0] == 200
        stack.sim("dashscope").behave(ANSWER | {"fault": {"kind": "cut", "after_pieces": 30}})
        assert b"upstream_cut" in (await ask(stack, stream=True))[1]
        stack.sim("dashscope").behave(ANSWER | {"fault": {"kind": "status", "status": 503}})
        assert (await ask(stack))[0] == 200
        status, refused = await ask(stack)
    assert status == 429
    message = orjson.loads(refused)["error"]["message"]
    assert message.partition("; a new period")[0] in PAGE

    ledger = [
        orjson.loads(line) for path in (tmp_path / "ledger").rglob("*.jsonl") for line in path.read_text().splitlines()
    ]
    attempts = [record for record in ledger if record["record"] == "attempt"]
    told = [orjson.loads(line) for block in blocks("json") for line in block.splitlines()]
    assert [{name: attempt[name] for name in row} for attempt, row in zip(attempts, told, strict=True)] == told
    for attempt in attempts:
        for nano in {attempt["cost"], attempt["table"]} - {0}:
            assert f"{nano / 1e9:.9f}"[:8] in PAGE

    asked = question(None, "shop", None, None)
    table = as_columns(answer(usage_in(tmp_path / "ledger", "shop", "", "").rows, asked))
    shown = next(block for block in blocks("") if block.startswith("tenant "))
    assert [" ".join(row).split() for row in table] == [line.split() for line in shown.splitlines()]
