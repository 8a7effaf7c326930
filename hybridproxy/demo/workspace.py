"""The demo's own folder: configuration, environment file and logs. Gone when the demo ends."""

import os
import re
import secrets
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hybridproxy.config.keys import new_key
from hybridproxy.demo.ports import DEFAULTS, Ports
from hybridproxy.demo.problem import DemoError

TENANTS: Final = ("shop", "bank", "chat")
BACKEND_KEYS: Final = ("DASHSCOPE_API_KEY", "TOGETHER_API_KEY", "OPENROUTER_API_KEY", "VPC_API_KEY")
ADMIN_TOKEN: Final = "HYBRIDPROXY_ADMIN_TOKEN"  # noqa: S105 - a variable's name
NOT_A_KEY: Final = "not-a-real-key"
"""Simulated upstreams take any key; a real one in the environment is left where it is."""


def source_file() -> Path:
    """Return the demo's configuration in the checkout.

    Raises:
        DemoError: the package is installed without the checkout it comes from.

    """
    path = Path(__file__).resolve().parents[2] / "deploy" / "demo.yaml"
    if not path.is_file():
        raise DemoError("deploy/demo.yaml is missing: the demo runs from a checkout of the project, by `make demo`")
    return path


def with_ports(text: str, ports: Ports) -> str:
    """Return a configuration with the default ports exchanged for the chosen ones."""
    chosen = dict(zip(map(str, DEFAULTS.all), map(str, ports.all), strict=True))
    return re.sub(rf"\b({'|'.join(chosen)})\b", lambda found: chosen[found[0]], text)


class Workspace:
    """A folder for one run, with keys made for it.

    Attributes:
        folder: where it is.
        keys: tenant -> its key.
        admin_token: what the admin port asks for.

    """

    def __init__(self, ports: Ports) -> None:
        """Make the folder and write what belongs into it.

        Raises:
            DemoError: the configuration is missing, or the folder cannot be made.

        """
        source = source_file()
        self.keys: dict[str, str] = {}
        self.admin_token = secrets.token_urlsafe(18)
        secret = {ADMIN_TOKEN: self.admin_token} | dict.fromkeys(BACKEND_KEYS, NOT_A_KEY)
        for tenant in TENANTS:
            self.keys[tenant], secret[f"{tenant.upper()}_KEY_DIGEST"] = new_key(secrets.token_bytes)
        self._secret = secret
        try:
            self._temporary = tempfile.TemporaryDirectory(prefix="hybridproxy-demo-")
            self.folder = Path(self._temporary.name)
            self.config.write_text(with_ports(source.read_text(encoding="utf-8"), ports), encoding="utf-8")
            self.shell_file.write_text(self._shell(), encoding="utf-8")
        except OSError as error:
            raise DemoError(f"the demo's folder cannot be written: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._temporary.cleanup()

    @property
    def config(self) -> Path:
        """The configuration of this run."""
        return self.folder / "demo.yaml"

    @property
    def shell_file(self) -> Path:
        """A file for a shell to read: afterwards the printed lines work."""
        return self.folder / "env"

    def log(self, name: str) -> Path:
        """Return where a child's output goes."""
        return self.folder / f"{name}.log"

    def environment(self) -> Mapping[str, str]:
        """Return the environment of the proxy: this process's with the configuration's variables put over it."""
        return {**os.environ, **self._secret}

    def _shell(self) -> str:
        """Return the text of `shell_file`: variables, and this interpreter's commands first."""
        variables = {
            **self._secret,
            "HYBRIDPROXY_CONFIG": str(self.config),
            **{f"{tenant.upper()}_KEY": key for tenant, key in self.keys.items()},
        }
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
        lines.append(f'hybridproxy() {{ {shlex.quote(sys.executable)} -m hybridproxy "$@"; }}')
        return "\n".join(lines) + "\n"
