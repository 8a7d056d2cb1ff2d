"""The clients of a bucket, created on first use, and the one way to send a request through them.

obstore moves objects. botocore does what obstore cannot (single parts of multipart uploads, copies of parts, ranges
with an unusual answer, buckets, regions) and is imported only for that. Both sign with the same keys, and both follow a
bucket to its region.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import quote, urlsplit

from orbitpkg.errors import CredentialsError, OrbitError
from orbitpkg.objects.failures import Asked, Failure, failure_of, translate_error
from orbitpkg.objects.forks import claim_threads
from orbitpkg.objects.obstore_clients import client_options, make_client
from orbitpkg.objects.retry import RetryPolicy, outlasting, retry
from orbitpkg.objects.s3_config import DEFAULT_REGION
from orbitpkg.objects.timeouts import NO_RETRIES, retry_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obstore.store import S3Credential
    from obstore.store import S3Store as Client
    from types_boto3_s3 import S3Client

    from orbitpkg.objects.botocore_session import PacedSession
    from orbitpkg.objects.failures import Operation
    from orbitpkg.objects.paced_http import PageClient
    from orbitpkg.objects.s3_config import Keys, S3Settings
    from orbitpkg.objects.s3_listing import ListedObject
    from orbitpkg.objects.timeouts import Timeouts

__all__ = ["ClientKind", "S3Connection", "foreign_errors"]

T = TypeVar("T")
ClientKind = Literal["plain", "patient", "eager"]

_POOL: Final = 32
"""The number of connections that a botocore client keeps: more than the 16 threads that upload or read."""

_OUTDATED_KEYS: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId"}
)
"""Codes for keys that were replaced while this process ran, as session keys in the shared credentials file are."""

_CONFLICTS: Final = RetryPolicy(tries=4)
"""For a write that met another one of the same key: AWS answers 409 and asks the client to repeat it."""


class S3Connection:
    """The connection to one bucket. Safe to use from several threads.

    Args:
        settings: The settings that ``resolve_s3`` found.
        url: The repository's address, for messages.
        timeouts: How long to wait.
        renew: Reads the settings again, after the store has refused the keys.
    """

    def __init__(
        self,
        settings: S3Settings,
        *,
        url: str,
        timeouts: Timeouts,
        renew: Callable[[], S3Settings] | None = None,
    ) -> None:
        self._renew = renew
        self.bucket: Final = settings.bucket
        self._settings = settings
        self._url = url
        self._timeouts = timeouts
        self._lender = _Lender(settings.keys) if settings.keys is not None else None
        self._lock = threading.RLock()
        self._clients: dict[str, Client] = {}
        self._botocore: dict[bool, S3Client] = {}
        self._sessions: list[PacedSession] = []
        self._pages: PageClient | None = None

    def client(self, kind: ClientKind = "plain") -> Client:
        """Return an obstore client: a patient one for requests that take long to send, an eager one without retries."""
        claim_threads()
        with self._lock:
            if kind not in self._clients:
                self._clients[kind] = self._new_client(kind)
            return self._clients[kind]

    def botocore(self, *, patient: bool = False) -> S3Client:
        """Return a botocore client; the patient one is for requests that take long to send or to execute."""
        with self._lock:
            if patient not in self._botocore:
                self._botocore[patient] = self._new_botocore(patient=patient)
            return self._botocore[patient]

    def pages(self, prefix: str, *, delimiter: str = "") -> Iterator[tuple[list[ListedObject], list[str]]]:
        """List the bucket in pages; see ``orbitpkg.objects.s3_listing.list_pages``."""
        from orbitpkg.objects.paced_http import PageClient
        from orbitpkg.objects.s3_listing import list_pages

        settings = self._settings
        parts = urlsplit(settings.address())
        address = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            if self._pages is None:
                self._pages = PageClient(address, self._timeouts, bundle=settings.ca_bundle)
            client = self._pages
        path = parts.path.rstrip("/") if settings.virtual_host else f"{parts.path.rstrip('/')}/{quote(self.bucket)}"
        return list_pages(
            client,
            address,
            path or "/",
            prefix=prefix,
            delimiter=delimiter,
            region=settings.region or DEFAULT_REGION,
            keys=settings.keys,
        )

    def ask(self, operation: Operation, key: str | None, work: Callable[[], T]) -> T:
        """Do ``work``, which gets its client each time it is called, and translate its errors.

        The request is repeated if the bucket turns out to be in another region, if another write of the same key was
        in the way, if the keys expired and others are configured by now, and for as long as the timeouts allow if the
        store is overloaded.
        """
        asked = self._settings

        def attempt() -> T:
            nonlocal asked
            asked = self._settings
            return work()

        def may_retry(error: Exception) -> bool:
            if not isinstance(error, foreign_errors()):
                return False
            failure = failure_of(error)
            # AWS redirects requests for a bucket in another region (User Guide, "Request redirection").
            is_elsewhere = failure.other_region or (failure.kind == "redirect" and asked.endpoint is None)
            if failure.code in _OUTDATED_KEYS:
                return self._renew_keys(asked)
            return failure.conflict or (is_elsewhere and self._follow(asked, failure.region))

        def is_overloaded(error: Exception) -> bool:
            return isinstance(error, foreign_errors()) and failure_of(error).overloaded

        try:
            return retry(
                lambda: retry(attempt, policy=_CONFLICTS, when=may_retry),
                policy=outlasting(self._timeouts.retry),
                when=is_overloaded,
            )
        except foreign_errors() as error:
            # The text of obstore's and botocore's errors can hold signatures, and all of it that helps is translated.
            raise self._error(error, failure_of(error), operation, key) from None

    def serves_with(self, other: S3Connection) -> bool:
        """Return whether another bucket belongs to the same service and is accessed with the same credentials."""
        mine, others = self._settings, other._settings
        return (mine.endpoint, mine.source, mine.profile) == (others.endpoint, others.source, others.profile)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._clients.clear()
            for client in self._botocore.values():
                client.close()
            self._botocore.clear()
            for session in self._sessions:
                session.close()
            self._sessions.clear()
            if self._pages is not None:
                self._pages.close()
            self._pages = None

    def _error(self, error: Exception, failure: Failure, operation: Operation, key: str | None) -> OrbitError:
        if type(error).__name__ == "UnauthenticatedError" and failure.status is None:
            # obstore got no keys from the lender, and reports only the text of the lender's exception.
            cause = self._lender.error if self._lender is not None else None
            return cause or CredentialsError(f"The credentials from {self._settings.source} are not available.")
        return translate_error(failure, self._asked(operation, key))

    def _asked(self, operation: Operation, key: str | None) -> Asked:
        settings = self._settings
        return Asked(
            operation=operation,
            name=f"{self._url}/{key}" if key is not None else self._url,
            key=key,
            host=settings.address(),
            url=self._url,
            bucket=self.bucket,
            credentials=settings.source,
            profile=settings.profile,
        )

    def _follow(self, asked: S3Settings, region: str | None) -> bool:
        """Switch to the bucket's region; return False if it is unknown or was used already."""
        with self._lock:
            if self._settings is not asked:
                # Another thread has switched already.
                return True
            region = region or self._find_region()
            if region is None or region == (asked.region or DEFAULT_REGION):
                return False
            self.close()
            self._settings = replace(asked, region=region)
            return True

    def _renew_keys(self, asked: S3Settings) -> bool:
        """Read the settings again and switch to their keys; return False if they are the ones that were refused."""
        with self._lock:
            if self._settings is not asked:
                return True
            try:
                settings = self._renew() if self._renew is not None else asked
                if settings.keys is None or (asked.keys is not None and settings.keys() == asked.keys()):
                    return False
            except OrbitError:
                return False  # the refusal is the error to report
            self.close()
            self._settings = replace(settings, region=asked.region)
            self._lender = _Lender(settings.keys)
            return True

    def _find_region(self) -> str | None:
        # AWS names the region in a header of every answer (200, 301, 400, 403; API Reference, HeadBucket).
        answer: Any = {}
        try:
            answer = self.botocore().head_bucket(Bucket=self.bucket)
        except foreign_errors() as error:
            answer = getattr(error, "response", {})
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region: str | None = headers.get("x-amz-bucket-region")
        return region

    def _new_client(self, kind: ClientKind) -> Client:
        from obstore.store import S3Store as ObstoreS3

        settings = self._settings
        address = settings.address()
        silence = self._timeouts.upload if kind == "patient" else None
        options = client_options(
            address, self._timeouts, silence=silence, bundle=settings.ca_bundle, has_credentials=True
        )
        # All settings are passed, because obstore takes missing ones from AWS_… variables of the process: a stale
        # AWS_SESSION_TOKEN, an endpoint that must be ignored.
        return make_client(
            lambda: ObstoreS3(
                self.bucket,
                endpoint=address,
                aws_endpoint_url_s3=address,
                region=settings.region or DEFAULT_REGION,
                virtual_hosted_style_request=settings.virtual_host,
                skip_signature=self._lender is None,
                # Not every server supports bulk deletion, and only single objects are deleted here.
                disable_bulk_delete=True,
                # Without a provider, obstore rejects an AWS_ACCESS_KEY_ID that is empty, even for unsigned requests.
                credential_provider=self._lender or _no_keys,
                client_options=options,
                retry_config=NO_RETRIES if kind == "eager" else retry_config(self._timeouts),
            ),
            address,
        )

    def _new_botocore(self, *, patient: bool) -> S3Client:
        from botocore.config import Config
        from botocore.session import Session

        from orbitpkg.objects.botocore_session import PacedSession

        settings = self._settings
        # All settings are known: botocore must not read the profile or the shared files again.
        session = Session(session_vars={"profile": (None, None, None, None)})
        session.set_config_variable("config_file", os.devnull)
        session.register_component("credential_provider", _resolver(self._lender))
        silence = self._timeouts.upload if patient else self._timeouts.silence
        # botocore would also read an endpoint from the process's environment; its stubs lack the option against that.
        decided: Any = {"ignore_configured_endpoint_urls": True}
        config = Config(
            **decided,
            region_name=settings.region or DEFAULT_REGION,
            signature_version="s3v4" if self._lender is not None else _unsigned(),
            connect_timeout=self._timeouts.connect,
            read_timeout=silence,
            retries={"mode": "standard", "total_max_attempts": 4 if patient else 2},
            max_pool_connections=_POOL,
            # Servers other than AWS fail on a checksum trailer.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={
                "addressing_style": "virtual" if settings.virtual_host else "path",
                # Hashing every part again takes as long as sending it over TLS. Over plain HTTP botocore hashes in any
                # case.
                "payload_signing_enabled": False,
            },
        )
        client: Any = session.create_client("s3", endpoint_url=settings.endpoint, config=config)
        http = PacedSession(
            settings.address(), self._timeouts, silence=silence, connections=_POOL, bundle=settings.ca_bundle
        )
        # botocore sends nothing itself if a handler of this event returns an answer.
        client.meta.events.register("before-send.s3", lambda request, **_: http.send(request))
        self._sessions.append(http)
        return client  # type: ignore[no-any-return]


