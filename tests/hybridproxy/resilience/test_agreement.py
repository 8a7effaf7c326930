"""What workers agree on of a limit, whatever they say and hear."""

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.resilience.agreement import (
    BASE,
    FLOOR,
    FULL_FOR,
    HEALING,
    MOST_ENTRIES,
    MOST_FULL,
    SETTLED,
    WINDOW,
    Agreed,
    sync,
)
from hybridproxy.resilience.shares import LARGEST, LOST, LOST_FOR, MOST_WORKERS, Heard, Kind, Row, Said, Share

DAY = 86_400_000
EPOCH = 20_000 * DAY
"""A midnight, in milliseconds."""


class Worker:
    """One that speaks of one limit: it keeps what it was told, and no more."""

    def __init__(self, name: str, kind: Kind = Kind.RATE, limit: int = 100, *, spender: str = "") -> None:
        self.me = name
        self.name = f"{name}0"
        self.kind = kind
        self.limit = limit
        self.spender = spender or name
        self.seq = self.generation = self.known = self.used = self.held = 0
        self.heard = (0, 0, 0)
        self.last: Heard | None = None

    def say(self, want: int = 0, *, began: int = 0, bye: bool = False) -> Said:
        """Speak; what is kept is what is used or held."""
        self.seq += 1
        keep = self.used if bye else max(self.used, self.held)
        self.held = keep
        spent = self.used if self.kind is Kind.CAP else 0
        heard = self.heard if self.kind is Kind.CAP else (0, 0, 0)
        row = Row(
            "aa", self.kind, self.limit, keep, self.used, max(want, self.used), spent, began, DAY - began % DAY, *heard
        )
        return Said(self.me, self.name, self.spender, self.seq, self.generation, self.known, bye, (row,))

    def hear(self, heard: Heard) -> Share:
        """Take the answer."""
        self.last = heard
        share = heard.shares["aa"]
        self.generation, self.known = heard.generation, heard.known
        self.held, self.heard = min(share.held, share.goal), (heard.generation, share.gone, share.all)
        return share

    def sync(self, agreed: Agreed, now: int, want: int = 0, *, began: int = 0, bye: bool = False) -> Share:
        """Say and hear."""
        return self.hear(sync(agreed, self.say(want, began=began, bye=bye), now))


def test_one_worker_has_as_much_as_it_wants() -> None:
    """And half of the rest, so that a burst finds it there."""
    one = Worker("a")
    assert one.sync(Agreed(), EPOCH, want=20) == Share(60, 60, 0, 0, 60)


def test_two_that_want_everything_have_half_each_after_two_syncs() -> None:
    """What one holds is only taken by what it says itself: nobody else touches it."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    assert one.sync(agreed, EPOCH, want=100).held == 100
    assert two.sync(agreed, EPOCH + 10, want=100) == Share(0, 50, 0, 0, 100)
    assert one.sync(agreed, EPOCH + 500, want=100) == Share(100, 50, 0, 0, 100)
    assert two.sync(agreed, EPOCH + 510, want=100).held == 0
    assert one.sync(agreed, EPOCH + 1000, want=100).held == 50
    assert two.sync(agreed, EPOCH + 1010, want=100).held == 50


def test_who_wants_little_has_it_and_the_rest_goes_to_who_wants_more() -> None:
    """Max-min: nobody gets less than an equal part for another's sake, and nothing that is wanted is left over."""
    agreed, small, large = Agreed(), Worker("a"), Worker("b")
    for now in range(EPOCH, EPOCH + 3000, 500):
        small.sync(agreed, now, want=10)
        large.sync(agreed, now + 10, want=100)
    assert (small.held, large.held) == (10, 90)


def test_what_is_in_use_cannot_be_taken() -> None:
    """It comes down as its use does."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    one.sync(agreed, EPOCH, want=100)
    one.used = 80
    for now in range(EPOCH + 500, EPOCH + 3000, 500):
        one.sync(agreed, now, want=100)
        two.sync(agreed, now + 10, want=100)
    assert two.held == 20
    one.used = 30
    one.sync(agreed, EPOCH + 3000, want=100)
    two.sync(agreed, EPOCH + 3010, want=100)
    assert two.held == 50


def test_money_that_was_spent_is_nobodys_fair_share() -> None:
    """What is left is shared, whoever spent the rest."""
    agreed, one, two = Agreed(), Worker("a", Kind.CAP, 1000), Worker("b", Kind.CAP, 1000)
    one.sync(agreed, EPOCH, want=1000)
    one.used = 800
    for now in range(EPOCH + 500, EPOCH + 4000, 500):
        one.sync(agreed, now, want=1000)
        two.sync(agreed, now + 10, want=1000)
    assert (one.held, two.held) == (895, 95)  # a hundredth is set aside


def test_a_message_that_comes_too_late_changes_nothing() -> None:
    """It waited in a stopped server until a later one had been answered on another connection."""
    agreed, one = Agreed(), Worker("a")
    old = one.say(want=10)
    one.sync(agreed, EPOCH, want=100)
    assert sync(agreed, old, EPOCH + 100).shares == {}
    assert agreed.limits["aa"][0].held == 100


def test_an_answer_that_was_lost_costs_nothing() -> None:
    """The worker has what it said it keeps, and Redis believes that it has no less."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    sync(agreed, one.say(want=100), EPOCH)
    assert one.held == 0
    two.sync(agreed, EPOCH, want=100)
    assert two.held == 0


