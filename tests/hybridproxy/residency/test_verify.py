"""Whatever is done to an audit log, the verifier finds it; and it finds nothing in one that is whole."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridproxy.residency import verify
from hybridproxy.residency.chain import State, append, linked, taken_apart
from tests.support.chains import BEGAN, FAKE_KEY, Log, fake_sign, really_signed

LATER = BEGAN + 3_600_000


def two_chains() -> Log:
    """Two boots, the second after the first, each of two files."""
    return Log().chain("aaaa").chain("bbbb", began=LATER)


def told(log: Log, *, anchored: bool = True) -> list[str]:
    """Return the findings as they are printed, without the files' common beginning."""
    return [str(finding).partition("-")[2] or str(finding) for finding in log.verified(anchored=anchored).findings]


# ---- whole ----


def test_a_whole_log_is_sound() -> None:
    """With an anchor all of it is proven, and the facts of each chain are told."""
    log = two_chains()
    proof = log.verified(keys=[FAKE_KEY])
    assert (proof.findings, proof.notes, proof.more) == ((), (), 0)
    assert proof.sound
    assert proof.anchored == len(log.anchor)
    one, two = proof.chains
    assert (one.boot, one.key, one.first, one.unproven, one.ended, one.torn) == (
        "aaaa", FAKE_KEY.hex(), 0, 0, True, False,
    )  # fmt: skip
    assert one.records == one.last + 1 == len(log.files[0][1]) + len(log.files[1][1])
    assert two.records == len(log.files[2][1]) + len(log.files[3][1])


def test_without_an_anchor_the_tail_is_unproven() -> None:
    """That of the last chain; the one before is named by the next one's first record. And whose keys were believed."""
    proof = two_chains().verified(anchored=False)
    assert proof.sound
    assert proof.anchored is None
    assert [chain.unproven for chain in proof.chains] == [0, proof.chains[1].records]
    assert proof.notes == (
        "the keys are those the log names itself: compare them with what `hybridproxy audit key` printed",
    )


def test_what_follows_the_last_anchored_head_is_unproven() -> None:
    """A process that was killed: no end, and no last head."""
    log = Log().chain("aaaa", segments=1, calls=3, end=False, head=False)
    (chain,) = log.verified().chains
    assert (chain.unproven, chain.ended) == (2, False)
    assert log.verified(anchored=False).chains[0].unproven == chain.records


@given(st.integers(1, 3), st.integers(0, 5), st.booleans(), st.booleans())
@settings(max_examples=30)
def test_every_log_that_was_written_is_sound(segments: int, calls: int, end: bool, head: bool) -> None:
    """However long, and however it ended."""
    log = Log().chain("aaaa", segments=segments, calls=calls, end=end, head=head).chain("bbbb", began=LATER)
    assert log.verified().sound
    assert log.verified(anchored=False).sound


def test_an_empty_log_has_nothing() -> None:
    """No chain, and no note about keys."""
    proof = Log().verified(anchored=False)
    assert (proof.chains, proof.notes, proof.sound) == ((), (), True)


# ---- damage ----


def flipped(log: Log, rng: random.Random) -> None:
    """Turn over one bit, anywhere."""
    _, lines = rng.choice(log.files)
    at = rng.randrange(len(lines))
    line = bytearray(lines[at])
    line[rng.randrange(len(line))] ^= 1 << rng.randrange(8)
    lines[:] = io.BytesIO(b"".join([*lines[:at], line, *lines[at + 1 :]])).readlines()


def deleted(log: Log, rng: random.Random) -> None:
    """Take out up to three records in a row."""
    _, lines = rng.choice(log.files)
    at = rng.randrange(len(lines))
    del lines[at : at + rng.randint(1, 3)]


def moved(log: Log, rng: random.Random) -> None:
    """Exchange two records."""
    _, lines = rng.choice(log.files)
    one, two = rng.sample(range(len(lines)), 2)
    lines[one], lines[two] = lines[two], lines[one]


def repeated(log: Log, rng: random.Random) -> None:
    """Put a record in a second time, anywhere."""
    _, source = rng.choice(log.files)
    _, lines = rng.choice(log.files)
    lines.insert(rng.randint(0, len(lines)), rng.choice(source))


def cut(log: Log, rng: random.Random) -> None:
    """Cut a file off at any byte."""
    _, lines = rng.choice(log.files)
    data = b"".join(lines)
    lines[:] = io.BytesIO(data[: rng.randrange(len(data))]).readlines()


