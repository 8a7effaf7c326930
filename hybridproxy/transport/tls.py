"""TLS towards upstreams: contexts that take nothing from the environment's debugging switches."""

import os
import ssl
from typing import Final

from hybridproxy.model.backend import Tls

ALPN: Final = ["http/1.1"]


class TlsSetupError(Exception):
    """A context cannot be made. The text says why and what to do; it names the file."""


def make_context(
    ca: str | None, cert: str | None = None, key: str | None = None, *, environment: bool = True
) -> ssl.SSLContext:
    """Return a context that checks certificates and names, and may show a certificate of ours.

    `ssl.create_default_context` would also write every session's secrets to the file that SSLKEYLOGFILE names.

    Args:
        ca: a PEM file with the authorities to trust, None: the system's roots.
        cert: a PEM file with our certificate, None: there is none.
        key: a PEM file with its key.
        environment: the system's roots are where SSL_CERT_FILE and SSL_CERT_DIR say, if they do.

    Raises:
        TlsSetupError: a file cannot be read, or does not hold what it should.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and checks the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    if ca is not None:
        _trust(context, ca)
    elif environment:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust_the_system(context)
    if cert is not None and key is not None:
        _show(context, cert, key)
    return context


def _trust(context: ssl.SSLContext, ca: str) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except ssl.SSLError:
        raise TlsSetupError(f"the CA file {ca!r} holds no certificate in PEM form: correct tls.ca") from None
    except (OSError, ValueError) as error:
        raise TlsSetupError(f"the CA file {ca!r} cannot be read ({_why(error)}): correct tls.ca") from None


def _trust_the_system(context: ssl.SSLContext) -> None:
    """Trust the roots where OpenSSL was built to look for them, whatever the environment says."""
    paths = ssl.get_default_verify_paths()
    file = paths.openssl_cafile if os.path.isfile(paths.openssl_cafile) else None  # noqa: PTH113 - as in config.context
    folder = paths.openssl_capath if os.path.isdir(paths.openssl_capath) else None  # noqa: PTH112 - the same
    if file is None and folder is None:
        raise TlsSetupError("this system has no authorities to trust: name some with tls.ca")
    context.load_verify_locations(cafile=file, capath=folder)


def _show(context: ssl.SSLContext, cert: str, key: str) -> None:
    try:
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError:
        raise TlsSetupError(
            f"{key!r} is not the key of the certificate {cert!r}: correct tls.cert and tls.key"
        ) from None
    except (OSError, ValueError) as error:
        raise TlsSetupError(f"the files of tls.cert and tls.key cannot be read ({_why(error)}): correct them") from None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or "a name is not valid"


class Contexts:
    """One context for each set of files: reading the system's roots takes some twenty milliseconds."""

    __slots__ = ("_environment", "_made")

    def __init__(self, *, environment: bool = True) -> None:
        """Keep contexts; `environment`: as `make_context` takes it."""
        self._environment = environment
        self._made: dict[tuple[str | None, str | None, str | None], ssl.SSLContext] = {}

    def get(self, tls: Tls) -> ssl.SSLContext:
        """Return the context for a backend's files.

        Raises:
            TlsSetupError: it cannot be made.

        """
        files = (tls.ca, tls.cert, tls.key)
        context = self._made.get(files)
        if context is None:
            context = self._made[files] = make_context(*files, environment=self._environment)
        return context

    def forget_files(self) -> None:
        """Read the operator's files anew when they are next needed: they may have been exchanged."""
        self._made = {files: context for files, context in self._made.items() if files == (None, None, None)}
