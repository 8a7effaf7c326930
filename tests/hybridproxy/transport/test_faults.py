import errno
import os
import socket
import ssl

import pytest

from hybridproxy.model.fault import FaultKind
from hybridproxy.transport.egress import EgressRefusedError
from hybridproxy.transport.faults import connect_fault, lost_fault
from hybridproxy.transport.tls import TlsSetupError


def system(number: int) -> OSError:
    """What the loops raise: the address is in the text."""
    return OSError(number, f"Connect call failed ('10.0.3.11', 8000): {os.strerror(number)}")


def tls(reason: str) -> ssl.SSLError:
    """What OpenSSL raises."""
    error = ssl.SSLError(1, f"[SSL: {reason}] for 10.0.3.11 (_ssl.c:1006)")
    error.reason = reason
    return error


def certificate(code: int) -> ssl.SSLCertVerificationError:
    """What OpenSSL raises about a certificate."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: 10.0.3.11")
    error.verify_code = code
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (system(errno.ECONNREFUSED), FaultKind.CONNECT, "refused"),
        (system(errno.ECONNRESET), FaultKind.CONNECT, "closed"),
        (system(errno.ETIMEDOUT), FaultKind.TIMEOUT_CONNECT, "gave up"),
        (system(errno.EHOSTUNREACH), FaultKind.CONNECT, "EHOSTUNREACH"),
        (OSError("Multiple exceptions: 10.0.3.11"), FaultKind.CONNECT, "no way"),
        (system(errno.EMFILE), FaultKind.INTERNAL, "file descriptor"),
        (system(errno.EADDRNOTAVAIL), FaultKind.INTERNAL, "port"),
        (socket.gaierror(socket.EAI_NONAME, "vllm.10.0.3.11"), FaultKind.CONNECT, "resolved"),
        (socket.gaierror(socket.EAI_AGAIN, "vllm.10.0.3.11"), FaultKind.CONNECT, "name server"),
        (UnicodeError("label too long: 10.0.3.11"), FaultKind.CONNECT, "host name"),
        (certificate(10), FaultKind.TLS, "expired"),
        (certificate(20), FaultKind.TLS, "CA"),
        (certificate(62), FaultKind.TLS, "tls.name"),
        (certificate(7), FaultKind.TLS, "error 7"),
        (ssl.SSLEOFError(8, "10.0.3.11"), FaultKind.TLS, "closed"),
        (tls("WRONG_VERSION_NUMBER"), FaultKind.TLS, "does not speak TLS"),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), FaultKind.TLS, "alert handshake failure"),
        (ssl.SSLError(1, "10.0.3.11"), FaultKind.TLS, "unknown"),
        (TlsSetupError("the CA file '10.0.3.11.pem' cannot be read"), FaultKind.TLS, "tls.ca"),
        (EgressRefusedError("none is inside allow_cidrs"), FaultKind.EGRESS_REFUSED, "allow_cidrs"),
        (KeyError("10.0.3.11"), FaultKind.INTERNAL, "KeyError"),
    ],
)
def test_every_way_not_to_connect_has_its_words(error: Exception, kind: FaultKind, words: str) -> None:
    """The kind is right, the words help, and no address gets into them; nothing was sent, so nothing is billed."""
    fault = connect_fault(error)
    assert fault.kind is kind
    assert words in fault.detail
    assert "10.0" not in fault.detail
    assert not fault.billed


@pytest.mark.parametrize(
    ("error", "began", "kind", "words"),
    [
        (None, True, FaultKind.CUT, "closed in it"),
        (ConnectionResetError(104, "10.0.3.11"), True, FaultKind.CUT, "reset in it"),
        (BrokenPipeError(32, "10.0.3.11"), False, FaultKind.CUT, "reset in it"),
        (system(errno.ETIMEDOUT), True, FaultKind.CUT, "ETIMEDOUT"),
        (OSError("10.0.3.11"), True, FaultKind.CUT, "OSError"),
        (ssl.SSLEOFError(8, "10.0.3.11"), False, FaultKind.CUT, "closed in it"),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), False, FaultKind.TLS, "certificate required"),
        (tls("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), True, FaultKind.CUT, "bad record mac"),
        (ZeroDivisionError("10.0.3.11"), True, FaultKind.INTERNAL, "ZeroDivisionError"),
    ],
)
@pytest.mark.parametrize("billed", [False, True])
def test_every_way_to_lose_a_connection_has_its_words(
    error: Exception | None, began: bool, kind: FaultKind, words: str, billed: bool
) -> None:
    """The kind is right, the words say how and where, no address gets into them, and what was sent is billed."""
    fault = lost_fault(error, place="in it", began=began, billed=billed)
    assert fault.kind is kind
    assert words in fault.detail
    assert "10.0" not in fault.detail
    assert fault.billed == billed