def _no_keys() -> S3Credential:
    """Provide keys that obstore does not use, because requests are unsigned."""
    return {"access_key_id": "", "secret_access_key": "", "token": None, "expires_at": None}


class _Lender:
    """Provides keys to obstore and botocore, and records the error if it cannot.

    It does not refer to the connection: obstore's clients hold it from Rust, where Python's garbage collector cannot
    see a reference cycle.
    """

    def __init__(self, keys: Callable[[], Keys]) -> None:
        self.keys = keys
        self.error: OrbitError | None = None

    def __call__(self) -> S3Credential:
        try:
            keys = self.keys()
        except OrbitError as error:
            self.error = error
            raise
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": keys.expires_at,
        }


def _resolver(lender: _Lender | None) -> Any:
    """Make botocore get its keys from ``lender`` for each signature."""
    from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, ReadOnlyCredentials

    class Lent(Credentials):
        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            assert lender is not None
            keys = lender.keys()
            return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.token)

    class Provider(CredentialProvider):
        METHOD = "orbitpkg"

        def load(self) -> Credentials:
            return Lent("", "")

    return CredentialResolver([] if lender is None else [Provider()])


def _unsigned() -> Any:
    from botocore import UNSIGNED

    return UNSIGNED


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of the libraries that are imported so far."""
    from obstore.exceptions import BaseError

    # obstore raises a plain FileNotFoundError for a missing object.
    errors: list[type[Exception]] = [BaseError, OSError]
    with suppress(KeyError):
        botocore = sys.modules["botocore.exceptions"]
        errors += [botocore.BotoCoreError, botocore.ClientError]
        # Raised while the body of an object is read.
        errors.append(sys.modules["urllib3.exceptions"].HTTPError)
    with suppress(KeyError):
        # A truncated or foreign answer; this exception has no base class of botocore.
        errors.append(sys.modules["botocore.parsers"].ResponseParserError)
    return tuple(errors)
