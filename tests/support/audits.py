"""Reads audit logs from the disk, as an auditor does."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from hybridproxy.residency.verify import Proof, Verifier
from hybridproxy.stores.segments import files_in, lines_of
from hybridproxy.stores.signing import is_signature


def records(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the records of a log, or those of one kind, in their order."""
    found = [
        orjson.loads(line.split(b" ", 2)[2])
        for path in files_in(folder)
        for line in lines_of(path)
        if line.endswith(b"\n")
    ]
    return [record for record in found if kind in {None, record["kind"]}]


def verified(folder: Path, anchor: Iterable[bytes] | None = None) -> Proof:
    """Return what the verifier says of a log, with these heads."""
    verifier = Verifier(is_signature)
    files = files_in(folder)
    for path in files:
        verifier.prepare(next(lines_of(path), b""))
    if anchor is not None:
        verifier.anchor("heads", anchor)
    for path in files:
        verifier.read(path.name, lines_of(path))
    return verifier.result()
