"""TLS towards upstreams: contexts that take nothing from the environment's debugging switches."""

import ssl
from typing import Final

ALPN: Final = ["http/1.1"]


class TlsSetupError(Exception):
    """A context cannot be made. The text says why and what to do; it names the file."""


def make_context(ca: str | None) -> ssl.SSLContext:
    """Return a context that checks certificates and names, against a PEM file or the system's roots.

    `ssl.create_default_context` would also write every session's secrets to the file that SSLKEYLOGFILE names.

    Raises:
        TlsSetupError: the file cannot be read, or holds no certificate.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and checks the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        context.load_verify_locations(cafile=ca)
    except ssl.SSLError:
        raise TlsSetupError(f"the CA file {ca!r} holds no certificate in PEM form: correct tls.ca") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is not valid"
        raise TlsSetupError(f"the CA file {ca!r} cannot be read ({why}): correct tls.ca") from None
    return context


class Contexts:
    """One context a CA file: reading the system's roots takes some twenty milliseconds."""

    __slots__ = ("_by_ca",)

    def __init__(self) -> None:
        self._by_ca: dict[str | None, ssl.SSLContext] = {}

    def get(self, ca: str | None) -> ssl.SSLContext:
        """Return the context for a CA file, None: for the system's roots.

        Raises:
            TlsSetupError: it cannot be made.

        """
        context = self._by_ca.get(ca)
        if context is None:
            context = self._by_ca[ca] = make_context(ca)
        return context

    def forget_files(self) -> None:
        """Read the operator's CA files anew when they are next needed: they may have been exchanged."""
        self._by_ca = {ca: context for ca, context in self._by_ca.items() if ca is None}
