"""The key that signs."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hybridproxy.stores.signing import KeyFileError, is_signature, key_at, load_key, make_key


def test_a_key_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    """In a folder that is made too; the next start finds the same."""
    path = tmp_path / "keys" / "key.pem"
    made = key_at(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key_at(path).public == load_key(path).public == made.public
    with pytest.raises(KeyFileError, match="exists"):
        make_key(path)


def test_only_its_signature_is_one(tmp_path: Path) -> None:
    """Of this key, for this message."""
    one, other = make_key(tmp_path / "1"), make_key(tmp_path / "2")
    signature = one.sign(b"message")
    assert is_signature(one.public, signature, b"message")
    assert not is_signature(other.public, signature, b"message")
    assert not is_signature(one.public, signature, b"another")
    assert not is_signature(one.public, b"short", b"message")
    assert not is_signature(b"short", signature, b"message")


def test_a_key_shows_its_public_half_only(tmp_path: Path) -> None:
    """Whoever prints it."""
    made = make_key(tmp_path / "k")
    assert repr(made) == f"SigningKey(ed25519:{made.public.hex()})"


@pytest.mark.parametrize("kind", ["nothing", "garbage", "another kind", "a folder", "locked"])
def test_what_is_no_key_is_told_with_its_file(tmp_path: Path, kind: str) -> None:
    """And nothing of what is in it."""
    path = tmp_path / "k"
    encrypted = serialization.BestAvailableEncryption(b"secret")
    algorithm = encrypted if kind == "locked" else serialization.NoEncryption()
    if kind in {"another kind", "locked"}:
        path.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, algorithm
            )
        )
    elif kind == "garbage":
        path.write_text("secret")
    elif kind == "a folder":
        path.mkdir()
    with pytest.raises(KeyFileError) as caught:
        load_key(path)
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_key_that_cannot_be_written_is_not_half_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at the first start."""

    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyFileError, match="No space left"):
        make_key(tmp_path / "k")
    assert not (tmp_path / "k").exists()


def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    """Two planes of one installation: the first one makes it, and nobody reads half of it."""
    with ThreadPoolExecutor(8) as pool:
        found = {key.public for key in pool.map(key_at, [tmp_path / "k"] * 40)}
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """There is no key, and none can be made."""
    (tmp_path / "file").touch()
    with pytest.raises(KeyFileError, match="cannot be written"):
        key_at(tmp_path / "file" / "k")
