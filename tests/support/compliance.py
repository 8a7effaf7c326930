"""`llm-comply`, a judge of endpoints that others wrote, as a process of its own."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import orjson

PROGRAM: Final = Path(sys.executable).with_name("llm-comply")
FORMS: Final = ("openai-chat", "anthropic", "open-responses")
SHAPES: Final = "is a required property,is not of type,is not valid under,service_tier"
"""What it says of fields that are null at the original and left out by others, which would hide all it says besides."""


async def judged(form: str, url: str, key: str, model: str, *, ignore: str = SHAPES) -> dict[str, str]:
    """Return check -> passed, failed or skipped."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "run", "--json", "--format", form, *(("--ignore", ignore) if ignore else ()), "-u", url, "-k", key,
        "-m", model, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return {check["id"]: check["status"] for check in orjson.loads(out)["results"]}


def lost(direct: dict[str, str], through: dict[str, str]) -> list[str]:
    """Return the checks that pass direct and not through the proxy."""
    return [check for check, found in direct.items() if found == "passed" and through[check] != "passed"]
