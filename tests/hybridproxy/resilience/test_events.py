"""Tests of the words between a call's course and whoever performs it."""

from typing import get_args

from hybridproxy.model.backend import Timeouts
from hybridproxy.resilience import events
from hybridproxy.resilience.events import Command, Event, Mode, StartAttempt, Timer


def test_the_timers_that_are_configured_bear_the_name_of_their_option() -> None:
    """A fault that names a timer names what an operator can change."""
    assert all(hasattr(Timeouts(), timer.value) for timer in (Timer.COMMIT, Timer.TOTAL))


def test_what_happens_and_what_is_done_are_told_apart() -> None:
    """No word is both, and each is a value that scripts can compare."""
    happens, done = set(get_args(Event)), set(get_args(Command))
    assert not happens & done
    assert happens | done <= {word for word in vars(events).values() if isinstance(word, type)}
    assert StartAttempt(0, 0) == StartAttempt(0, 0, Mode.FRESH)
