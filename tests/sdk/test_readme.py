"""The examples in README.md run as they stand there, but for the address, the key and the model."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.meta.project import ROOT
from tests.support.paired import MODEL, paired
from tests.support.stack import SHOP

EXAMPLES = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def package(code: str) -> str:
    """Return which package an example imports."""
    return code.split(maxsplit=2)[1]


def test_there_is_one_for_each_dialect_in_five_lines() -> None:
    """Whoever comes from OpenAI, Claude or DashScope finds what to change."""
    assert [package(code) for code in EXAMPLES] == ["openai", "anthropic", "dashscope"]
    assert {len(code.splitlines()) for code in EXAMPLES} == {5}


@pytest.mark.parametrize("code", EXAMPLES, ids=package)
async def test_an_example(code: str, tmp_path: Path) -> None:
    """It prints what the model said."""
    async with paired(tmp_path, "vllm") as pair:
        changed = code.replace("http://127.0.0.1:8080", pair.stack.url).replace("hp_…", SHOP)
        changed = changed.replace("qwen3-235b", MODEL)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", changed, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
    assert out.decode() == f"Hello from vllm ({MODEL}). You said: Hello\n"