def test_what_is_not_used_any_more_is_forgotten() -> None:
    """A limit without use, wants and shares leaves no trace."""
    agreed, one = Agreed(), Worker("a")
    one.sync(agreed, EPOCH, want=10)
    one.held = 0
    assert one.sync(agreed, EPOCH + 500).held == 0
    assert not agreed.limits


def test_a_limit_that_all_have_used_up_is_known_to_those_who_did_not_ask() -> None:
    """As long as somebody says so."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    one.used = 100
    one.sync(agreed, EPOCH, want=100)
    quiet = Said("b", "b0", "b", 1, 0, 0, bye=False, rows=())
    assert sync(agreed, quiet, EPOCH).full == ("aa",)
    assert sync(agreed, Said("b", "b0", "b", 2, 0, 0, bye=False, rows=()), EPOCH + FULL_FOR + 1).full == ()
    one.sync(agreed, EPOCH, want=100)
    one.used = 99
    one.sync(agreed, EPOCH + 10, want=100)
    two.seq = 2
    two.sync(agreed, EPOCH + 10, want=1)
    assert two.last is not None
    assert two.last.full == ()


def test_the_list_of_them_is_bounded() -> None:
    """Beyond it nobody is told beforehand."""
    agreed = Agreed(generation=EPOCH)
    rows = tuple(Row(f"{n:x}", Kind.RATE, 1, 1, 1, 1) for n in range(MOST_FULL + 5))
    assert len(sync(agreed, Said("a", "a0", "a", 1, 0, 0, bye=False, rows=rows), EPOCH).full) == MOST_FULL


# ---- workers that go ----


def test_a_goodbye_gives_everything_back_but_what_was_used_in_the_last_minute() -> None:
    """A rate's use counts for its 60 s, wherever it was."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    one.sync(agreed, EPOCH, want=100)
    one.used = 30
    one.sync(agreed, EPOCH + 500, bye=True)
    assert two.sync(agreed, EPOCH + 600, want=100).held == 70
    assert two.known == 1
    assert two.sync(agreed, EPOCH + 500 + WINDOW + 1, want=100).held == 100


def test_places_are_free_with_the_goodbye() -> None:
    """The calls that took them have ended."""
    agreed, one, two = Agreed(), Worker("a", Kind.PLACES), Worker("b", Kind.PLACES)
    one.used = 30
    one.sync(agreed, EPOCH, want=100)
    one.used = 0
    one.sync(agreed, EPOCH + 500, bye=True)
    assert two.sync(agreed, EPOCH + 600, want=100).held == 100


def test_money_stays_spent_after_the_goodbye() -> None:
    """And what was not spent is back."""
    agreed, one, two = Agreed(), Worker("a", Kind.CAP), Worker("b", Kind.CAP)
    one.sync(agreed, EPOCH, want=100)
    one.used = 30
    one.sync(agreed, EPOCH + 500, bye=True)
    assert two.sync(agreed, EPOCH + 500 + WINDOW + 1, want=100) == Share(69, 69, 0, 30, 99)


def test_a_lost_worker_keeps_what_it_has_then_its_part_then_nothing() -> None:
    """It may go on alone with that for a quarter of an hour."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    for _ in range(3):
        two.sync(agreed, EPOCH, want=1)
        one.sync(agreed, EPOCH, want=70)
    share = one.held
    assert share >= 70
    assert two.sync(agreed, EPOCH + LOST + 1, want=100).held == 100 - share
    assert two.sync(agreed, EPOCH + SETTLED + 1, want=100).held == 50
    assert two.known == 2
    assert two.sync(agreed, EPOCH + LOST_FOR + 1, want=100).held == 100
    assert two.known == 1
    assert [entry.who for entry in agreed.limits["aa"]] == ["b"]


def test_a_lost_worker_has_its_part_of_limits_it_never_spoke_of() -> None:
    """A tenant may come to it while it is alone."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    sync(agreed, Said("a", "a0", "a", 1, 0, 0, bye=False, rows=()), EPOCH)
    two.sync(agreed, EPOCH, want=100)
    assert two.held == 100
    assert one.known == 0
    two.held = 0
    assert two.sync(agreed, EPOCH + LOST + 1, want=100).held == 0  # that one was alone: its part was everything
    agreed = Agreed()
    for seq, now in ((1, EPOCH), (2, EPOCH + 10)):
        sync(agreed, Said("a", "a0", "a", seq, EPOCH, 2, bye=False, rows=()), now)
        sync(agreed, Said("c", "c0", "c", seq, EPOCH, 2, bye=False, rows=()), now)
    sync(agreed, Said("c", "c0", "c", 3, EPOCH, 2, bye=True, rows=()), EPOCH + 20)
    assert Worker("b").sync(agreed, EPOCH + LOST + 20, want=100).held == 50


