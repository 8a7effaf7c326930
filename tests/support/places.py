"""Ports of 127.0.0.1 that nobody else gets."""

import socket
from typing import Final

HOST: Final = "127.0.0.1"


class Place:
    """A port that stays ours while nobody listens on it: bound, but never listening. A server may still take it."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, port))
        self.port = int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Give it back."""
        self._socket.close()
