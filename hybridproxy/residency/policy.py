"""One hash for all that decides where calls may go, so that a record, a proof and a configuration can be compared."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from hybridproxy.model.backend import Tls
from hybridproxy.model.snapshot import Snapshot

_SECRET = {"credentials", "keys", "memo", "salt"}
_APART = {*_SECRET, "plane", "policy"}
"""What a process has of a policy is no part of it: its records are compared with the proof of the whole."""


def policy_hash(snapshot: Snapshot) -> str:
    """Return the SHA-256 of a configuration's policy, in hex: the same for the same policy, whatever order it has.

    Keys and tenants' digests are not in it: who may call is no part of where a call may go. Of TLS files it has the
    names without their folders. A process of one plane has the hash of the whole, unless it does not read a third
    party's address, because that is a `${NAME}`: then it has one of its own.
    """
    if snapshot.policy is not None:
        return snapshot.policy
    parts = {field.name: getattr(snapshot, field.name) for field in dataclasses.fields(snapshot)}
    text = json.dumps(_plain({name: part for name, part in parts.items() if name not in _APART}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(part: Any) -> Any:
    """Return a value as JSON can hold it; sets are sorted, the order of lists is kept."""
    if isinstance(part, Mapping):
        return {str(key): _plain(inner) for key, inner in part.items()}
    if isinstance(part, set | frozenset):
        return sorted(map(str, map(_plain, part)))
    if isinstance(part, list | tuple):
        return [_plain(inner) for inner in part]
    if isinstance(part, Enum):
        return part.value
    if isinstance(part, Tls):
        files = [None if file is None else PurePath(file).name for file in (part.ca, part.cert, part.key)]
        return [*files, part.name]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = [field.name for field in dataclasses.fields(part) if field.name not in _SECRET]
        return {name: _plain(getattr(part, name)) for name in fields}
    return part
