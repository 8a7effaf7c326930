import ssl
from pathlib import Path

import pytest

from hybridproxy.model.backend import Tls
from hybridproxy.transport.tls import Contexts, TlsSetupError, make_context
from tests.hybridproxy.transport.certificates import Authority


def test_a_context_checks_certificate_and_name(authority: Authority) -> None:
    """Nothing older than TLS 1.2, no unchecked certificate, no unchecked name, whoever signed it."""
    for ca in (None, authority.ca):
        context = make_context(ca)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_ca_file_replaces_the_systems_roots(authority: Authority) -> None:
    """An operator who names a CA trusts that one and no other."""
    assert make_context(authority.ca).cert_store_stats()["x509_ca"] == 1


def test_session_secrets_are_not_written_where_the_environment_says(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSLKEYLOGFILE, which the standard library's default context follows, has no effect."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "secrets"))
    assert make_context(authority.ca).keylog_filename is None
    assert ssl.create_default_context().keylog_filename is not None  # or this test would prove nothing


def test_a_ca_file_that_cannot_be_used_is_named(empty_file: Path) -> None:
    """The operator reads which file it is, what is wrong with it and which setting to correct."""
    for ca, words in ((str(empty_file), "no certificate"), ("missing.pem", "No such file"), ("a\0b", "not valid")):
        with pytest.raises(TlsSetupError, match=words) as refused:
            make_context(ca)
        assert repr(ca) in str(refused.value)
        assert "tls.ca" in str(refused.value)


def test_a_sovereign_context_asks_the_environment_for_nothing(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL follows by itself, add no authority; the system's own are there."""
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    followed = {c["serialNumber"] for c in make_context(None).get_ca_certs()}
    assert len(followed) == 1  # or this test would prove nothing
    assert not followed & {c["serialNumber"] for c in make_context(None, environment=False).get_ca_certs()}


def test_a_system_without_authorities_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rather than to trust nobody without a word; a file and a folder are each enough."""
    paths = ssl.get_default_verify_paths()
    for folder, enough in ((False, False), (True, True)):
        found = paths._replace(
            openssl_cafile=str(tmp_path / "none.pem"), openssl_capath=str(tmp_path if folder else tmp_path / "none")
        )
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda found=found: found)
        if enough:
            make_context(None, environment=False)
        else:
            with pytest.raises(TlsSetupError, match=r"tls\.ca"):
                make_context(None, environment=False)


def test_a_certificate_of_ours_is_shown_with_its_key(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    """Files that are missing, do not belong together or want a password: a word about which, and no question asked."""
    cert, key = map(str, authority.client("hybridproxy"))
    assert make_context(authority.ca, cert, key).verify_mode is ssl.CERT_REQUIRED
    _, other = map(str, stranger.client("hybridproxy"))
    _, locked = map(str, authority.client("hybridproxy", b"secret"))
    for files, words in (
        ((cert, other), "is not the key"),
        ((cert, locked), "is not the key"),
        ((cert, str(tmp_path / "none")), "cannot be read"),
        ((cert, "a\0b"), "cannot be read"),
    ):
        with pytest.raises(TlsSetupError, match=words):
            make_context(authority.ca, *files)


def test_contexts_are_made_once_and_files_are_read_anew_on_demand(authority: Authority) -> None:
    """Connections share a context until the operator's files may have changed."""
    contexts = Contexts()
    system, own = contexts.get(Tls()), contexts.get(Tls(authority.ca))
    assert (contexts.get(Tls()), contexts.get(Tls(authority.ca))) == (system, own)
    contexts.forget_files()
    assert contexts.get(Tls()) is system
    assert contexts.get(Tls(authority.ca)) is not own
