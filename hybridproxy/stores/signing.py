"""Ed25519, by `cryptography`: the key that signs the audit log's heads."""

import os
import threading
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PREFIX: Final = "ed25519:"


class KeyFileError(Exception):
    """A key cannot be used. The text says why and what to do; it names the file and holds nothing of the key."""


class SigningKey:
    """A private key; its `repr` shows the public one."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Take a key."""
        self.sign = key.sign
        self.public = key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"SigningKey({PREFIX}{self.public.hex()})"


def load_key(path: Path) -> SigningKey:
    """Read a private key.

    Raises:
        KeyFileError: there is none, or it is no Ed25519 key in PEM form without a password.

    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"the key {path} cannot be read ({error.strerror})") from None
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} holds no private key in PEM form without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"the key {path} is none for Ed25519: make one with `hybridproxy audit key --new`")
    return SigningKey(key)


def make_key(path: Path) -> SigningKey:
    """Make a private key, readable by its owner only; one that is there is left alone.

    Raises:
        KeyFileError: it cannot be written, or something is there already.

    """
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(fd)
            os.link(made, path)  # whole, or not at all, and never over another one
        finally:
            made.unlink()
    except OSError as error:
        raise KeyFileError(f"the key {path} cannot be written ({error.strerror})") from None
    return SigningKey(key)


def key_at(path: Path) -> SigningKey:
    """Return the private key of a file, which is made where there is none.

    Raises:
        KeyFileError: it cannot be used, or not be made.

    """
    if not path.exists():
        try:
            return make_key(path)
        except KeyFileError:
            if not path.exists():  # else another process of this installation was quicker
                raise
    return load_key(path)


def is_signature(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether a signature is that of a message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
