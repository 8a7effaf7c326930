import ssl
from pathlib import Path

import pytest

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


def test_contexts_are_made_once_and_files_are_read_anew_on_demand(authority: Authority) -> None:
    """Connections share a context until the operator's files may have changed."""
    contexts = Contexts()
    system, own = contexts.get(None), contexts.get(authority.ca)
    assert (contexts.get(None), contexts.get(authority.ca)) == (system, own)
    contexts.forget_files()
    assert contexts.get(None) is system
    assert contexts.get(authority.ca) is not own
