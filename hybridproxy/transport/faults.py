"""Exception -> Fault: what went wrong on the way to an upstream, in words that hold no address, URL or key."""

import errno
import re
import socket
import ssl
from collections.abc import Callable
from typing import Final

from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.transport.egress import EgressRefusedError
from hybridproxy.transport.tls import TlsSetupError

# X509_V_ERR_*, from OpenSSL's x509_vfy.h
_CERTIFICATE: Final = {
    9: "its certificate is not valid yet: compare the clocks",
    10: "its certificate has expired",
    18: "its certificate is self-signed: name it as tls.ca if it is to be trusted",
    19: "its certificate was issued by a CA that is not trusted here: name that CA as tls.ca",
    20: "its certificate was issued by a CA that is not trusted here: name that CA as tls.ca",
    21: "its certificate was issued by a CA that is not trusted here: name that CA as tls.ca",
    62: "its certificate is for another name: set tls.name to the name in the certificate",
    64: "its certificate is for another name: set tls.name to the name in the certificate",
}

_REASONS: Final = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "HTTP_REQUEST": "it does not speak TLS on this port",
    "UNSUPPORTED_PROTOCOL": "it offers no TLS 1.2 or newer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it offers no TLS 1.2 or newer",
}

# Ours, not the upstream's: another backend fares no better, and this one's health must not suffer for it.
_EXHAUSTED: Final = {
    errno.EMFILE: "no file descriptor is left: raise the limit of open files",
    errno.ENFILE: "no file descriptor is left on this machine",
    errno.EADDRNOTAVAIL: "no local port is left, or this machine has no address of that family",
    errno.ENOBUFS: "no memory is left for sockets",
    errno.ENOMEM: "no memory is left for sockets",
}


def _resolving(error: socket.gaierror) -> Fault:
    late = error.errno == socket.EAI_AGAIN
    return Fault(FaultKind.CONNECT, "no name server answered" if late else "its name could not be resolved")


def _certificate(error: ssl.SSLCertVerificationError) -> Fault:
    words = _CERTIFICATE.get(error.verify_code) or f"its certificate was refused (error {error.verify_code})"
    return Fault(FaultKind.TLS, words)


def _handshake(error: ssl.SSLError) -> Fault:
    words = _REASONS.get(_reason(error)) or f"the handshake broke off ({_tls_words(error)})"
    return Fault(FaultKind.TLS, words)


def _system(error: OSError) -> Fault:
    if error.errno in _EXHAUSTED:
        return Fault(FaultKind.INTERNAL, _EXHAUSTED[error.errno])
    name = errno.errorcode.get(error.errno or 0, "")
    return Fault(FaultKind.CONNECT, f"no way there ({name})" if name else "no way there")


# The first row that fits counts: a kind of error stands before those it is a kind of.
_CONNECT: Final[tuple[tuple[type[Exception], Callable[..., Fault]], ...]] = (
    (EgressRefusedError, lambda error: Fault(FaultKind.EGRESS_REFUSED, str(error))),
    (
        TlsSetupError,
        lambda _: Fault(FaultKind.TLS, "its PEM files cannot be used: correct tls.ca, cert and key"),
    ),
    (ssl.SSLCertVerificationError, _certificate),
    (ssl.SSLEOFError, lambda _: Fault(FaultKind.TLS, "it closed the connection during the handshake")),
    (ssl.SSLError, _handshake),
    (socket.gaierror, _resolving),
    (UnicodeError, lambda _: Fault(FaultKind.CONNECT, "its name is not a valid host name")),
    (ConnectionRefusedError, lambda _: Fault(FaultKind.CONNECT, "nothing listens there (connection refused)")),
    (
        ConnectionError,
        lambda _: Fault(FaultKind.CONNECT, "it closed the connection at once, or spoke before it was asked"),
    ),
    (TimeoutError, lambda _: Fault(FaultKind.TIMEOUT_CONNECT, "the network gave up")),
    (OSError, _system),
)


def connect_fault(error: Exception) -> Fault:
    """Return what an exception while connecting means; one that is not in the table is a bug of ours."""
    for kind, make in _CONNECT:
        if isinstance(error, kind):
            return make(error)
    return Fault(FaultKind.INTERNAL, f"unexpected {type(error).__name__} while connecting")


def lost_fault(error: Exception | None, *, place: str, began: bool, billed: bool) -> Fault:
    """Return what the end of a connection in the middle of an exchange means.

    Args:
        error: what the transport said, None when the upstream closed without a word.
        place: how far the answer was, as `before the head`.
        began: a byte of the answer had come.
        billed: the request was sent whole.

    """
    if error is not None and not isinstance(error, OSError):
        return Fault(FaultKind.INTERNAL, f"unexpected {type(error).__name__} while reading the answer", billed=billed)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError) and not began:
        return Fault(FaultKind.TLS, f"it ended the session at once ({_tls_words(error)})", billed=billed)
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return Fault(FaultKind.CUT, f"the connection was reset {place}", billed=billed)
    if error is None or isinstance(error, ssl.SSLEOFError):
        return Fault(FaultKind.CUT, f"the connection was closed {place}", billed=billed)
    if isinstance(error, ssl.SSLError):  # its errno is OpenSSL's, not the system's
        return Fault(FaultKind.CUT, f"TLS failed {place} ({_tls_words(error)})", billed=billed)
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return Fault(FaultKind.CUT, f"the connection failed {place} ({name})", billed=billed)


def _reason(error: ssl.SSLError) -> str:
    return getattr(error, "reason", None) or ""  # errors that do not come from OpenSSL lack it


def _tls_words(error: ssl.SSLError) -> str:
    """Return OpenSSL's reason: a constant of its own, so it holds nothing of the upstream's."""
    return re.sub(r"[^a-z0-9 ]", " ", _reason(error).lower()) or "unknown reason"