def test_what_a_lost_worker_may_spend_stays_reserved() -> None:
    """To the end of the period: a cap never relaxes. It comes back, and what it did not spend is free again."""
    agreed, one, two = Agreed(), Worker("a", Kind.CAP, spender="f1"), Worker("b", Kind.CAP)
    one.sync(agreed, EPOCH, want=60)
    assert one.held == 79
    one.used = 50
    assert two.sync(agreed, EPOCH + LOST + 1, want=100) == Share(19, 19, 0, 79, 98)
    assert two.sync(agreed, EPOCH + 20 * 3_600_000, want=100) == Share(19, 19, 0, 79, 98)
    again = Worker("c", Kind.CAP, spender="f1")
    again.used = 50
    assert again.sync(agreed, EPOCH + 20 * 3_600_000, want=60).held == 60
    for later in (500, 1000):
        two.sync(agreed, EPOCH + 20 * 3_600_000 + later, want=100)
    assert two.held == 38


def test_a_former_self_that_spent_more_is_told() -> None:
    """What the ledger lost, Redis knows; a second time nothing is added."""
    agreed, one = Agreed(), Worker("a", Kind.CAP, spender="f1")
    one.used = 50
    one.sync(agreed, EPOCH, want=60)
    again = Worker("c", Kind.CAP, spender="f1")
    again.used = 45
    assert again.sync(agreed, EPOCH + 10, want=60).spent == 50
    again.used = 52
    assert again.sync(agreed, EPOCH + 20, want=60).spent == 52


def test_a_worker_that_was_started_again_replaces_its_former_self() -> None:
    """Under its old name; of a rate it still has in use what it had, then nothing."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    one.sync(agreed, EPOCH, want=100)
    one.used = 30
    one.sync(agreed, EPOCH + 500, want=100)
    again = Worker("c")
    again.name = one.name
    again.sync(agreed, EPOCH + LOST + 600)
    assert two.sync(agreed, EPOCH + LOST + 700, want=100).held == 70
    assert two.known == 2
    again.sync(agreed, EPOCH + 500 + WINDOW)
    assert two.sync(agreed, EPOCH + 500 + WINDOW + 1, want=100).held == 100


def test_in_a_new_period_a_lost_worker_has_its_part_of_the_cap() -> None:
    """Where it was lost at most a quarter of an hour before that began; it counts until the period is over."""
    minute = 60_000
    for lost_before, reserved in ((5 * minute, 50), (20 * minute, 0), (-minute, 0)):
        agreed, two = Agreed(), Worker("b", Kind.CAP)
        for seq in (1, 2):
            for worker in "ab":
                said = Said(worker, f"{worker}0", worker, seq, EPOCH, 2, bye=False, rows=())
                sync(agreed, said, EPOCH - lost_before + seq)
        two.seq = 2
        now = EPOCH + 10 * minute
        assert two.sync(agreed, now, want=100, began=10 * minute).gone == reserved
        assert two.sync(agreed, now + 30 * 3_600_000, want=100, began=30 * 3_600_000).gone == reserved
        one = Worker("a", Kind.CAP)
        one.used, one.seq = 20, 2
        one.sync(agreed, now + 40 * 3_600_000, began=40 * 3_600_000)
        assert two.sync(agreed, now + 40 * 3_600_000, want=100, began=40 * 3_600_000).gone == 0


# ---- Redis that forgot ----


def test_after_a_wipe_nobody_gets_more_until_all_are_there_again() -> None:
    """Who comes first does not know what the others hold."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    for now in (EPOCH, EPOCH + 10, EPOCH + 500, EPOCH + 510):
        (one if now % 500 == 0 else two).sync(agreed, now, want=100)
    wiped, now = Agreed(), EPOCH + 1000
    one.held = 40
    assert one.sync(wiped, now, want=100).held == 40
    assert one.known == 2
    assert two.sync(wiped, now + 10, want=100).held == two.held
    assert one.sync(wiped, now + 500, want=100).held == 40
    assert one.sync(wiped, now + HEALING, want=100).held >= 50


