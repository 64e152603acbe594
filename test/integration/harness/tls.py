"""Certificates made for a test, and peers that speak TLS: Python's ssl module, which is OpenSSL."""

import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
from typing import Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .client import Connection
from .process import Sandbox
from .upstreams import EchoUpstream, Script, ScriptedUpstream

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def _new_key(kind: str) -> _Key:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _general_name(text: str) -> x509.GeneralName:
    kind, _, value = text.partition(":")
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    return {"DNS": x509.DNSName, "URI": x509.UniformResourceIdentifier, "email": x509.RFC822Name}[kind](value)


class Identity:
    """A certificate and its key, in files and as text."""

    def __init__(self, sandbox: Sandbox, file: str, certificate: x509.Certificate, key: _Key, chain: str):
        self.certificate = certificate
        self.key = key
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode() + chain
        self.key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption()).decode()
        self.cert_path = sandbox.write(file + ".crt", self.pem)
        self.key_path = sandbox.write(file + ".key", self.key_pem)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def serial_hex(self) -> str:
        text = "%x" % self.certificate.serial_number
        return "0" * (len(text) % 2) + text


class Authority:
    """Issues certificates; an intermediate one if there is a parent, whose certificate goes with each chain then."""

    _made = 0

    def __init__(self, sandbox: Sandbox, name: str = "Test CA", parent: Optional["Authority"] = None):
        self._sandbox = sandbox
        self.key = _new_key("ec")
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._subject, self.key, 0, 365).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True).add_extension(
                x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        if parent is None:
            self.certificate = builder.issuer_name(self._subject).sign(self.key, hashes.SHA256())
        else:
            self.certificate = builder.issuer_name(parent._subject).sign(parent.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        self._chain = self.pem if parent is not None else ""
        self.path = sandbox.write(self._file(name) + ".ca", self.pem)

    @classmethod
    def _file(cls, name: str) -> str:
        Authority._made += 1
        return "cert-%d-%s" % (Authority._made, "".join(c if c.isalnum() else "_" for c in name)[:40])

    @staticmethod
    def _builder(subject: x509.Name, key: _Key, starts: float, days: float) -> x509.CertificateBuilder:
        now = datetime.datetime.utcnow()
        return x509.CertificateBuilder().subject_name(subject).public_key(key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(
                now + datetime.timedelta(days=starts) - datetime.timedelta(hours=1)).not_valid_after(
                    now + datetime.timedelta(days=days)).add_extension(
                        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)

    def issue(self, name: str, *sans: str, key: str = "ec", starts: float = 0, days: float = 90, client: bool = False,
              organization: Optional[str] = None) -> Identity:
        """A certificate for a server (or for a client, too): `sans` as "DNS:a.example"; by default its name is one."""
        own = _new_key(key)
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if organization:
            attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] + ([ExtendedKeyUsageOID.CLIENT_AUTH] if client else [])
        certificate = self._builder(x509.Name(attributes), own, min(starts, days - 2), days).issuer_name(
            self._subject).add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).add_extension(
                x509.ExtendedKeyUsage(usages), critical=False).add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        names = list(sans) or ["DNS:" + name]
        if names != [""]:
            certificate = certificate.add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]),
                                                    critical=False)
        return Identity(self._sandbox, self._file(name), certificate.sign(self.key, hashes.SHA256()), own, self._chain)

    def revocation_list(self, *revoked: Identity) -> str:
        """A CRL in a file: its path."""
        now = datetime.datetime.utcnow()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._subject).last_update(
            now - datetime.timedelta(hours=1)).next_update(now + datetime.timedelta(days=30))
        for one in revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(
                one.certificate.serial_number).revocation_date(now).build())
        text = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        return self._sandbox.write(self._file("crl") + ".crl", text)


def client_context(trusted: Optional[Authority] = None, own: Optional[Identity] = None, alpn: list[str] = [],
                   version: Optional[ssl.TLSVersion] = None, ciphers: str = "") -> ssl.SSLContext:
    """A client's side. Without `trusted` it takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = trusted is not None
    context.verify_mode = ssl.CERT_REQUIRED if trusted is not None else ssl.CERT_NONE
    if trusted is not None:
        context.load_verify_locations(trusted.path)
    if own is not None:
        context.load_cert_chain(own.cert_path, own.key_path)
    if alpn:
        context.set_alpn_protocols(alpn)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def client_hello(name: Optional[str] = "a.example", alpn: list[str] = []) -> bytes:
    """The first message of Python's client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(alpn=alpn).wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class TlsConnection(Connection):
    """A connection that speaks TLS once `handshake` was called, which the constructor does."""

    def __init__(self, port: int, name: Optional[str] = "a.example", context: Optional[ssl.SSLContext] = None,
                 timeout: float = 15, session: Optional[ssl.SSLSession] = None, source: str = ""):
        super().__init__(port, timeout, source=source)
        try:
            self.tls = (context or client_context()).wrap_socket(self.sock, server_hostname=name, session=session)
        except BaseException:
            self.sock.close()
            raise
        self.sock = self.tls
        self.reader.sock = self.tls

    def has_bytes(self) -> bool:
        return self.tls.pending() > 0 or super().has_bytes()

    @property
    def peer(self) -> bytes:
        """The server's certificate, in DER."""
        return self.tls.getpeercert(binary_form=True) or b""


def openssl(port: int, *arguments: str, stdin: str = "") -> str:
    """What openssl s_client prints."""
    done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, *arguments], input=stdin.encode(),
                          capture_output=True, timeout=30)
    return (done.stdout + done.stderr).decode(errors="replace")  # frames, too


def server_context(own: Identity, clients: Optional[Authority] = None, alpn: list[str] = [],
                   version: Optional[ssl.TLSVersion] = None) -> ssl.SSLContext:
    """A server's side. With `clients` it wants a certificate of theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert_path, own.key_path)
    if clients is not None:
        context.load_verify_locations(clients.path)
        context.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        context.set_alpn_protocols(alpn)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class _OverTls(ScriptedUpstream):
    context: ssl.SSLContext

    def _prepare(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.server_names: list[Optional[str]] = []  # what clients asked for, in their order
        self.protocols: list[Optional[str]] = []  # that were agreed on (ALPN)
        self.sessions_reused = 0
        self.handshakes = 0
        self.failures: list[str] = []
        context.sni_callback = lambda tls, name, _: self.server_names.append(name)

    def _serve(self, sock: socket.socket) -> None:
        try:
            tls = self.context.wrap_socket(sock, server_side=True)
        except OSError as problem:
            self.failures.append(str(problem))
            self._open.discard(sock)
            sock.close()
            return
        self.handshakes += 1
        self.sessions_reused += bool(tls.session_reused)
        self.protocols.append(tls.selected_alpn_protocol())
        self._open.discard(sock)
        self._open.add(tls)
        super()._serve(tls)


class TlsScriptedUpstream(_OverTls):
    def __init__(self, sandbox: Sandbox, script: Script, context: ssl.SSLContext):
        self._prepare(context)
        super().__init__(sandbox, script)


class TlsEchoUpstream(_OverTls, EchoUpstream):
    """EchoUpstream over TLS."""

    def __init__(self, sandbox: Sandbox, name: str, context: ssl.SSLContext):
        self._prepare(context)
        EchoUpstream.__init__(self, sandbox, name)


def write_atomically(path: str, text: str) -> None:
    """As those do who rotate files: the new one takes the name of the old one."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".new", path)
