"""A real HTTPS server for client documents. It has its own CA and can misbehave in every way."""

import contextlib
import datetime
import gzip
import ipaddress
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REDIRECT_URI = "http://127.0.0.1:33418/callback"
DRIP_SECONDS = 0.02  # between two bytes of a slow answer
MIB = 1024 * 1024
INFLATED = 64 * MIB  # the size of a bomb after decompression
_CA_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

Send = Callable[[bytes], None]
Reply = bytes | Callable[["DocumentServer", Send], None]


class DocumentServer:
    """Answers each path with bytes, or calls a function that sends any bytes. ``asked`` holds the heads of requests."""

    def __init__(self) -> None:
        self.port = 0
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        self.closing = threading.Event()

    def address(self, path: str = "/client.json") -> str:
        return f"https://localhost:{self.port}{path}"

    def document(self, path: str = "/client.json", **changes: Any) -> dict[str, Any]:
        """A valid document for this path."""
        return {
            "client_id": self.address(path),
            "client_name": "Document client",
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
            **changes,
        }

    def text(self, path: str = "/client.json", **changes: Any) -> bytes:
        return json.dumps(self.document(path, **changes)).encode()

    def serve(self, reply: Reply, path: str = "/client.json") -> str:
        """Answer this path with the reply from now on. Returns its address."""
        self.replies[path] = reply
        return self.address(path)


def answer(body: bytes, *headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """A complete response. It gets a Content-Length unless a header states the length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def then_slowly(beginning: bytes, endless: bytes = b"x") -> Reply:
    """A reply that begins at once, then continues slowly and never ends."""

    def reply(server: DocumentServer, send: Send) -> None:
        send(beginning)
        while not server.closing.wait(DRIP_SECONDS):
            send(endless)

    return reply


def then_endlessly(beginning: bytes, piece: bytes) -> Reply:
    """A reply that never ends, sent as fast as the client reads it."""

    def reply(server: DocumentServer, send: Send) -> None:
        send(beginning)
        while not server.closing.is_set():
            send(piece)

    return reply


@contextlib.contextmanager
def document_server(certificate: Path) -> Iterator[DocumentServer]:
    server = DocumentServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server.port = listener.getsockname()[1]

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_serve, args=(server, context, connection), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        server.closing.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)


def _serve(server: DocumentServer, context: ssl.SSLContext, connection: socket.socket) -> None:
    connection.settimeout(10)
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = tls.recv(8192)
            if not chunk:
                return
            head += chunk
        server.asked.append(head.decode("latin-1"))
        reply = server.replies.get(head.split(b" ")[1].decode("latin-1"), answer(b"", status="404 Not Found"))
        if isinstance(reply, bytes):
            tls.sendall(reply)
        else:
            reply(server, tls.sendall)


def certificates(
    directory: Path, *, hosts: tuple[str, ...] = ("localhost",), expired: bool = False
) -> tuple[Path, Path]:
    """PEM files: a new CA, and a key with a certificate for these hosts, signed by the CA."""
    now = datetime.datetime.now(datetime.UTC)
    expires = now + datetime.timedelta(days=-1 if expired else 1)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(expires)
        )

    # From Python 3.13 on, a certificate must name the key of its authority (RFC 5280, 4.2.1.1).
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    authority = builder(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    authority = authority.add_extension(_CA_USAGE, critical=True).add_extension(ca_id, critical=False)
    names = [x509.DNSName(host) for host in hosts] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = builder(x509.Name([]), key.public_key()).add_extension(x509.SubjectAlternativeName(names), critical=True)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id)
    leaf = leaf.add_extension(issuer, critical=False)
    ca_file, key_file = directory / "ca.pem", directory / "server.pem"
    ca_file.write_bytes(authority.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key_file.write_bytes(private + leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return ca_file, key_file


def deflated(body: bytes) -> bytes:
    return zlib.compress(body, 9)


def twice(body: bytes) -> bytes:
    return gzip.compress(gzip.compress(body))
