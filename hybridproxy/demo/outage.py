"""The tour's last act: Singapore is cut off while an application there makes calls, and comes back."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hybridproxy.demo.captions import summary, view
from hybridproxy.demo.chart import Show
from hybridproxy.demo.judgement import HOME, Story, came_back, mistakes
from hybridproxy.demo.screen import Screen
from hybridproxy.demo.stage import Stage
from hybridproxy.demo.tour import Caller
from hybridproxy.demo.watch import Sight, Watch
from hybridproxy.demo.workspace import Workspace

if TYPE_CHECKING:
    from hybridproxy.demo.application import Application

HEADLINE: Final = "Singapore is cut off, and comes back"
CALLER: Final = Caller("chat", "Singapore", "165.21.83.88")
QUESTION: Final = "When does the ferry leave?"
TEXT: Final = "The night ferry to Batam leaves at nine from gate 7. 请提前三十分钟到达!"
BEHAVIOUR: Final[dict[str, Any]] = {"text": TEXT, "latency_ms": 20, "pace_ms": 40}
"""Twelve pieces in half a second, so that ten streams are under way when Singapore is cut off."""

HEALTHY: Final = 4.0
"""Seconds before the cut."""

OUTAGE: Final = 5.0
"""Seconds from the cut to the start of Singapore's process, which then takes about half a second."""

COME_BACK: Final = 40.0
"""Seconds from there to half of the calls; twice what it takes."""

LAST_CALLS: Final = 12.0
LOOK: Final = 0.1
"""Seconds between two looks at everything."""

WAIT: Final = 0.05
HURRY: Final = 0.005
"""Seconds between two tries to tell Singapore what to say: it must know before the proxy finds that it is back."""

WHY: Final = (
    "Calls that had no output yet were made again at the next backend of the route; streams under way went on there, "
    "for this tenant's route says on_cut: [resume, error]. Refused connections opened the breaker, so later calls did "
    "not try. It closed by a check of the proxy's own and three probes, and the ramp gives the calls back bit by bit."
)


class Outage:
    """One run of the act."""

    def __init__(self, stage: Stage, watch: Watch, application: "Application", show: Show) -> None:
        """Prepare; `run` plays it."""
        self._stage = stage
        self._watch = watch
        self._application = application
        self._show = show
        self._looked_at = 0.0
        self.sight = Sight()
        self.story = Story(time.monotonic())

    def run(self) -> None:
        """Play the act; `story`, `sight` and the application's calls then hold what happened.

        Raises:
            ChildError: a program ended that should not.
            DemoError: an upstream does not take its settings.

        """
        try:
            with self._show:
                self._play()
        finally:
            self._application.close()

    def _play(self) -> None:
        story = self.story
        story.begun = time.monotonic()
        self._application.start()
        self._until(lambda: False, HEALTHY)
        self._stage.cut_singapore()
        story.cut = time.monotonic()
        self._until(lambda: False, OUTAGE)
        self._stage.restore_singapore()
        deadline = time.monotonic() + COME_BACK
        if self._until(lambda: self._stage.singapore_says(BEHAVIOUR), COME_BACK, HURRY):
            story.restored = time.monotonic()
            self._until(self._is_back, deadline - time.monotonic())
        self._application.finish()
        self._until(lambda: not self._application.running, LAST_CALLS)
        self._look()

    def _is_back(self) -> bool:
        story, now = self.story, self._looked_at
        if story.closed is not None and came_back(self._application.calls, story.closed, now):
            story.half = now
        return story.half is not None

    def _until(self, done: Callable[[], bool], seconds: float, wait: float = WAIT) -> bool:
        """Look on until something is so; return whether it came to be within so many seconds."""
        deadline = time.monotonic() + seconds
        while not done():
            now = time.monotonic()
            if now >= deadline:
                return False
            if now - self._looked_at >= LOOK:
                self._look()
            time.sleep(min(wait, max(0.0, deadline - time.monotonic())))
        return True

    def _look(self) -> None:
        self._stage.check()
        self.sight = self._watch.look()
        self._looked_at = now = time.monotonic()
        story = self.story
        if story.closed is None and story.restored is not None and self.sight.changes.closed:
            story.closed = now
        self._show.update(view(story, self._application.calls, self.sight, now), now - story.begun)


def outage(number: int, total: int, stage: Stage, workspace: Workspace, screen: Screen) -> bool:
    """Play the act and show what came of it; return whether anything was not as expected.

    Raises:
        ChildError: a program ended that should not.
        DemoError: an upstream does not take its settings.

    """
    from hybridproxy.demo.application import RATE, Application  # noqa: PLC0415 - the client takes a second to import
    from hybridproxy.demo.callers import MODEL  # noqa: PLC0415

    screen.headline(number, total, HEADLINE)
    place = f"{CALLER.address} ({CALLER.place})"
    screen.labelled("calls", f"{CALLER.tenant}, from {place}, {RATE} a second, streamed")
    stage.say(BEHAVIOUR)
    watch = Watch(stage.ports.admin, workspace.admin_token, HOME)
    key = workspace.keys[CALLER.tenant]
    application = Application(stage.ports.data, key, CALLER.address, MODEL, QUESTION, TEXT)
    act = Outage(stage, watch, application, screen.show())
    act.run()
    stage.say(None)
    wrong = mistakes(act.story, application.calls, act.sight.changes)
    screen.labelled("result", summary(act.story, application.calls, act.sight.changes))
    screen.labelled("why", WHY)
    screen.wrong(wrong)
    return bool(wrong)
