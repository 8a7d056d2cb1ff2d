"""Translation of obstore's and botocore's exceptions to those of ``orbitpkg.errors``.

A foreign exception is first parsed into a ``Failure`` (status, S3 error code, a short cause), which is then translated.
Messages repeat only the error code from the server's answer, and for a refusal its one-line message: the rest of an S3
error can contain keys, signatures and strings to sign. Query strings are never repeated.

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
from orbitpkg.escaping import shell_word
from orbitpkg.objects.answers import OVERLOADED, AnswerError, RefusalError
from orbitpkg.objects.obstore_clients import NO_OTHER_HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Asked", "Failure", "Operation", "failure_of", "translate_error"]

Operation = Literal["read", "list", "write", "create", "replace", "delete", "copy", "upload", "create bucket"]

_MESSAGE_CHARACTERS: Final = 300
# urllib3 wraps an error twice, and botocore once more.
_WRAPPED: Final = 8

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,80})\s*</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")
_REGION: Final = re.compile(r"<Region>\s*([a-z0-9-]{1,40})\s*</Region>")
_OS_MESSAGE: Final = re.compile(r'message: "([^"]{1,100})"')

# obstore reports failures below HTTP only in the debug form of Rust's errors, which follows its message.
_BELOW_HTTP: Final = (
    ("dns error", "its name cannot be resolved"),
    ("Connection refused", "connection refused"),
    ("InvalidContentType", "the server does not use TLS: try an http:// address"),
    ("UnknownIssuer", "the issuer of its certificate is unknown: set AWS_CA_BUNDLE to the issuer's certificate"),
    ("InvalidCertificate", "its certificate is not valid"),
    ("IncompleteBody", "the answer was cut short"),
    ("UnexpectedEof", "the answer was cut short"),
    ("NoContentRange", "the answer was cut short"),
    ("TimedOut", "no answer in time"),
    ("kind: Timeout", "no answer in time"),
    ("IncompleteMessage", "the connection was closed without an answer"),
    ("ConnectionReset", "the connection was reset"),
    ("BrokenPipe", "the connection was reset"),
    ("InvalidListResponse", "its answer is not a listing"),
    ("hyper::Error(Parse", "it does not use HTTP"),
)

_OTHER_REGION: Final = frozenset({"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"})
_OVERLOADED_CODES: Final = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable"})
_AGAIN: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The facts in a foreign exception.

    Attributes:
        status: The HTTP status; None if there was no answer.
        code: The S3 error code, if the answer contains one.
        message: The server's message. It may be shown only where it is known to contain no secret.
        region: The bucket's region, if the answer contains it.
        cause: The cause below HTTP, in a few words.
        kind: ``precondition``, ``exists``, ``not-partial``, ``redirect``, ``headers`` (they are not in ASCII) or
            ``wrong-region`` if the library reports it in another way than by status and code.
    """

    status: int | None = None
    code: str | None = None
    message: str | None = None
    region: str | None = None
    cause: str | None = None
    kind: str | None = None

    @property
    def other_region(self) -> bool:
        """Whether the bucket may be in a region other than the requested one."""
        # AuthorizationHeaderMalformed is also the answer to an invalid key; only to a valid one it names a region.
        return self.kind == "wrong-region" or self.code in _OTHER_REGION or self.region is not None

    @property
    def conflict(self) -> bool:
        """Whether a concurrent request for the same key caused the failure; repeating the request may succeed."""
        return self.code in _AGAIN

    @property
    def overloaded(self) -> bool:
        """Whether the server answered that it cannot answer now."""
        return self.status in OVERLOADED or self.code in _OVERLOADED_CODES

    @property
    def brief(self) -> str:
        """A few words for the end of a sentence."""
        if self.code and self.status:
            return f"{self.status} {self.code}"
        return self.code or (f"HTTP status {self.status}" if self.status else None) or self.cause or "no reason given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request that failed, for the message.

    Attributes:
        operation: The operation.
        name: The address of the object or bucket.
        key: The object's key; None if the request was not for a single object.
        host: The endpoint, as scheme and host.
        bucket: The bucket; None for a web server.
        url: The repository's address.
        credentials: Where the credentials came from; None for an unsigned request.
        profile: The profile that they came from, if any.
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
    """Parse an exception of obstore or botocore, or one about a server's answer."""
    if (answer := _answer_error(error)) is not None:
        return Failure(cause=answer.cause)
    if isinstance(error, RefusalError):
        return _from_refusal(error)
    response: object = getattr(error, "response", None)
    if isinstance(response, dict):
        return _from_response(response)
    if type(error).__module__.startswith(("botocore", "urllib3")):
        return Failure(cause=_botocore_cause(error))
    return _from_obstore(error)


