"""The example configurations: `hybridproxy residency prove` on each, as an operator runs it, and on 5,000 tenants."""

import asyncio
import hashlib
import os
import random
import re
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.sound import written

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "deploy" / "examples"
LIMIT = 150.0
"""Seconds of a CPU in which 5,000 tenants are proved, fifteen times what a quiet machine takes: a slow one takes four
times as long, and neighbours in its caches cost half of the CPU's time as well."""


def placeholders(text: str) -> dict[str, str]:
    """Return a value for every variable that a configuration names: what ends in DIGEST is one."""
    names = sorted(set(re.findall(r"\$\{(\w+)\}", text)))
    return {name: digest(name) if name.endswith("DIGEST") else f"placeholder-{name.lower()}" for name in names}


def digest(name: str) -> str:
    """Return the digest of a key."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


async def hybridproxy(*arguments: str, file: Path) -> tuple[int, bytes]:
    """Run a command on a configuration with placeholders for its secrets; return its status and what it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "HYBRIDPROXY"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hybridproxy", *arguments, "--config", str(file),
        env=environment | placeholders(file.read_text()) | {"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out + err


async def proved(file: Path) -> dict[str, Any]:
    """Prove a configuration; return what is said of it."""
    began = time.monotonic()
    status, said = await hybridproxy("residency", "prove", "--json", file=file)
    assert status == 0, said.decode()
    found: dict[str, Any] = orjson.loads(said)
    assert (found["ok"], found["violations"]) == (True, [])
    took = time.monotonic() - began
    print(f"{file.name}: {found['tenants']} tenants, {found['cases']} cases, {took:.1f} s")  # noqa: T201 - the figures
    return found


def ways(found: dict[str, Any]) -> dict[str, set[str]]:
    """Return which backends are open to each demand."""
    made: dict[str, set[str]] = {}
    for way in found["ways"]:
        made.setdefault(way["demand"], set()).add(way["backend"])
    return made


@pytest.mark.parametrize("name", ["bank.yaml", "hospital.yaml", "agency.yaml", "../demo.yaml"])
async def test_an_example_is_accepted(name: str) -> None:
    """With placeholders for its secrets: whoever copies one begins with a file that is right."""
    status, said = await hybridproxy("check", file=(EXAMPLES / name).resolve())
    assert status == 0, said.decode()


async def test_the_demo_is_proved() -> None:
    """The bank's calls have one way."""
    found = ways(await proved(ROOT / "deploy" / "demo.yaml"))
    assert found["vpc"] == {"vpc"}


async def test_the_banks_example_is_proved() -> None:
    """Its own clusters for those who are sovereign, never for the chat; and no third party for them."""
    found = await proved(EXAMPLES / "bank.yaml")
    assert ways(found) == {
        "vpc": {"cluster", "standby"},
        "vpc, compute DE, storage DE, retention 0 days": {"cluster", "standby"},
        "none": {"dashscope-sg", "together", "openrouter"},
    }
    inside = {address for way in found["ways"] if way["demand"].startswith("vpc") for address in way["addresses"]}
    assert all(address.startswith(("https://10.20.0.", "https://10.21.0.")) for address in inside)


async def test_the_hospitals_example_is_proved() -> None:
    """What its comments say of who is asked."""
    found = ways(await proved(EXAMPLES / "hospital.yaml"))
    assert found["vpc, compute EU, storage EU, retention 0 days"] == {"wards"}
    assert found["compute EU, storage EU, retention 0 days"] == {"hosted-paris"}
    assert found["compute EU, storage EU, retention 30 days"] == {"hosted-paris", "hosted-dublin", "dashscope-eu"}
    assert found["none"] == {"hosted-dublin", "openrouter"}


async def test_the_agencys_example_is_proved() -> None:
    """20 backends, 6 regions, 50 models, four levels; each level is open to fewer than the one below it."""
    text = (EXAMPLES / "agency.yaml").read_text()
    found = ways(await proved(EXAMPLES / "agency.yaml"))
    sealed = found["vpc, compute US, retention 0 days"]
    domestic = found["compute US, storage US, retention 0 days"]
    american = found["compute US, storage US, retention 30 days"]
    assert sealed == {"enclave-east", "enclave-west"}  # not the laboratory, whose place nobody has said
    contracts = {"contract-virginia", "contract-ohio", "contract-oregon", "contract-texas"}
    assert domestic == {*contracts, "together-zdr", "router-us-pinned"}
    assert american == {*domestic, "batch-1", "batch-2"}
    assert {"dashscope-singapore", "together", "router", "canada"} <= found["none"]
    assert len(re.findall(r"served_by:", text)) == 50


@pytest.mark.timeout(900)  # it is measured by the CPU's time
async def test_five_thousand_tenants_are_proved_in_time(tmp_path: Path) -> None:
    """The agency with offices of all levels, routes, rights and regions, no two of them alike in everything."""
    text = (EXAMPLES / "agency.yaml").read_text()
    shutil.copy(EXAMPLES / "vpc-ca.pem", tmp_path)
    file = tmp_path / "agency-5000.yaml"
    file.write_text(f'include: ["offices.d/*.yaml"]\n{text}')
    (tmp_path / "offices.d").mkdir()
    written_by_hand = len(re.findall(r"KEY_DIGEST", text))
    (tmp_path / "offices.d" / "all.yaml").write_text(offices(5000 - written_by_hand))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = await proved(file)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert found["tenants"] == 5000
    assert found["kinds_of_tenants"] >= 40
    assert took < LIMIT


LEVELS = (
    {"vpc": True, "compute": ["US"], "retention": "none"},
    {"compute": ["US"], "storage": ["US"], "retention": "none"},
    {"compute": ["US"], "storage": ["US"], "retention": "30d"},
    {"compute": ["US", "CA"]},
    None,
)
MODELS = ("*", "qwen3-*", "batch-*", "permit", "tax-letter", "deepseek-*", "records", "us/*", "case-search")
REGIONS = ("us", "europe", "asia")


def offices(count: int) -> str:
    """Make so many tenants."""
    chance = random.Random(5)
    made: dict[str, Any] = {}
    for n in range(count):
        office: dict[str, Any] = {"keys": [digest(f"office {n}")]}
        level = LEVELS[n % len(LEVELS)]
        if level is not None:
            office["residency"] = level
        office["models"] = ["*"] if n % 3 == 0 else ["records", *chance.sample(MODELS, chance.randint(1, 4))]
        if level is None or "vpc" not in level:
            office["route"] = chance.choice(["default", "default", "batch"])
            if chance.random() < 0.3:
                office["region"] = chance.choice(REGIONS)
            elif chance.random() < 0.3:
                office["backends"] = ["contract-ohio", "batch-1", "router-us-pinned", "canada", "together-zdr"]
        made[f"office-{n}"] = office
    return written({"tenants": made}, flow=True)