def inserted(log: Log, rng: random.Random) -> None:
    """Put in a record of one's own, and make every hash behind it anew, as one who has no key can."""
    at_file = rng.randrange(len(log.files))
    _, lines = log.files[at_file]
    at = rng.randrange(1, len(lines))
    before = taken_apart(lines[at - 1][:-1])
    assert before is not None
    assert before.record is not None
    state = State(before.record["seq"] + 1, before.hash)
    state, forged = append(state, {"kind": "lost", "at": 1, "records": 0})
    rest, lines[at:] = lines[at:], [forged]
    for raw in rest:
        line = taken_apart(raw[:-1])
        assert line is not None
        assert line.record is not None
        state, made = append(state, line.record)
        if line.signature:
            made = made.replace(b" - ", b" " + line.signature.hex().encode() + b" ")
        lines.append(made)


def without_a_file(log: Log, rng: random.Random) -> None:
    """Take a whole file away: any but the first, which may be old."""
    del log.files[rng.randrange(1, len(log.files))]


def twice_a_file(log: Log, rng: random.Random) -> None:
    """Let a file stand there under another name, too."""
    name, lines = rng.choice(log.files)
    log.files.append(("z" + name, list(lines)))


DAMAGE: list[Callable[[Log, random.Random], None]] = [
    flipped, deleted, moved, repeated, cut, inserted, without_a_file, twice_a_file,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_is_done_to_a_log_is_found(damage: Callable[[Log, random.Random], None]) -> None:
    """A hundred and fifty times each, by chance but the same in every run."""
    missed = []
    for seed in range(150):
        log = two_chains()
        damage(log, random.Random(seed))
        if log.verified(keys=[FAKE_KEY]).sound:
            missed.append(seed)
    assert missed == []


def test_real_signatures_are_checked(tmp_path: Path) -> None:
    """Ed25519; a log whose hashes were all made anew fails at its heads."""
    log = really_signed(tmp_path).chain("aaaa").chain("bbbb", began=LATER)
    assert log.verified(keys=[log.key]).sound
    inserted(log, random.Random(1))
    assert "signature" in str(log.verified(anchored=False).findings[0])


# ---- what each finding says ----


def test_a_flip_is_one_finding_with_file_and_line() -> None:
    """In a record, and in a hash: what follows may have been made after either."""
    log = two_chains()
    _, lines = log.files[0]
    lines[2] = lines[2].replace(b'"sent":101', b'"sent":102')
    lines[4] = (b"0" if lines[4][:1] != b"0" else b"1") + lines[4][1:]
    assert told(log, anchored=False) == [
        "aaaa-000000.audit:3: record 2 was changed: its hash is another one",
        "aaaa-000000.audit:5: record 4 was changed: its hash is another one",
    ]


def test_deleted_moved_and_repeated_records_are_told_by_number() -> None:
    """How many are missing, and which stands where it does not belong."""
    log = two_chains()
    _, lines = log.files[0]
    del lines[2:4]
    assert told(log, anchored=False) == ["aaaa-000000.audit:3: record 4 follows record 1: 2 missing"]
    log = two_chains()
    _, lines = log.files[0]
    lines.insert(4, lines[2])
    assert told(log, anchored=False)[0] == ("aaaa-000000.audit:5: record 2 stands here again, or was moved: 4 was due")


def test_a_line_that_is_no_record_is_told_once() -> None:
    """With a hash that can be read, or without one; what follows is checked as far as it can be."""
    for junk in (b"junk\n", b"ab" * 32 + b" - {}\n"):
        log = two_chains()
        log.files[0][1][2] = junk
        found = told(log, anchored=False)
        assert found[0] == "aaaa-000000.audit:3: is no record: it was changed, or it is not from us"
        assert len(found) == (1 if junk == b"junk\n" else 2)


def test_a_cut_tail_is_found_by_the_anchor_and_by_the_next_chain() -> None:
    """Cut in order, the last file alone says nothing."""
    log = two_chains()
    del log.files[-1][1][-2:]
    assert told(log, anchored=False) == []
    (found,) = told(log)
    assert "chain bbbb is cut off behind record" in found
    assert "is named by heads:" in found
    log = two_chains()
    del log.files[1][1][-1:]
    (found,) = told(log, anchored=False)
    assert found.endswith("is named by bbbb")


def test_a_torn_last_line_is_a_note() -> None:
    """As a crash leaves it. What was torn off behind a head is found by the anchor."""
    log = Log().chain("aaaa", segments=1, calls=1, end=False, head=False)
    _, lines = log.files[0]
    lines[-1] = lines[-1][:-5]
    proof = log.verified()
    assert proof.sound
    assert proof.chains[0].torn
    assert any("torn line" in note for note in proof.notes)


def test_a_torn_line_in_a_chain_that_went_on_is_no_crash() -> None:
    """Nor is one that begins a file."""
    log = two_chains()
    log.files[0][1][-1] = log.files[0][1][-1][:-5]
    assert "a torn line follows, though chain aaaa went on" in told(log, anchored=False)[0]
    log = two_chains()
    log.files[0][1][:] = [log.files[0][1][0][:-5]]
    assert "aaaa-000000.audit:1: is torn in its first line" in told(log, anchored=False)


def test_missing_and_repeated_segments_are_told() -> None:
    """One, or several; and a file that stands there twice."""
    log = Log().chain("aaaa", segments=4)
    del log.files[1]
    assert told(log, anchored=False)[0].endswith("segment 1 of chain aaaa are missing before it")
    del log.files[1]
    assert told(log, anchored=False)[0].endswith("segments 1 to 2 of chain aaaa are missing before it")
    log = two_chains()
    log.files.insert(1, log.files[0])
    assert told(log, anchored=False)[0].endswith("segment 0 of chain aaaa stands here again")


def test_a_log_whose_first_files_are_gone_is_sound_from_there_on() -> None:
    """They may be old; the heads of them that the anchor has are counted in a note."""
    log = two_chains()
    del log.files[0]
    proof = log.verified()
    assert proof.sound
    assert any("the log begins with" in note for note in proof.notes)
    assert any("heads of chain aaaa are of records before" in note for note in proof.notes)
    del log.files[0]
    proof = log.verified()
    assert proof.sound
    assert any("chain aaaa, named by" in note for note in proof.notes)
    assert log.verified(anchored=False).sound


def test_a_first_file_that_was_emptied_is_not_old() -> None:
    """It is here, so it was not removed for its age."""
    log = two_chains()
    log.files[0][1].clear()
    assert told(log, anchored=False)[0].endswith("segment 0 of chain aaaa are missing before it")
    assert any(note.endswith("is empty") for note in log.verified().notes)


def test_a_chain_that_was_taken_away_is_missed() -> None:
    """By the chain that followed it, and by the anchor."""
    log = two_chains().chain("cccc", began=LATER + LATER - BEGAN)
    del log.files[2:4]
    assert told(log, anchored=False)[0].startswith("cccc: chain bbbb is missing")
    log = two_chains()
    del log.files[2:4]
    (found,) = told(log)
    assert "chain bbbb is missing" in found
    log.files.clear()
    assert len(told(log)) == 2


def test_a_beginning_that_cannot_be_read_still_has_its_place() -> None:
    """The file's name says which chain it is; what is in it is checked on."""
    log = two_chains()
    log.files[0][1][0] = b"junk\n"
    log.files[1][1][0] = b"junk\n"
    found = told(log, anchored=False)
    assert found == [
        "aaaa-000000.audit:1: is no beginning of a segment", "aaaa-000001.audit:1: is no beginning of a segment",
    ]  # fmt: skip
    log = two_chains()
    del log.files[0][1][0]
    assert told(log, anchored=False)[0] == "aaaa-000000.audit:1: is no beginning of a segment"
    log = two_chains()
    del log.files[0]
    log.files[0][1][0] = b"junk\n"
    assert told(log, anchored=False)[0] == "aaaa-000001.audit:1: is no beginning of a segment"


@pytest.mark.parametrize(
    ("before", "after"),
    [(b'"version":1', b'"version":2'), (b'"began":1', b'"began":"1'), (b'"segment":0', b'"segment":"0"'),
     (b'"key":"00', b'"key":"0x')],
)  # fmt: skip
def test_a_beginning_of_another_form_is_none(before: bytes, after: bytes) -> None:
    """Of a version we do not know nothing can be said."""
    log = two_chains()
    changed = log.files[0][1][0].replace(before, after)
    assert changed != log.files[0][1][0]
    log.files[0][1][0] = changed
    assert any("is no beginning" in found or "is no record" in found for found in told(log, anchored=False))


def test_only_heads_are_signed_and_all_of_them_are() -> None:
    """And nothing follows an end but its head; a segment begins in a file of its own."""
    log = two_chains()
    _, lines = log.files[0]
    lines[1] = lines[1].replace(b" - ", b" " + b"ab" * 64 + b" ")
    head = next(n for n, line in enumerate(lines) if b'"kind":"head"' in line)
    parts = lines[head].split(b" ", 2)
    lines[head] = b" ".join([parts[0], b"-", parts[2]])
    assert told(log, anchored=False) == [
        f"aaaa-000000.audit:{n}: a head has to be signed, and nothing else is" for n in (2, head + 1)
    ]


def test_what_was_written_wrongly_with_the_right_hashes_is_found() -> None:
    """By one who has the key, even: behind the end, and a beginning in the middle."""
    for extra, what in (({"kind": "lost", "at": 1}, "follows the end"), ({"kind": "begin"}, "in the middle of one")):
        log = Log().chain("aaaa", segments=1, end=extra["kind"] == "lost", head=False)
        last = taken_apart(log.files[0][1][-1][:-1])
        assert last is not None
        assert last.record is not None
        _, line = append(State(last.record["seq"] + 1, last.hash), dict(extra))
        log.files[0][1].append(line)
        assert what in told(log, anchored=False)[0]


def test_a_key_that_is_not_trusted_is_told() -> None:
    """Whoever writes the whole log anew, with a key of his own, is found by the key that was kept elsewhere."""
    proof = two_chains().verified(keys=[b"\x07" * 32])
    assert "names a key that is not among those given" in str(proof.findings[0]) or "not signed" in str(
        proof.findings[0]
    )
    assert any("names a key" in str(finding) for finding in proof.findings)


# ---- the anchor ----


def test_an_anchor_with_other_heads_convicts_the_log() -> None:
    """The log was written anew with the right key: the heads that are elsewhere are the old ones."""
    log = two_chains()
    anchor = list(log.anchor)
    other = Log().chain("aaaa", calls=4).chain("bbbb", began=LATER)
    other.anchor = anchor
    assert any("is not the one that heads:" in found for found in told(other))
    log.anchor.extend(Log().chain("aaaa", began=BEGAN + 1).anchor)
    assert any("names another record" in found for found in told(log))


def test_what_is_no_head_in_the_anchor_is_told() -> None:
    """A forged one, and garbage; a line that is being written is passed over."""
    log = two_chains()
    forged = log.anchor[0].replace(log.anchor[0].split(b" ")[1], b"ab" * 64)
    intent = next(line for line in log.files[0][1] if b'"intent"' in line)
    no_boot = append(State(1, bytes(32)), {"kind": "head", "at": 1}, fake_sign)[1]
    no_time = append(State(1, bytes(32)), {"kind": "head", "at": "x", "boot": "gone"}, fake_sign)[1]
    log.anchor = [forged, b"junk\n", intent, no_boot, no_time, b"ab - half a li"]
    found = told(log)
    assert found[:4] == [
        f"heads:1: record {taken_apart(forged[:-1]).record['seq']} of chain aaaa is not signed with the chain's key",  # type: ignore[union-attr,index]
        *(f"heads:{n}: is no head of an audit log" for n in (2, 3, 4)),
    ]
    assert len(found) == 4
    assert any("chain gone, named by heads:5, was before" in note for note in log.verified().notes)


def test_a_beginning_that_names_nothing_before_it_pins_nothing() -> None:
    """Nor does one whose words about it cannot be read."""
    log = Log()
    log.last = {"boot": "x", "seq": 1, "hash": "zz"}
    log.chain("aaaa")
    assert log.verified(anchored=False).sound
    log = Log()
    log.last = {"boot": "x", "seq": "1"}
    assert log.chain("aaaa").verified(anchored=False).sound


def test_findings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is counted."""
    monkeypatch.setattr(verify, "MAX_FINDINGS", 2)
    log = two_chains()
    for at in (1, 3, 5):
        log.files[0][1][at] = b"junk\n"
    proof = log.verified(anchored=False)
    assert (len(proof.findings), proof.more) == (2, 1)


def test_hashes_are_linked() -> None:
    """SHA-256 over the hash before and the record."""
    assert linked(bytes(32), b"") != linked(bytes(31) + b"\x01", b"")