def _answer_error(error: BaseException | None) -> AnswerError | None:
    """Return the error about the answer that a library has wrapped, or None."""
    for _ in range(_WRAPPED):
        if error is None or isinstance(error, AnswerError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _from_response(response: Mapping[str, Mapping[str, object]]) -> Failure:
    reported = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(reported.get("Code", ""))
    region = reported.get("Region")
    return Failure(
        status=status if isinstance(status, int) else None,
        # The answer to a HEAD has no body with a code: botocore then reports the status as the code.
        code=code if code and not code.isdigit() else None,
        message=_one_line(str(reported.get("Message", ""))),
        region=region if isinstance(region, str) else None,
    )


def _from_refusal(error: RefusalError) -> Failure:
    code, message = _CODE.search(error.body), _MESSAGE.search(error.body)
    region = _REGION.search(error.body)
    is_redirect = HTTPStatus.MULTIPLE_CHOICES <= error.status < HTTPStatus.BAD_REQUEST
    elsewhere = error.headers.get("x-amz-bucket-region") if is_redirect else None
    return Failure(
        status=error.status,
        code=code[1] if code else None,
        message=_one_line(message[1]) if message else None,
        region=elsewhere or (region[1] if region else None),
        kind="redirect" if is_redirect and not (code or elsewhere) else None,
    )


def _botocore_cause(error: Exception) -> str:
    name = type(error).__name__
    if "Timeout" in name:
        return "no answer in time"
    if name == "SSLError":
        return (
            "its certificate is not trusted (AWS_CA_BUNDLE names certificates to trust), or the server does not use TLS"
        )
    if name == "ResponseParserError":
        return "its answer is not that of an S3 server"
    if name == "PaginationError":
        return "its listing does not end"
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
        kind=_kind(error, text, debug),
    )