def test_who_does_not_come_back_after_a_wipe_has_its_part_reserved() -> None:
    """As a lost one, though nobody knows its name."""
    agreed, one, two = Agreed(), Worker("a"), Worker("b")
    for now in (EPOCH, EPOCH + 500):
        one.sync(agreed, now, want=10)
        two.sync(agreed, now + 10, want=10)
    one.sync(agreed, EPOCH + 1000, want=10)
    wiped, now = Agreed(), EPOCH + 2000
    one.sync(wiped, now, want=100)
    assert one.sync(wiped, now + HEALING, want=100).held == 50
    assert one.sync(wiped, now + LOST_FOR, want=100).held == 100


def test_after_a_wipe_money_is_neither_forgotten_nor_counted_twice() -> None:
    """What those spent that are gone, the others know; what those hold that are missing stays theirs."""
    agreed = Agreed()
    gone, one, two = (Worker(name, Kind.CAP, 1000) for name in "abc")
    gone.used = 300
    gone.sync(agreed, EPOCH, bye=True)
    for now in (EPOCH + 500, EPOCH + 1000, EPOCH + 1500):
        one.sync(agreed, now, want=100)
        two.sync(agreed, now + 10, want=100)
    one.used = two.used = 50
    held = one.held + two.held
    wiped, now = Agreed(), EPOCH + 2000
    assert one.sync(wiped, now, want=1000).gone == 300
    assert one.sync(wiped, now + HEALING, want=1000).held <= 700 - two.held
    assert {entry.who for entry in wiped.limits["aa"]} == {BASE, FLOOR, one.me}
    two.sync(wiped, now + HEALING + 10, want=100)
    for later in range(now + HEALING + 500, now + HEALING + 3000, 500):
        one.sync(wiped, later, want=1000)
        two.sync(wiped, later + 10, want=100)
    assert {entry.who for entry in wiped.limits["aa"]} == {BASE, one.me, two.me}
    assert held < one.held + two.held <= 700


# ---- bounds ----


def test_workers_are_bounded() -> None:
    """The one that was not heard for the longest time gives way."""
    agreed = Agreed()
    for n in range(MOST_WORKERS + 1):
        sync(agreed, Said(f"{n:x}", f"{n:x}", f"{n:x}", 1, 0, 0, bye=False, rows=()), EPOCH + n)
    assert len(agreed.members) == MOST_WORKERS
    assert "0" not in agreed.members


def test_spenders_are_bounded_and_their_money_is_not_lost() -> None:
    """A fleet whose workers have no ledger and are started anew all the time: those that nobody hears become one."""
    agreed = Agreed()
    for n in range(MOST_ENTRIES + 1):
        worker = Worker(f"{n:x}f", Kind.CAP, 10_000)
        worker.used = 1
        worker.sync(agreed, EPOCH + n * 10_000, bye=True)
    last = Worker("e", Kind.CAP, 10_000)
    assert last.sync(agreed, EPOCH + MOST_ENTRIES * 20_000, want=100).gone == MOST_ENTRIES + 1
    assert last.sync(agreed, EPOCH + MOST_ENTRIES * 20_000 + 1, want=100).gone == MOST_ENTRIES + 1
    assert len(agreed.limits["aa"]) == 2


@given(st.data())
def test_all_that_is_held_is_never_more_than_the_limit(data: st.DataObject) -> None:
    """Whatever is asked, heard, lost, left or begun, in any order; nobody dies with more in use than it says."""
    kind = data.draw(st.sampled_from(Kind))
    limit = data.draw(st.integers(1, LARGEST))
    agreed, now = Agreed(), EPOCH
    workers = [Worker(name, kind, limit) for name in "abc"]
    gone = 0
    for _ in range(data.draw(st.integers(1, 30))):
        now += data.draw(st.integers(1, 900))
        worker = data.draw(st.sampled_from(workers))
        what = data.draw(st.sampled_from(["sync", "sync", "use", "answer lost", "message lost", "late", "bye"]))
        if what == "use":
            worker.used = data.draw(st.integers(worker.used if kind is Kind.CAP else 0, max(worker.used, worker.held)))
        elif what == "bye" and len(workers) > 1:
            worker.sync(agreed, now, bye=True)
            gone += worker.used
            workers.remove(worker)
        else:
            said = worker.say(data.draw(st.integers(0, limit)))
            if what == "late":
                worker.sync(agreed, now, data.draw(st.integers(0, limit)))
                sync(agreed, said, now)
            elif what != "message lost":
                heard = sync(agreed, said, now)
                if what != "answer lost":
                    worker.hear(heard)
        assert sum(max(one.held, one.used) for one in workers) + (0 if kind is Kind.PLACES else gone) <= limit
