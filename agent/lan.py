"""Serving other devices of the local network: an address they reach, a certificate, a token.

A browser gives a microphone to `https` pages only, and nobody issues certificates for addresses of a home
network. So this machine signs one for itself; other devices cannot know whose it is, and ask their user,
who can compare its fingerprint with the one printed here. All three are kept in one folder
and used again, so that a device is asked once.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.errors import SettingsError
from agent.settings import Server

VALID_DAYS = 397
"""What browsers take of a certificate at most (CA/Browser Forum ballot SC31)."""
RENEWED_DAYS = 30
_ELSEWHERE = ("192.0.2.1", 9)
"""For documentation (RFC 5737): asked for a way there, the system names its own address; nothing is sent."""


@dataclass(frozen=True, slots=True)
class Lan:
    """`address`: of this machine in its network. `fingerprint`: SHA-256 of the certificate, as browsers show it."""

    address: str
    certificate: Path
    key: Path
    fingerprint: str
    token: str

    def overrides(self, given: Server) -> list[str]:
        """The settings, as `table.key=value`, that serve this network; a token or certificate that is given stays."""
        own_tls = [f"server.tls_certificate={self.certificate}", f"server.tls_key={self.key}"]
        return [
            "server.host=0.0.0.0",
            f'server.ice_addresses=["127.0.0.1","{self.address}"]',
            *([] if given.tls_certificate else own_tls),
            *([] if given.token else [f"server.token={self.token}"]),
        ]


def address() -> str:
    """This machine's IPv4 address in its network. Raises `SettingsError` when it is in none."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(_ELSEWHERE)
            found = str(probe.getsockname()[0])
        except OSError:
            found = "127.0.0.1"
    if ipaddress.ip_address(found).is_loopback:
        raise SettingsError("this machine is in no network; connect it to one, or leave --lan out")
    return found


def prepare(folder: Path, at: str, now: datetime) -> Lan:
    """What was made before as far as it still serves, made anew otherwise. Raises `SettingsError`."""
    certificate, key, token = folder / "certificate.pem", folder / "key.pem", folder / "token"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = _usable(certificate, key, at, now)
        if known is None:
            known = _sign(certificate, key, at, now)
        if not token.exists():
            _write(token, secrets.token_urlsafe(24).encode())
        given = token.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{folder}: the certificate of --lan cannot be kept there: {error}") from error
    fingerprint = known.fingerprint(hashes.SHA256()).hex(":").upper()
    return Lan(at, certificate.resolve(), key.resolve(), fingerprint, given)


def _usable(certificate: Path, key: Path, at: str, now: datetime) -> x509.Certificate | None:
    if not (certificate.exists() and key.exists()):
        return None
    try:
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return None
    if private.public_key() != known.public_key():
        return None
    named = ipaddress.ip_address(at) in names.get_values_for_type(x509.IPAddress)
    lasting = known.not_valid_before_utc <= now <= known.not_valid_after_utc - timedelta(days=RENEWED_DAYS)
    return known if named and lasting else None


def _sign(certificate: Path, key: Path, at: str, now: datetime) -> x509.Certificate:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voice-agent on this network")])
    reached = [x509.IPAddress(ipaddress.ip_address(one)) for one in (at, "127.0.0.1")]
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([*reached, x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    _write(key, private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    _write(certificate, signed.public_bytes(pem))
    return signed


def _write(path: Path, content: bytes) -> None:
    """For this user's eyes only."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
