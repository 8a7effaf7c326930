"""The demo's programs: the upstreams, the VPC's engine and the proxy, and how trouble is made among them.

Singapore's upstream and the VPC's engine are processes of their own, so that they can really be down.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from hybridproxy.demo import local_http
from hybridproxy.demo.judgement import AWAY, HOME
from hybridproxy.demo.ports import Ports
from hybridproxy.demo.processes import Child, Processes
from hybridproxy.demo.tour import VPC, Trouble
from hybridproxy.demo.workspace import Workspace

PROVIDERS: Final = {"dashscope-sg": "dashscope", "together-us": "together", "openrouter-us": "openrouter", VPC: "vllm"}
READY: Final = 20.0
"""Seconds a program may take to its first answer."""

ENGINE_READY: Final = 120.0
"""The same for a real engine, which reads its model first."""

PACE_MS: Final = 40
"""Milliseconds between two pieces where somebody watches; about as fast as people read."""


class Stage:
    """The programs of one run."""

    def __init__(self, ports: Ports, workspace: Workspace, processes: Processes, *, real: bool, paced: bool) -> None:
        """Describe the programs; `start` starts them."""
        self.ports = ports
        self.real = real
        self._processes = processes
        self._pace = {"pace_ms": PACE_MS} if paced else {}
        python = [sys.executable, "-u", "-m"]
        third_parties = {name: port for name, port in ports.upstreams.items() if name != VPC}
        vpc_port = ports.upstreams[VPC]
        engine = ["hybridproxy.demo.engine", "--port", str(vpc_port)]
        if not real:
            engine = ["hybridproxy.simulator", f"{VPC}={PROVIDERS[VPC]}:{vpc_port}"]
        singapore = ["hybridproxy.simulator", f"{HOME}={PROVIDERS[HOME]}:{ports.upstreams[HOME]}"]
        others = [f"{name}={PROVIDERS[name]}:{port}" for name, port in third_parties.items() if name != HOME]
        simulators = ["hybridproxy.simulator", *others]
        serve = ["hybridproxy", "serve", "--config", str(workspace.config)]
        self.upstreams = Child("upstreams", [*python, *simulators], os.environ, workspace.log("upstreams"))
        self.singapore = Child(HOME, [*python, *singapore], os.environ, workspace.log(HOME))
        self.engine = Child(VPC, [*python, *engine], os.environ, workspace.log(VPC))
        self.proxy = Child("proxy", [*python, *serve], workspace.environment(), workspace.log("proxy"))
        self._simulated = dict(ports.upstreams) if not real else third_parties

    def start(self) -> None:
        """Start everything; `wait_ready` says when it is there.

        Raises:
            ChildError: a program cannot be started.

        """
        for child in (self.upstreams, self.singapore, self.engine, self.proxy):
            self._processes.start(child)

    def wait_ready(self) -> None:
        """Wait until every program answers.

        Raises:
            ChildError: one ended, or takes too long.
            DemoError: a simulator does not take its settings.

        """
        third_parties = [port for name, port in self.ports.upstreams.items() if name != VPC]
        self._processes.wait_ready(self.upstreams, lambda: all(map(_simulator_answers, third_parties)), READY)
        self._wait_for_engine()
        self._processes.wait_ready(self.proxy, lambda: local_http.answers(self.ports.data, "/readyz"), READY)
        for port in self._simulated.values():
            local_http.behave(port, self._pace)

    def make(self, trouble: Trouble) -> None:
        """Break what a step wants broken.

        Raises:
            DemoError: it cannot be done.

        """
        for name, fault in trouble.faults.items():
            local_http.behave(self.ports.upstreams[name], {**self._pace, "fault": fault})
        if trouble.stopped == VPC:
            self._processes.stop(self.engine)

    def mend(self, trouble: Trouble) -> None:
        """Repair what `make` broke.

        Raises:
            DemoError: it cannot be done.

        """
        for name in trouble.faults:
            local_http.behave(self.ports.upstreams[name], self._pace)
        if trouble.stopped == VPC:
            self._processes.start(self.engine)
            self._wait_for_engine()
            if not self.real:
                local_http.behave(self.ports.upstreams[VPC], self._pace)

    def say(self, settings: dict[str, Any] | None) -> None:
        """Give Singapore's upstream and the one that takes over the same settings; None: as in the other steps.

        Raises:
            DemoError: they do not take them.

        """
        for name in (HOME, AWAY):
            local_http.behave(self.ports.upstreams[name], self._pace if settings is None else settings)

    def cut_singapore(self) -> None:
        """Cut Singapore off: its process is killed by its id, so connections break and new ones are refused."""
        self._processes.kill(self.singapore)

    def restore_singapore(self) -> None:
        """Start Singapore again at the same port; `singapore_says` tells when it is there.

        Raises:
            ChildError: it cannot be started.

        """
        self._processes.start(self.singapore)

    def singapore_says(self, settings: dict[str, Any]) -> bool:
        """Return whether Singapore is there again and took its settings."""
        return local_http.takes(self.ports.upstreams[HOME], settings)

    def counts(self) -> dict[str, int | None]:
        """Return how many requests each upstream has had; None where it cannot tell, being real or stopped."""
        return {
            name: local_http.requests_seen(port) if name in self._simulated else None
            for name, port in self.ports.upstreams.items()
        }

    def check(self) -> None:
        """Make sure that everything still runs.

        Raises:
            ChildError: a program ended.

        """
        self._processes.check()

    def _wait_for_engine(self) -> None:
        port = self.ports.upstreams[VPC]
        seconds = ENGINE_READY if self.real else READY
        self._processes.wait_ready(self.engine, lambda: local_http.answers(port, "/health"), seconds)


def asked(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> dict[str, int | None]:
    """Return how many requests each upstream got between two counts."""
    return {
        name: None if was is None or (now := after.get(name)) is None else now - was for name, was in before.items()
    }


def _simulator_answers(port: int) -> bool:
    return local_http.answers(port, "/_sim/state")
