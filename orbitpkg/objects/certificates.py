"""The certificates that TLS connections trust: the system's, and those of a bundle that the settings name.

obstore and botocore have different defaults, and fail in different ways on a file without certificates. Both are given
what this module has read and checked, so that they trust the same certificates.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import RepositoryError
from orbitpkg.files.reading import read_bounded

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

__all__ = ["BUNDLE_VARIABLE", "Bundle", "bundle_from", "check_system_file", "tls_context"]

BUNDLE_VARIABLE: Final = "AWS_CA_BUNDLE"
_SYSTEM_VARIABLE: Final = "SSL_CERT_FILE"
_MAX_BYTES: Final = 16 << 20
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A file of certificates to trust in addition to the system's.

    Attributes:
        path: The path of the file.
        source: The setting that names it.
    """

    path: str
    source: str

    def read(self) -> bytes:
        """Return the content of the file: one or more certificates in PEM form.

        Raises:
            RepositoryError: The file cannot be read, or has no valid certificate.
        """
        return _read(self.path, self.source)


def bundle_from(env: Mapping[str, str]) -> Bundle | None:
    """Return the bundle that ``AWS_CA_BUNDLE`` names, or None."""
    path = env.get(BUNDLE_VARIABLE, "").strip()
    return Bundle(path, BUNDLE_VARIABLE) if path else None


def check_system_file(env: Mapping[str, str]) -> None:
    """Check the file that ``SSL_CERT_FILE`` names in place of the system's certificates.

    The libraries ignore a file that they cannot read, and report later that the server's certificate is not trusted.

    Raises:
        RepositoryError: The file cannot be read, or has no valid certificate.
    """
    if path := env.get(_SYSTEM_VARIABLE, "").strip():
        _read(path, _SYSTEM_VARIABLE)


def tls_context(bundle: Bundle | None) -> ssl.SSLContext:
    """Return a context that trusts the system's certificates and those of ``bundle``.

    Raises:
        RepositoryError: The bundle cannot be read, or has no valid certificate.
    """
    import ssl

    context = ssl.create_default_context()
    if bundle is not None:
        context.load_verify_locations(cadata=bundle.read().decode("ascii", "replace"))
    return context


def _read(path: str, source: str) -> bytes:
    hint = f"Set {source} to a file of certificates in PEM form, or unset it."
    try:
        data = read_bounded(os.path.expanduser(path), max_bytes=_MAX_BYTES)  # noqa: PTH111 - an unknown ~user stays
    except OSError as error:
        raise RepositoryError(
            f"The certificate file {path}, set by {source}, cannot be read: {error.strerror}.", hint=hint
        ) from error
    if _BEGIN not in data:
        raise RepositoryError(f"The certificate file {path}, set by {source}, contains no certificate.", hint=hint)
    _check_certificates(data, path, source, hint)
    return data


def _check_certificates(data: bytes, path: str, source: str, hint: str) -> None:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError):
        raise RepositoryError(
            f"The certificate file {path}, set by {source}, contains a certificate that cannot be parsed.", hint=hint
        ) from None
