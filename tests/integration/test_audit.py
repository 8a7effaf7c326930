"""The audit log over real sockets."""

from pathlib import Path
from typing import Any

import orjson

from hybridproxy.residency.verify import Proof, Verifier
from hybridproxy.stores.segments import files_in, lines_of
from hybridproxy.stores.signing import is_signature
from tests.support.stack import BANK, SHOP, running, chat


def records(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line.split(b" ", 2)[2]) for path in files_in(folder) for line in lines_of(path)]


def verified(folder: Path, anchor: Path | None = None) -> Proof:
    verifier = Verifier(is_signature)
    for path in files_in(folder):
        verifier.prepare(next(lines_of(path), b""))
    if anchor is not None:
        verifier.anchor(anchor.name, lines_of(anchor))
    for path in files_in(folder):
        verifier.read(path.name, lines_of(path))
    return verifier.result()


async def test_calls_leave_records(tmp_path: Path) -> None:
    """x."""
    async with running(tmp_path, audit="audit: {path: audit, anchor: heads}") as stack:
        for key in (BANK, SHOP, BANK):
            for stream in (True, False):
                async with stack.post(key=key, json=chat(stream=stream)) as response:
                    assert response.status == 200
                    await response.read()
    for r in records(tmp_path / "audit"):
        print(r)
    print(verified(tmp_path / "audit", tmp_path / "heads"))
    assert 0
