"""Whether an audit log is the one that was written: what was flipped, deleted, inserted, moved, repeated or cut off.

Every hash is computed anew and every signature checked. What a chain alone cannot show, that its end was cut off, shows
where somebody else names a record: a signed head in the anchor, or the first record of the chain that was begun next.
Those are `pins`. Records behind a chain's last pin are told as unproven.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hybridproxy.model.value import value
from hybridproxy.residency.chain import (
    BEGIN,
    END,
    FIRST,
    HEAD,
    VERSION,
    Check,
    Line,
    hexed,
    linked,
    named,
    signed_by,
    taken_apart,
)

MAX_FINDINGS: Final = 100
"""Findings that are told one by one; one deletion is one finding, so more mean that the log is no longer ours."""


@value
class Finding:
    """Something that is not as it was written: where, and what."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        """Say it as file:line: what."""
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


@value
class Part:
    """What is here of one chain.

    Attributes:
        boot: its name.
        key: the public key of its heads, in hex, "" where its beginning is not to be read.
        records: how many are here.
        first: the number of the first one.
        last: the number of the last one.
        unproven: how many follow the last record that something outside of the chain names.
        ended: it was ended in order.
        torn: its last line is half written, as a crash leaves it.

    """

    boot: str
    key: str
    records: int
    first: int
    last: int
    unproven: int
    ended: bool
    torn: bool


@value
class Proof:
    """What was found; `more` counts findings that are not told, `anchored` heads of the anchor that were found here."""

    findings: tuple[Finding, ...]
    more: int
    notes: tuple[str, ...]
    chains: tuple[Part, ...]
    anchored: int | None

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.findings


@dataclass(slots=True)
class _Pin:
    """A record that something outside of its chain names."""

    hash: bytes
    by: str
    anchor: bool
    at: int


@dataclass(slots=True)
class _Chain:
    boot: str
    key: bytes | None
    began: int
    first: int = -1
    seq: int = 0
    befores: tuple[bytes, ...] = ()
    """The hashes the next record may follow; none where that is not known."""
    segment: int = -1
    records: int = 0
    proved: int = 0
    ended: bool = False
    torn: bool = False
    last: tuple[str, int] = ("", 0)
    pins: dict[int, _Pin] = field(default_factory=dict)


class Verifier:
    """Reads a log: each segment's first line (`prepare`), then the anchor, then every segment (`read`), in order."""

    def __init__(self, check: Check, keys: Sequence[bytes] = ()) -> None:
        """Check signatures with this function; `keys` are those to be trusted, none: each chain's own."""
        self._check = check
        self._keys = keys
        self._known: dict[str, bytes] = {}
        self._began: dict[str, int] = {}
        self._pins: dict[str, dict[int, _Pin]] = {}
        self._chains: dict[str, _Chain] = {}
        self._findings: list[Finding] = []
        self._more = 0
        self._notes: list[str] = []
        self._anchored: int | None = None
        self._files = 0

    def prepare(self, first: bytes) -> None:
        """Take the first line of a segment, to know keys and what its chain says of the one before."""
        start = _beginning(first)
        if start is None:
            return
        boot, key = start["boot"], hexed(start["key"].encode(), 32)
        assert key is not None  # noqa: S101 - `_beginning` saw to it
        self._known.setdefault(boot, key)
        self._began.setdefault(boot, start["began"])
        after = start.get("after")
        if isinstance(after, dict) and type(after.get("seq")) is int:
            named = hexed(str(after.get("hash")).encode(), 32)
            if named is not None:
                self._pin(str(after.get("boot")), after["seq"], _Pin(named, boot, anchor=False, at=start["began"]))

    def anchor(self, name: str, lines: Iterable[bytes]) -> None:
        """Take the heads that were sent elsewhere."""
        self._anchored = self._anchored or 0
        for number, raw in enumerate(lines, 1):
            line = taken_apart(raw.removesuffix(b"\n"))
            record = None if line is None else line.record
            if line is None or record is None or record["kind"] != HEAD or not isinstance(record.get("boot"), str):
                if raw.endswith(b"\n"):  # else it is being written
                    self._find(name, number, "is no head of an audit log")
                continue
            boot = record["boot"]
            known = self._keys or [self._known[boot]] if self._keys or boot in self._known else []
            if known and not any(signed_by(key, line, self._check) for key in known):
                self._find(name, number, f"record {record['seq']} of chain {boot} is not signed with the chain's key")
                continue
            at = record["at"] if type(record.get("at")) is int else 0
            self._pin(boot, record["seq"], _Pin(line.hash, f"{name}:{number}", anchor=True, at=at))

    def read(self, name: str, lines: Iterable[bytes]) -> None:
        """Take one segment. Segments come in the order of their names."""
        self._files += 1
        chain: _Chain | None = None
        number = 0
        for number, raw in enumerate(lines, 1):
            if not raw.endswith(b"\n"):
                if chain is None:
                    self._find(name, number, "is torn in its first line")
                else:
                    chain.torn = True
                break
            line = taken_apart(raw[:-1])
            if number == 1:
                chain = self._open(name, raw, line)
            assert chain is not None  # noqa: S101 - a segment's first line opened it
            self._take(chain, name, number, line, first=number == 1)
        if number == 0:
            self._notes.append(f"{name} is empty")

    def result(self) -> Proof:
        """Return what was found, after all was read."""
        for boot, pins in self._pins.items():
            if boot not in self._chains:
                self._absent(boot, pins)
        for chain in self._chains.values():
            self._ends(chain)
        if not self._keys and self._chains:
            self._notes.append(
                "the keys are those the log names itself: compare them with what `hybridproxy audit key` printed"
            )
        return Proof(
            tuple(self._findings), self._more, tuple(self._notes), tuple(map(_part, self._chains.values())),
            self._anchored,
        )  # fmt: skip

    # ---- the beginning of a segment ----

    def _open(self, name: str, raw: bytes, line: Line | None) -> _Chain:
        """Return the chain a segment belongs to, with what its first record has to follow."""
        start = _beginning(raw)
        if start is None:
            self._find(name, 1, "is no beginning of a segment")
            boot, segment = named(name)
            chain = self._chains.setdefault(boot, _Chain(boot, self._known.get(boot), self._began.get(boot, 0)))
            if chain.segment < 0 or segment != chain.segment + 1:
                chain.befores = ()
                chain.seq = line.record["seq"] if line is not None and line.record is not None else chain.seq
            chain.segment = segment
            return chain
        boot, segment = start["boot"], start["segment"]
        chain = self._chains.get(boot) or _Chain(boot, self._known.get(boot), start["began"])
        new = boot not in self._chains
        if new:
            self._chains[boot] = chain
            if self._keys and chain.key not in self._keys:
                self._find(name, 1, f"chain {boot} names a key that is not among those given")
        if chain.torn:
            self._find(*chain.last, f"a torn line follows, though chain {boot} went on in {name}")
            chain.torn = False
        if segment == chain.segment + 1 and not new:
            pass
        elif segment == 0 and new:
            chain.befores = (FIRST,)
        else:
            self._out_of_order(chain, name, start, new=new)
        chain.segment = segment
        return chain

    def _out_of_order(self, chain: _Chain, name: str, start: dict[str, Any], *, new: bool) -> None:
        segment, expected = start["segment"], chain.segment + 1
        what = f"segment {segment} of chain {chain.boot} stands here again"
        if segment > expected:
            count = f"segments {expected} to {segment - 1}" if segment - 1 > expected else f"segment {expected}"
            what = f"{count} of chain {chain.boot} are missing before it"
        if new and self._files == 1:
            self._notes.append(f"the log begins with {name}: what was before it is not here")
        else:
            self._find(name, 1, what)
        prev = hexed(str(start.get("prev")).encode(), 32)
        chain.befores = () if prev is None else (prev,)
        chain.seq = start["seq"]

    # ---- each line ----

    def _take(self, chain: _Chain, name: str, number: int, line: Line | None, *, first: bool) -> None:
        chain.last = (name, number)
        chain.records += 1
        if line is None or line.record is None:
            if not first:
                self._find(name, number, "is no record: it was changed, or it is not from us")
            chain.seq += 1
            chain.befores = () if line is None else (line.hash,)
            return
        record, computed = line.record, [linked(before, line.body) for before in chain.befores]
        seq = record["seq"]
        if chain.first < 0:
            chain.first = seq
        if seq > chain.seq:
            self._find(name, number, f"record {seq} follows record {chain.seq - 1}: {seq - chain.seq} missing")
        elif seq < chain.seq:
            self._find(name, number, f"record {seq} stands here again, or was moved: {chain.seq} was due")
        elif computed and line.hash not in computed:
            self._find(name, number, f"record {seq} was changed: its hash is another one")
        elif chain.ended and record["kind"] != HEAD:
            self._find(name, number, f"record {seq} follows the end of chain {chain.boot}")
        elif record["kind"] == BEGIN and not first:
            self._find(name, number, f"record {seq} begins a segment in the middle of one")
        self._signature(chain, name, number, line, record)
        self._pinned(chain, name, number, line, seq)
        chain.seq = seq + 1
        # of a record whose hash is wrong nobody knows which was changed, it or its hash: the next may follow either
        chain.befores = (line.hash,) if line.hash in computed else (line.hash, *computed)
        chain.ended = chain.ended or record["kind"] == END

    def _signature(self, chain: _Chain, name: str, number: int, line: Line, record: Mapping[str, Any]) -> None:
        if (record["kind"] == HEAD) != bool(line.signature):
            self._find(name, number, "a head has to be signed, and nothing else is")
        elif line.signature and chain.key is not None and not signed_by(chain.key, line, self._check):
            self._find(name, number, f"the signature of head {record['seq']} is not that of the chain's key")

    def _pinned(self, chain: _Chain, name: str, number: int, line: Line, seq: int) -> None:
        pin = self._pins.get(chain.boot, {}).pop(seq, None)
        if pin is None:
            return
        if pin.hash != line.hash:
            self._find(name, number, f"record {seq} is not the one that {pin.by} has")
            return
        chain.proved = max(chain.proved, seq + 1)
        if pin.anchor:
            self._anchored = (self._anchored or 0) + 1

    # ---- the end ----

    def _ends(self, chain: _Chain) -> None:
        left = self._pins.get(chain.boot, {})
        cut = [seq for seq in left if seq >= chain.seq]
        if cut:
            by = left[max(cut)].by
            self._find(
                *chain.last,
                f"chain {chain.boot} is cut off behind record {chain.seq - 1}: record {max(cut)} is named by {by}",
            )
        before = sum(seq < chain.first for seq in left)
        if before:
            self._notes.append(f"{before} heads of chain {chain.boot} are of records before those that are here")
        if chain.torn:
            self._notes.append(f"{chain.last[0]}: a torn line at its end, as a crash leaves it")

    def _absent(self, boot: str, pins: Mapping[int, _Pin]) -> None:
        """Tell of a chain that is named and not here: long gone, or taken away."""
        oldest = min((chain.began for chain in self._chains.values()), default=0)
        pin = pins[max(pins)]
        earlier = pin.at < oldest if pin.anchor else self._began.get(pin.by, 0) == oldest
        if earlier and self._chains:
            self._notes.append(f"chain {boot}, named by {pin.by}, was before the log that is here")
        else:
            self._find(pin.by, 0, f"chain {boot} is missing; its record {max(pins)} is named here")

    def _pin(self, boot: str, seq: int, pin: _Pin) -> None:
        before = self._pins.setdefault(boot, {}).get(seq)
        if before is not None and before.hash != pin.hash:
            self._find(pin.by, 0, f"names another record {seq} of chain {boot} than {before.by}")
        self._pins[boot][seq] = pin

    def _find(self, file: str, line: int, what: str) -> None:
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append(Finding(file, line, what))
        else:
            self._more += 1


def _beginning(raw: bytes) -> dict[str, Any] | None:
    """Return the first record of a segment, None where it is none."""
    line = taken_apart(raw.removesuffix(b"\n"))
    record = None if line is None else line.record
    if record is None or record["kind"] != BEGIN or record.get("version") != VERSION:
        return None
    kinds = {"boot": str, "key": str, "began": int, "segment": int}
    if any(type(record.get(name)) is not kind for name, kind in kinds.items()):
        return None
    return record if hexed(record["key"].encode(), 32) is not None else None


def _part(chain: _Chain) -> Part:
    return Part(
        boot=chain.boot,
        key="" if chain.key is None else chain.key.hex(),
        records=chain.records,
        first=max(0, chain.first),
        last=chain.seq - 1,
        unproven=max(0, chain.seq - max(0, chain.first, chain.proved)),
        ended=chain.ended,
        torn=chain.torn,
    )
