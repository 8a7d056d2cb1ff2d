"""What network stores' errors mean: obstore's and botocore's become those of ``orbitpkg.errors``, here alone.

A foreign exception is first read into a ``Failure`` (status, S3 error code, a short cause), then told as an error of
ours. Of what the server sent, only the error code, and for a refusal its one-line message, are ever repeated: the
rest of an S3 error can hold keys, signatures and strings to sign. Query strings are never repeated.

S3's codes: Amazon S3 API Reference, "Error responses".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from orbitpkg.errors import (
    AccessDenied,
    BucketNotFound,
    CredentialsError,
    IntegrityError,
    NoSpace,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    OrbitError,
    RepositoryError,
    RepositoryUnreachable,
    UnsupportedByStore,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Asked", "Failure", "Operation", "failure_of", "translate_error"]

Operation = Literal["read", "list", "write", "create", "replace", "delete", "copy", "upload", "make"]

_MESSAGE_CHARACTERS: Final = 300

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,80})\s*</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")
_REGION: Final = re.compile(r"<Region>\s*([a-z0-9-]{1,40})\s*</Region>")
_OS_MESSAGE: Final = re.compile(r'message: "([^"]{1,100})"')

# obstore tells what happened below HTTP only in the Debug form of Rust's errors, which follows its message.
_BELOW_HTTP: Final = (
    ("dns error", "its name cannot be resolved"),
    ("Connection refused", "connection refused"),
    ("InvalidContentType", "it does not speak TLS: is it an http:// address?"),
    ("UnknownIssuer", "its certificate is signed by nobody known here: set AWS_CA_BUNDLE to the signer's"),
    ("InvalidCertificate", "its certificate is not valid"),
    ("BadScheme", "its address is neither http:// nor https://"),
    ("IncompleteBody", "the answer was cut short"),
    ("UnexpectedEof", "the answer was cut short"),
    ("NoContentRange", "the answer was cut short"),
    ("TimedOut", "no answer in time"),
    ("kind: Timeout", "no answer in time"),
    ("IncompleteMessage", "the connection was closed without an answer"),
    ("ConnectionReset", "the connection was reset"),
    ("BrokenPipe", "the connection was reset"),
    ("InvalidListResponse", "its answer is not a listing"),
    ("hyper::Error(Parse", "it does not speak HTTP"),
)

_OTHER_REGION: Final = frozenset({"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"})
_AGAIN: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a foreign exception says.

    Attributes:
        status: The HTTP status; None when there was no answer.
        code: The S3 error code, when the answer had one.
        message: The server's own words; to be repeated only where it is known to hold no secret.
        region: The region the answer says the bucket is in.
        cause: What went wrong below or beside HTTP, in a few words.
        kind: ``precondition``, ``exists``, ``not-partial``, ``wrong-region`` where the library says so beyond status
            and code.
    """

    status: int | None = None
    code: str | None = None
    message: str | None = None
    region: str | None = None
    cause: str | None = None
    kind: str | None = None

    @property
    def other_region(self) -> bool:
        """Whether the bucket may be in another region than the one that was asked."""
        # AuthorizationHeaderMalformed is also the answer to a key that is none; it names a region only to a right one.
        return self.kind == "wrong-region" or self.code in _OTHER_REGION or self.region is not None

    @property
    def conflict(self) -> bool:
        """Whether another request on the same key was in the way, so that asking again may do."""
        return self.code in _AGAIN

    @property
    def brief(self) -> str:
        """A few words for the end of a sentence."""
        if self.code and self.status:
            return f"{self.status} {self.code}"
        return self.code or (f"HTTP status {self.status}" if self.status else None) or self.cause or "no reason given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of whom, for the message.

    Attributes:
        operation: What was to be done.
        name: The object's or bucket's address.
        key: The object's key; None when it is about no single object.
        host: The endpoint, as scheme and host.
        bucket: The bucket; None for a web server.
        url: The repository's address.
        credentials: Where the credentials came from; None when there were none.
        profile: The profile they came from, if any.
    """

    operation: Operation
    name: str
    key: str | None
    host: str
    url: str
    bucket: str | None = None
    credentials: str | None = None
    profile: str | None = None


def failure_of(error: Exception) -> Failure:
    """Read an exception of obstore or botocore."""
    response: object = getattr(error, "response", None)
    if isinstance(response, dict):
        return _from_response(response)
    if type(error).__module__.startswith(("botocore", "urllib3")):
        return Failure(cause=_botocore_cause(error))
    return _from_obstore(error)


def _from_response(response: Mapping[str, Mapping[str, object]]) -> Failure:
    reported = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(reported.get("Code", ""))
    region = reported.get("Region")
    return Failure(
        status=status if isinstance(status, int) else None,
        # A HEAD has no body to tell a code: botocore then gives the status in its place.
        code=code if code and not code.isdigit() else None,
        message=_one_line(str(reported.get("Message", ""))),
        region=region if isinstance(region, str) else None,
    )


def _botocore_cause(error: Exception) -> str:
    name = type(error).__name__
    if "Timeout" in name:
        return "no answer in time"
    if name == "SSLError":
        return "its certificate is not trusted here, or it does not speak TLS"
    if name == "EndpointConnectionError":
        return "connection refused, or its name cannot be resolved"
    return "the connection was closed or reset"


def _from_obstore(error: Exception) -> Failure:
    text, _, debug = str(error).partition("\n\nDebug source:")
    status = _STATUS.search(text)
    code = _CODE.search(text)
    message = _MESSAGE.search(text)
    region = _REGION.search(text)
    return Failure(
        status=int(status[1]) if status else None,
        code=code[1] if code else None,
        message=_one_line(message[1]) if message else None,
        region=region[1] if region else None,
        cause=_cause_below_http(debug),
        kind=_kind(error, text),
    )


def _kind(error: Exception, text: str) -> str | None:
    name = type(error).__name__
    if name in ("PreconditionError", "NotModifiedError"):
        return "precondition"
    if name == "AlreadyExistsError":
        return "exists"
    if "Received non-partial response" in text or "Range request not supported" in text:
        return "not-partial"
    return "wrong-region" if "Received redirect without LOCATION" in text else None


def _cause_below_http(debug: str) -> str | None:
    packed = re.sub(r"\s+", "", debug)
    for mark, meaning in _BELOW_HTTP:
        if mark in debug or mark in packed:
            return meaning
    found = _OS_MESSAGE.search(debug)
    return found[1].lower() if found else None


def _one_line(message: str) -> str | None:
    line = "".join(character for character in message if character.isprintable()).strip()
    return line[:_MESSAGE_CHARACTERS] or None


def translate_error(failure: Failure, asked: Asked) -> OrbitError:
    """Tell a failure as an error of ours."""
    if failure.other_region:
        return _other_region(failure, asked)
    for rule in _RULES:
        if failure.code in rule.codes or failure.kind in rule.kinds or failure.status in rule.statuses:
            return rule.tell(failure, asked)
    if (failure.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _overloaded(failure, asked)
    if failure.status is None and failure.cause is not None:
        return _unreachable(failure, asked)
    return RepositoryError(f"Could not {asked.operation} {asked.name}: {failure.brief}.", key=asked.key)


def _other_region(_: Failure, asked: Asked) -> OrbitError:
    return RepositoryUnreachable(
        f"The bucket {asked.bucket} is in another region than {asked.host} serves.",
        hint="Set AWS_REGION to the bucket's region.",
        host=asked.host,
    )


def _no_bucket(_: Failure, asked: Asked) -> OrbitError:
    return BucketNotFound(
        f"The bucket {asked.bucket} does not exist at {asked.host}.",
        hint=f"To make it: orbitpkg repo init {asked.url} --create-bucket",
        bucket=asked.bucket,
    )


def _no_key(_: Failure, asked: Asked) -> OrbitError:
    return ObjectNotFound(f"{asked.name} does not exist.", key=asked.key)


def _no_page(failure: Failure, asked: Asked) -> OrbitError:
    """Tell a 404 without S3's words for it: certain from a web server, and from S3 a sign that it is none.

    moto leaves the words out where the source of a copy is missing; what else could be has been found by then.
    """
    if asked.bucket is None or asked.operation == "copy":
        return _no_key(failure, asked)
    return RepositoryUnreachable(
        f"{asked.host} answered 404 to {asked.name}, but not in the way of an S3 server.",
        hint="Check the endpoint (AWS_ENDPOINT_URL_S3, or endpoint_url in the profile).",
        host=asked.host,
    )


def _no_upload(_: Failure, asked: Asked) -> OrbitError:
    return RepositoryError(f"The upload of {asked.name} is over: it was completed, aborted or forgotten.")


def _exists(_: Failure, asked: Asked) -> OrbitError:
    return ObjectExists(f"{asked.name} exists already.", key=asked.key)


def _changed(failure: Failure, asked: Asked) -> OrbitError:
    if asked.operation == "create":
        return _exists(failure, asked)
    return ObjectChanged(f"{asked.name} is not the object it was.", key=asked.key)


def _short(_: Failure, asked: Asked) -> OrbitError:
    return IntegrityError(f"{asked.name} is shorter than it should be.", key=asked.key)


def _bad_argument(failure: Failure, asked: Asked) -> OrbitError:
    # AWS's word for a copy's range that leaves its source; of copies nothing else is asked that could be wrong.
    if asked.operation == "copy":
        return _short(failure, asked)
    return RepositoryError(f"Could not {asked.operation} {asked.name}: {failure.brief}.", key=asked.key)


def _no_ranges(_: Failure, asked: Asked) -> OrbitError:
    return UnsupportedByStore(f"{asked.host} does not answer ranged reads.")


def _expired(_: Failure, asked: Asked) -> OrbitError:
    login = f"aws sso login --profile {asked.profile}" if asked.profile else "aws sso login"
    return CredentialsError(
        f"The credentials from {asked.credentials} have expired.",
        hint=f"Log in again ({login}), or renew the session's keys where they come from.",
        source=asked.credentials,
    )


def _wrong_clock(_: Failure, asked: Asked) -> OrbitError:
    return RepositoryError(
        f"{asked.host} refuses the request because this machine's clock is wrong.", hint="Set the clock."
    )


def _wrong_credentials(failure: Failure, asked: Asked) -> OrbitError:
    return _no_credentials(asked) or CredentialsError(
        f"{asked.host} does not accept the credentials from {asked.credentials} ({failure.code}).",
        hint="Check the key and its secret, and that they are of this endpoint.",
        source=asked.credentials,
    )


def _no_credentials(asked: Asked) -> CredentialsError | None:
    if asked.credentials is not None or asked.bucket is None:
        return None
    return CredentialsError(
        f"{asked.host} wants credentials to {asked.operation} {asked.name}, and none were found.",
        hint="Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure",
    )


def _denied(failure: Failure, asked: Asked) -> OrbitError:
    reason = f" {asked.host} says: {failure.message}" if failure.message and failure.code == "AccessDenied" else ""
    if asked.bucket is not None and asked.operation == "read" and asked.key is not None:
        whose = f"the credentials from {asked.credentials}" if asked.credentials else "someone without credentials"
        return AccessDenied(
            f"{asked.name} does not exist, or {whose} may not see it "
            f"(S3 answers 403 for a missing key to someone who may not list).{reason}",
            hint=f"Allow s3:ListBucket on {asked.bucket} to tell the two apart, and s3:GetObject to read.",
            key=asked.key,
            anonymous=asked.credentials is None,
        )
    if (anonymous := _no_credentials(asked)) is not None:
        return anonymous
    whose = f" with the credentials from {asked.credentials}" if asked.credentials else ""
    return AccessDenied(f"Not allowed to {asked.operation} {asked.name}{whose}.{reason}", key=asked.key)


def _full(failure: Failure, asked: Asked) -> OrbitError:
    return NoSpace(f"{asked.host} has no space left to {asked.operation} {asked.name} ({failure.brief}).")


def _unsupported(failure: Failure, asked: Asked) -> OrbitError:
    return UnsupportedByStore(f"{asked.host} cannot {asked.operation} {asked.name} ({failure.brief}).")


def _unreachable(failure: Failure, asked: Asked) -> OrbitError:
    where = "the endpoint (AWS_ENDPOINT_URL_S3 or the profile's endpoint_url)" if asked.bucket else "the address"
    return RepositoryUnreachable(
        f"Cannot reach {asked.host}: {failure.cause}.",
        hint=f"Check {where}, the network and the proxy settings (HTTPS_PROXY, NO_PROXY).",
        host=asked.host,
    )


def _overloaded(failure: Failure, asked: Asked) -> OrbitError:
    return RepositoryUnreachable(
        f"{asked.host} failed to {asked.operation} {asked.name}: {failure.brief}, and so it did when asked again.",
        hint="It may be overloaded: try again later.",
        host=asked.host,
        status=failure.status,
    )


class _Rule(NamedTuple):
    """What to tell when the code, the library's kind or the status is one of these."""

    tell: Callable[[Failure, Asked], OrbitError]
    codes: frozenset[str]
    statuses: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()


