"""Explain why a server cannot be reached: the error of the SDK is written for its developers.

Only called after a connection has failed: it opens another one, and sends nothing.
"""

import socket
import ssl
from contextlib import closing
from dataclasses import field
from typing import Final

from reconciler.errors import explain_refusal
from reconciler.lazy_dataclass import dataclass

_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Hold which authority to trust, and which name the certificate has to have."""

    authority: bytes | None = field(default=None, repr=False)  # PEM; None: those of the system
    name: str | None = None  # None: the host of the address


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Hold why there is no connection, and what to do."""

    why: str
    fix: str


def diagnose_address(address: str, tls: TlsSettings | None) -> Diagnosis:
    """Return why there is no connection to `HOST:PORT`; without `tls`, none is expected."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return Diagnosis(
            "this is not an address", "write HOST:PORT into TEMPORAL_ADDRESS, or fleet.address"
        )
    host = host.strip("[]")
    try:
        with closing(socket.create_connection((host, int(port)), _PATIENCE_S)) as connection:
            return _diagnose_server(connection, host, tls)
    except (OSError, OverflowError) as error:
        why = explain_refusal(error)
        return Diagnosis(
            f"no connection: {why}",
            "start the server, or set TEMPORAL_ADDRESS to where it is",
        )


def _diagnose_server(connection: socket.socket, host: str, tls: TlsSettings | None) -> Diagnosis:
    """Return why a server that accepts connections cannot be used."""
    if tls is None:
        return Diagnosis(
            "a server is there, but does not respond as Temporal without TLS does",
            "set TEMPORAL_TLS=true if it uses TLS, or set TEMPORAL_ADDRESS to where Temporal is",
        )
    try:
        context = ssl.create_default_context(
            cadata=tls.authority.decode("ascii") if tls.authority else None
        )
        context.set_alpn_protocols(["h2"])
        context.wrap_socket(connection, server_hostname=tls.name or host).close()
    except ssl.SSLCertVerificationError as error:
        return Diagnosis(
            f"the certificate of the server is not trusted: {error.verify_message}",
            "set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the certificate of its authority, and "
            "TEMPORAL_TLS_SERVER_NAME to the name in its certificate if that is another",
        )
    except (OSError, ValueError):  # no TLS, or an authority that is not PEM
        return Diagnosis(
            "a server is there, but TLS with it fails",
            "set TEMPORAL_TLS=false if it uses none; if it asks for a certificate, set "
            "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH",
        )
    return Diagnosis(
        "a server with TLS is there, but does not let this client in as Temporal does",
        "check TEMPORAL_ADDRESS, TEMPORAL_API_KEY, and TEMPORAL_TLS_CLIENT_CERT_PATH if it asks "
        "for a certificate",
    )
