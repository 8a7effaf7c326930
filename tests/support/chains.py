"""Makes audit logs in memory, as the writer does, for tests to damage; and verifies what is left."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hybridproxy.model.plan import Candidate
from hybridproxy.residency import chain as form
from hybridproxy.residency import records
from hybridproxy.residency.chain import State
from hybridproxy.residency.records import Origin, Way
from hybridproxy.residency.verify import Proof, Verifier
from hybridproxy.stores.signing import is_signature, make_key

BEGAN = 1_790_000_000_000
POLICY = hashlib.sha256(b"policy").hexdigest()
VPC = Way("vpc", "https://10.0.3.11:8000", sovereign=True)
CANDIDATES = (Candidate("vpc", kept=True, reason="inside the VPC"), Candidate("us", kept=False, reason="outside"))

File = tuple[str, list[bytes]]


def origin(n: int = 0, tenant: str = "4381dc2ab142") -> Origin:
    """Make whose request it is."""
    return Origin(f"req_{n:04d}", 0, tenant, POLICY, "vpc", CANDIDATES)


def fake_sign(message: bytes) -> bytes:
    """Sign with a key that everybody knows."""
    return hashlib.sha512(b"key" + message).digest()


def fake_check(key: bytes, signature: bytes, message: bytes) -> bool:
    """Check such a signature."""
    return key == FAKE_KEY and signature == fake_sign(message)


FAKE_KEY = bytes(range(32))


@dataclass
class Log:
    """A log, with the heads that were sent elsewhere."""

    files: list[File] = field(default_factory=list)
    anchor: list[bytes] = field(default_factory=list)
    key: bytes = FAKE_KEY
    sign: Any = fake_sign
    check: Any = fake_check
    last: dict[str, Any] | None = None

    def chain(
        self, boot: str, *, segments: int = 2, calls: int = 3, began: int = BEGAN, end: bool = True, head: bool = True
    ) -> "Log":
        """Add a chain: so many segments of so many calls each, a head behind every second call and at the end."""
        state, after = State(), self.last
        n = 0
        for segment in range(segments):
            lines: list[bytes] = []
            more: dict[str, Any] = {"after": after} if segment == 0 else {"prev": state.hash.hex()}
            record = records.begin(boot, began, segment=segment, key=self.key, policy=POLICY, more=more)
            state = self._add(lines, state, record | {"at": began})
            for call in range(calls):
                n += 1
                intent = records.intent(origin(n), VPC, peer="10.0.3.11", certificate="ab" * 32, reused=call > 0)
                of = state.seq
                state = self._add(lines, state, intent | {"at": began + n * 1000})
                outcome = records.outcome(of, f"req_{n:04d}", sent=100 + n, received=1000, status=200, fault="")
                state = self._add(lines, state, outcome | {"at": began + n * 1000 + 500})
                if call % 2:
                    state = self._head(lines, state, boot, began + n * 1000 + 600)
            if segment == segments - 1 and end:
                state = self._add(lines, state, {"kind": form.END, "at": began + n * 1000 + 700})
            if segment == segments - 1 and head:
                state = self._head(lines, state, boot, began + n * 1000 + 800)
            self.files.append((form.segment_name(boot, began, segment), lines))
        self.last = {"boot": boot, "seq": state.seq - 1, "hash": state.hash.hex(), "torn": False}
        return self

    def _add(self, lines: list[bytes], state: State, record: dict[str, Any]) -> State:
        state, line = form.append(state, record)
        lines.append(line)
        return state

    def _head(self, lines: list[bytes], state: State, boot: str, at: int) -> State:
        state, line = form.append(state, {"kind": form.HEAD, "at": at, "boot": boot}, self.sign)
        lines.append(line)
        self.anchor.append(line)
        return state

    def verified(self, *, anchored: bool = True, keys: Sequence[bytes] = ()) -> Proof:
        """Verify it as it stands now."""
        verifier = Verifier(self.check, keys)
        for _, lines in self.files:
            verifier.prepare(lines[0] if lines else b"")
        if anchored:
            verifier.anchor("heads", self.anchor)
        for name, lines in self.files:
            verifier.read(name, lines)
        return verifier.result()


def really_signed(folder: Any) -> Log:
    """Make an empty log that is signed with Ed25519."""
    key = make_key(folder / "key.pem")
    return Log(key=key.public, sign=key.sign, check=is_signature)
