"""How commands talk to the running server: by the admin port that the configuration names, with its token."""

import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hybridproxy.cli.common import fail, load_config

if TYPE_CHECKING:
    from hybridproxy.config.settings import Admin

MAX_ANSWER: Final = 16_000_000
SECONDS: Final = 30
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to the admin port and to nobody else."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        """Follow none."""


class AdminPort:
    """The admin port of the server that runs with a configuration."""

    def __init__(self, config: Path | None, *, json_output: bool, instead: str = "") -> None:
        """Read where it is; ends the program where there is none, and says what to do `instead`."""
        admin = load_config(config, json_output=json_output).settings.admin
        if admin is None:
            fail(f"the configuration has no admin section{instead}")
        self._admin: Admin = admin
        self._host = _LOOPBACK.get(admin.host, admin.host)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, holds: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON object that is answered; ends the program when there is none.

        `holds` is a field that an answer of status 200 has to have.
        """
        host = f"[{self._host}]" if ":" in self._host else self._host
        request = urllib.request.Request(
            f"http://{host}:{self._admin.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self._admin.token}", "Content-Type": "application/json"},
        )
        try:
            return self._send(request, holds)
        except (OSError, ValueError, http.client.HTTPException) as error:
            fail(f"no answer from the admin port at {self._host}:{self._admin.port}: {error}")

    def demand(self, method: str, path: str, body: dict[str, Any] | None = None, *, holds: str = "") -> dict[str, Any]:
        """Return what is answered with status 200; anything else ends the program with the server's reason."""
        status, answer = self.ask(method, path, body, holds=holds)
        if status != 200:
            fail(str(answer.get("error") or f"the server answered with status {status}"))
        return answer

    def _send(self, request: urllib.request.Request, holds: str) -> tuple[int, dict[str, Any]]:
        """Return the server's answer, whatever its status."""
        try:
            answer = self._opener.open(request, timeout=SECONDS)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read(MAX_ANSWER + 1)
            if len(text) > MAX_ANSWER:
                raise ValueError("the answer is too long")
            result = json.loads(text)
        if isinstance(result, dict) and (answer.status != 200 or not holds or holds in result):
            return answer.status, result
        raise ValueError("what answers there is no hybridproxy")