# The first that fits: codes before statuses, since one status stands for many codes.
_RULES: Final = (
    _Rule(_no_bucket, frozenset({"NoSuchBucket"})),
    _Rule(_no_key, frozenset({"NoSuchKey", "NoSuchVersion"})),
    _Rule(_no_upload, frozenset({"NoSuchUpload"})),
    _Rule(_expired, frozenset({"ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException"})),
    _Rule(_wrong_clock, frozenset({"RequestTimeTooSkewed"})),
    _Rule(
        _wrong_credentials,
        frozenset(
            {
                "AuthorizationHeaderMalformed",
                "InvalidAccessKeyId",
                "InvalidSecurity",
                "InvalidToken",
                "SignatureDoesNotMatch",
                "UnrecognizedClientException",
                "UnsupportedAlgorithm",
            }
        ),
    ),
    _Rule(_full, frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity"}), frozenset({507})),
    _Rule(_unsupported, frozenset({"NotImplemented", "MethodNotAllowed"}), frozenset({405, 501})),
    _Rule(_overloaded, _AGAIN),
    _Rule(_exists, frozenset(), kinds=frozenset({"exists"})),
    _Rule(_changed, frozenset({"PreconditionFailed"}), frozenset({412}), frozenset({"precondition"})),
    _Rule(_short, frozenset({"InvalidRange"}), frozenset({416})),
    _Rule(_bad_argument, frozenset({"InvalidArgument"})),
    _Rule(_no_ranges, frozenset(), kinds=frozenset({"not-partial"})),
    _Rule(_denied, frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden"}), frozenset({401, 403})),
    _Rule(_no_page, frozenset(), frozenset({404})),
    _Rule(_overloaded, frozenset({"SlowDown", "RequestTimeout"}), frozenset({408, 409, 429})),
)
