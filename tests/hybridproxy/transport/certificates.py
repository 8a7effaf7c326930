"""A certificate authority for tests."""

import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


class Authority:
    """Issues server certificates; `ca` is the file that clients trust."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._count = 0
        certificate = self._builder(self._name, self._key, days=10)
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.ca = str(self._write("ca.pem", certificate.sign(self._key, hashes.SHA256())))

    def server(self, name: str, *, days: int = 5) -> ssl.SSLContext:
        """A server's context with a certificate for a name, valid for so many more days (negative: expired)."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key, days=days)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        self._count += 1
        path = self._write(f"server{self._count}.pem", builder.sign(self._key, hashes.SHA256()), key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def asking(self, name: str) -> ssl.SSLContext:
        """A server's context that also asks callers for a certificate of this authority."""
        context = self.server(name)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.ca)
        return context

    def client(self, name: str, password: bytes | None = None) -> tuple[Path, Path]:
        """The files of a client's certificate and of its key, which nobody else may read."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._count += 1
        builder = self._builder(subject, key, days=5)
        certificate = self._write(f"client{self._count}.pem", builder.sign(self._key, hashes.SHA256()))
        path = self._folder / f"client{self._count}.key"
        path.touch(0o600)
        path.write_bytes(_pem(key, password))
        return certificate, path

    def self_signed(self, name: str) -> ssl.SSLContext:
        """A server's context with a certificate that nobody signed but itself."""
        return Authority(self._sub(), name).server_of_its_own(name)

    def server_of_its_own(self, name: str) -> ssl.SSLContext:
        """A context with a certificate for a name that is its own authority."""
        builder = self._builder(self._name, self._key, days=5)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        path = self._write("own.pem", builder.sign(self._key, hashes.SHA256()), self._key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sub(self) -> Path:
        self._count += 1
        folder = self._folder / f"own{self._count}"
        folder.mkdir()
        return folder

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + days * DAY)
        )

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None = None) -> Path:
        path = self._folder / name
        text = certificate.public_bytes(serialization.Encoding.PEM)
        if key is not None:
            text += _pem(key)
        path.write_bytes(text)
        return path


def _pem(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    locked = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