def _kind(error: Exception, text: str, debug: str) -> str | None:
    name = type(error).__name__
    if name in ("PreconditionError", "NotModifiedError"):
        return "precondition"
    if name == "AlreadyExistsError":
        return "exists"
    if "Received non-partial response" in text or "Range request not supported" in text:
        return "not-partial"
    if "ToStrError" in debug or "non UTF-8 characters" in text:
        return "headers"
    # An address that is neither http:// nor https:// was refused earlier, so this one comes from a redirect.
    if f" {NO_OTHER_HOST}," in debug or "BadScheme" in debug:
        return "redirect"
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
    """Translate a failure to one of orbitpkg's errors."""
    if failure.other_region:
        return _other_region(failure, asked)
    for rule in _RULES:
        if failure.code in rule.codes or failure.kind in rule.kinds or failure.status in rule.statuses:
            return rule.translate(failure, asked)
    if failure.kind == "headers":
        return RepositoryError(
            f"Could not {asked.operation} {asked.name}: a header or the metadata of the object is not in ASCII.",
            hint="Write its metadata again, in ASCII.",
            key=asked.key,
            headers=True,
        )
    if (failure.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _overloaded(failure, asked)
    if failure.status is None and failure.cause is not None:
        return _unreachable(failure, asked)
    return RepositoryError(f"Could not {asked.operation} {asked.name}: {failure.brief}.", key=asked.key)


def _other_region(_: Failure, asked: Asked) -> OrbitError:
    return RepositoryUnreachable(
        f"The bucket {asked.bucket} is not in the region that {asked.host} serves.",
        hint="Set AWS_REGION to the bucket's region.",
        host=asked.host,
    )


def _redirected(_: Failure, asked: Asked) -> OrbitError:
    return RepositoryUnreachable(
        f"{asked.host} redirects the request for {asked.name} to another host or to an address without TLS, "
        "which is refused.",
        hint="Use the address that it redirects to, if you trust it.",
        host=asked.host,
    )


def _no_bucket(_: Failure, asked: Asked) -> OrbitError:
    return BucketNotFound(
        f"The bucket {asked.bucket} does not exist at {asked.host}.",
        hint=f"To create it: orbitpkg repo init {shell_word(asked.url)} --create-bucket",
        bucket=asked.bucket,
    )


def _no_key(_: Failure, asked: Asked) -> OrbitError:
    return ObjectNotFound(f"{asked.name} does not exist.", key=asked.key)


def _no_page(failure: Failure, asked: Asked) -> OrbitError:
    """Translate a 404 without an S3 error code: reliable from a web server, but not an answer that S3 would give.

    moto omits the code if the source of a copy is missing; other causes have been ruled out by then.
    """
    if asked.bucket is None or asked.operation == "copy":
        return _no_key(failure, asked)
    return RepositoryUnreachable(
        f"{asked.host} answered 404 for {asked.name}, but not as an S3 server does.",
        hint="Check the endpoint (AWS_ENDPOINT_URL_S3, or endpoint_url in the profile).",
        host=asked.host,
    )


def _archived(_: Failure, asked: Asked) -> OrbitError:
    return RepositoryError(
        f"{asked.name} is archived, for instance in S3 Glacier, and cannot be read.",
        hint="Restore the object first (aws s3api restore-object), or leave it out.",
        key=asked.key,
    )


def _no_upload(_: Failure, asked: Asked) -> OrbitError:
    return RepositoryError(f"The upload of {asked.name} has ended: it was completed, aborted or discarded.")


def _exists(_: Failure, asked: Asked) -> OrbitError:
    return ObjectExists(f"{asked.name} already exists.", key=asked.key)


def _changed(failure: Failure, asked: Asked) -> OrbitError:
    if asked.operation == "create":
        return _exists(failure, asked)
    return ObjectChanged(f"{asked.name} has changed.", key=asked.key)


def _short(_: Failure, asked: Asked) -> OrbitError:
    return IntegrityError(f"{asked.name} is shorter than expected.", key=asked.key)


def _bad_argument(failure: Failure, asked: Asked) -> OrbitError:
    # AWS's answer to a copy whose range exceeds its source; no other argument of a copy can be invalid.
    if asked.operation == "copy":
        return _short(failure, asked)
    return RepositoryError(f"Could not {asked.operation} {asked.name}: {failure.brief}.", key=asked.key)


def _no_ranges(_: Failure, asked: Asked) -> OrbitError:
    return UnsupportedByStore(f"{asked.host} does not support ranged reads.")


def _expired(_: Failure, asked: Asked) -> OrbitError:
    login = f"aws sso login --profile {asked.profile}" if asked.profile else "aws sso login"
    return CredentialsError(
        f"The credentials from {asked.credentials} have expired.",
        hint=f"Log in again ({login}), or renew the session keys at their source.",
        source=asked.credentials,
    )


def _wrong_clock(_: Failure, asked: Asked) -> OrbitError:
    return RepositoryError(
        f"{asked.host} rejects the request because the clock of this machine is wrong.", hint="Set the clock."
    )


def _wrong_credentials(failure: Failure, asked: Asked) -> OrbitError:
    return _no_credentials(asked) or CredentialsError(
        f"{asked.host} does not accept the credentials from {asked.credentials} ({failure.code}).",
        hint="Check the access key and its secret, and that they belong to this endpoint.",
        source=asked.credentials,
    )


def _no_credentials(asked: Asked) -> CredentialsError | None:
    if asked.credentials is not None or asked.bucket is None:
        return None
    return CredentialsError(
        f"{asked.host} requires credentials to {asked.operation} {asked.name}, and none were found.",
        hint="Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure",
    )


def _denied(failure: Failure, asked: Asked) -> OrbitError:
    reason = f" {asked.host}: {failure.message}" if failure.message and failure.code == "AccessDenied" else ""
    if asked.bucket is not None and asked.operation == "read" and asked.key is not None:
        user = f"the credentials from {asked.credentials} do" if asked.credentials else "anonymous access does"
        return AccessDenied(
            f"{asked.name} does not exist, or {user} not permit reading it "
            f"(without permission to list, S3 answers 403 for a missing key).{reason}",
            hint=f"Allow s3:ListBucket on {asked.bucket} to distinguish the two cases, and s3:GetObject to read.",
            key=asked.key,
            anonymous=asked.credentials is None,
        )
    if (anonymous := _no_credentials(asked)) is not None:
        return anonymous
    user = f" with the credentials from {asked.credentials}" if asked.credentials else ""
    return AccessDenied(f"Not allowed to {asked.operation} {asked.name}{user}.{reason}", key=asked.key)


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
        f"{asked.host} failed to {asked.operation} {asked.name}, repeatedly: {failure.brief}.",
        hint="It may be overloaded: try again later.",
        host=asked.host,
        status=failure.status,
    )


class _Rule(NamedTuple):
    """How to translate a failure whose code, kind or status is one of these."""

    translate: Callable[[Failure, Asked], OrbitError]
    codes: frozenset[str]
    statuses: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()


# The first rule that matches counts: codes before statuses, because one status stands for many codes.
_RULES: Final = (
    _Rule(_no_bucket, frozenset({"NoSuchBucket"})),
    _Rule(_no_key, frozenset({"NoSuchKey", "NoSuchVersion"})),
    _Rule(_archived, frozenset({"InvalidObjectState"})),
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
    _Rule(_redirected, frozenset(), kinds=frozenset({"redirect"})),
    _Rule(_no_ranges, frozenset(), kinds=frozenset({"not-partial"})),
    _Rule(_denied, frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden"}), frozenset({401, 403})),
    _Rule(_no_page, frozenset(), frozenset({404})),
    _Rule(_overloaded, frozenset({"SlowDown", "RequestTimeout"}), frozenset({408, 409, 429})),
)
