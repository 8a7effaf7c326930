"""What records hold, and how much of it at most."""

from hybridproxy.model.plan import Candidate
from hybridproxy.residency.records import MAX_CANDIDATES, MAX_REASON, Origin, Way, begin, intent, outcome, unreached

VPC = Way("vpc", "https://10.0.3.11:8000", sovereign=True)
ORIGIN = Origin("req_1", 2, "4381dc2ab142", "p", "vpc", (Candidate("vpc", kept=True, reason="inside the VPC"),))


def test_a_beginning_names_process_policy_and_key() -> None:
    """And what it follows."""
    assert begin("boot", 5, segment=1, key=b"\x01" * 32, policy="p", more={"prev": "ab"}) == {
        "kind": "begin", "version": 1, "boot": "boot", "began": 5, "segment": 1, "key": "01" * 32, "policy": "p",
        "prev": "ab",
    }  # fmt: skip


def test_an_intent_says_who_by_which_policy_and_where_to() -> None:
    """With every backend that was looked at."""
    assert intent(ORIGIN, VPC, peer="10.0.3.11", certificate="ab", reused=True) == {
        "kind": "intent", "id": "req_1", "n": 2, "tenant": "4381dc2ab142", "policy": "p", "demand": "vpc",
        "candidates": [("vpc", True, "inside the VPC")], "backend": "vpc", "endpoint": "https://10.0.3.11:8000",
        "sovereign": True, "peer": "10.0.3.11", "certificate": "ab", "reused": True,
    }  # fmt: skip


def test_a_probe_of_ours_is_marked_as_one() -> None:
    """Nobody's call is behind it."""
    found = intent(None, VPC, peer="10.0.3.11", certificate=None, reused=False)
    assert (found["id"], found["probe"], "tenant" in found) == ("probe", True, False)


def test_candidates_and_reasons_are_bounded() -> None:
    """A record has a few kilobytes at most."""
    many = tuple(Candidate(f"b{n}", kept=False, reason="x" * 1000) for n in range(50))
    found = unreached(Origin("r", 0, "t", "p", "none", many), VPC, fault="connect")
    assert len(found["candidates"]) == MAX_CANDIDATES
    assert {len(reason) for _, _, reason in found["candidates"]} == {MAX_REASON}
    assert (found["kind"], found["fault"]) == ("unreached", "connect")


def test_an_outcome_has_bytes_status_and_fault() -> None:
    """And the number of its intent."""
    assert outcome(7, "req_1", sent=10, received=20, status=200, fault="") == {
        "kind": "outcome", "of": 7, "id": "req_1", "sent": 10, "received": 20, "status": 200, "fault": "",
    }  # fmt: skip
