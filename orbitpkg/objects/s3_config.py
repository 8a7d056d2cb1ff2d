"""The endpoint, region and credentials for a bucket, found in the same places as AWS's own tools find them.

Credentials are searched in this order: keys in the environment, a profile of the shared config and credentials files
(static keys, SSO, an assumed role, a process), web identity, the container's role, the instance's role. Without any,
requests are not signed, which is enough for public buckets. botocore does everything except the first step, and is
imported only if that step is not enough: importing it takes longer than a small install.

Sources: AWS SDKs and Tools Reference Guide ("Shared config and credentials files", "Service-specific endpoints").
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from orbitpkg.errors import CredentialsError, OrbitError, RepositoryError, RepositoryUnreachable, UsageError
from orbitpkg.escaping import shell_word
from orbitpkg.files.tilde import expand_home
from orbitpkg.objects.certificates import Bundle, bundle_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from botocore.session import Session

__all__ = ["DEFAULT_REGION", "Keys", "S3Settings", "find_account", "find_endpoint", "resolve_s3"]

DEFAULT_REGION: Final = "us-east-1"
"""The region used first if none is set; S3 in this region knows the region of every bucket."""

_FROM_ENVIRONMENT: Final = "the environment (AWS_ACCESS_KEY_ID)"
_SOURCES: Final = {
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "a web identity token",
    "sso": "SSO",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the shared config file",
    "custom-process": "a credential process",
    "login": "aws login",
    "container-role": "the container's role",
    "iam-role": "the instance's role",
}
_FROM_NO_PROFILE: Final = ("container-role", "iam-role")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys that requests are signed with.

    Attributes:
        access_key: The id of the key.
        secret_key: Its secret; not in the repr.
        token: The session token of keys that expire; not in the repr.
        expires_at: When they must be requested again; None for keys that do not expire.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """The settings of requests to a bucket.

    Attributes:
        bucket: The name of the bucket.
        endpoint: The endpoint that is set, as a URL; None for AWS.
        region: The region that is set, or None.
        virtual_host: Whether the bucket is part of the host name rather than of the path.
        source: Where the credentials come from, for messages; None without credentials.
        profile: The profile that is set, or None.
        keys: Returns keys that are valid now; None for unsigned requests.
        ca_bundle: Certificates to trust in addition to the system's, or None.
    """

    bucket: str
    endpoint: str | None = None
    region: str | None = None
    virtual_host: bool = False
    source: str | None = None
    profile: str | None = None
    keys: Callable[[], Keys] | None = field(default=None, repr=False)
    ca_bundle: Bundle | None = None

    def address(self) -> str:
        """Return the URL of requests to the bucket, without the bucket if it is part of the path."""
        region = self.region or DEFAULT_REGION
        # Regions in China have another domain (AWS General Reference, "Amazon S3 endpoints").
        suffix = ".cn" if region.startswith("cn-") else ""
        endpoint = self.endpoint or f"https://s3.{region}.amazonaws.com{suffix}"
        if not self.virtual_host:
            return endpoint
        scheme, _, host = endpoint.partition("://")
        return f"{scheme}://{self.bucket}.{host}"


def resolve_s3(bucket: str, *, env: Mapping[str, str] | None = None) -> S3Settings:
    """Find the settings for a bucket.

    Args:
        bucket: The name of the bucket.
        env: The environment variables; the process's own when None. botocore reads those for web identity from the
            process's environment in any case.

    Raises:
        CredentialsError: Credentials are configured but not available: half a pair of keys, an unknown profile, an
            expired login, an unreadable file.
        RepositoryUnreachable: The service that provides credentials does not respond.
        UsageError: An endpoint is not a valid URL.
    """
    env = os.environ if env is None else env
    _check_variables(env)
    keys = _environment_keys(env)
    region = _environment_region(env)
    endpoint = _environment_endpoint(env)
    # A bundle of the profile counts also for an endpoint from the environment.
    settled = _BUNDLE_WORDS if endpoint else _WORDS
    if keys is not None and (endpoint or region) and not _config_matters(env, settled):
        return _settings(bucket, env, endpoint=endpoint, region=region, keys=lambda: keys, source=_FROM_ENVIRONMENT)
    try:
        return _from_files(bucket, env, keys)
    except OrbitError:
        raise
    except Exception as error:
        if (translated := _translated(error, env)) is None:
            raise
        # botocore's own error says no more, and its traceback shows botocore's internals.
        raise translated from None


def find_endpoint(env: Mapping[str, str]) -> str | None:
    """Return the endpoint that is set, without contacting a server; None for AWS.

    Raises:
        CredentialsError: The settings name a profile that does not exist.
    """
    if (named := _environment_endpoint(env)) or not _config_matters(env):
        return named
    session, config = _open_config(env)
    return _endpoint(session, config, env)


def find_account(env: Mapping[str, str]) -> str | None:
    """Return a name for the account whose credentials are set, without contacting a server; None without credentials.

    It is the access key, or the profile for renewed keys: a new session key belongs to the same account.

    Raises:
        CredentialsError: The settings name a profile that does not exist, or half a pair of keys.
    """
    keys = _environment_keys(env)
    if keys is not None:
        return keys.access_key if keys.token is None else "session keys"
    if not any(path.is_file() for path in (_config_file(env), _credentials_file(env))) and _profile(env) is None:
        return None
    _, config = _open_config(env)
    access_key = config.get("aws_access_key_id")
    if access_key and not config.get("aws_session_token"):
        return str(access_key)
    is_set = any(name.startswith(("aws_", "sso_", "role_", "credential_", "web_identity")) for name in config)
    return f"profile {_profile(env) or 'default'}" if is_set else None


def _open_config(env: Mapping[str, str]) -> tuple[Session, Mapping[str, Any]]:
    try:
        session = _session(env)
        config: Mapping[str, Any] = session.get_scoped_config()
    except Exception as error:
        if (translated := _translated(error, env)) is None:
            raise
        raise translated from None
    return session, config


def _settings(
    bucket: str,
    env: Mapping[str, str],
    *,
    endpoint: str | None,
    region: str | None,
    keys: Callable[[], Keys] | None,
    source: str | None,
    profile: str | None = None,
    addressing: str | None = None,
    ca_bundle: Bundle | None = None,
) -> S3Settings:
    if endpoint is not None:
        endpoint = _checked_endpoint(endpoint)
    # Other stores rarely have a DNS name per bucket; a bucket with dots has no certificate for such a name on AWS.
    virtual_host = addressing == "virtual" or (endpoint is None and addressing != "path" and "." not in bucket)
    return S3Settings(
        bucket=bucket,
        endpoint=endpoint,
        region=region,
        virtual_host=virtual_host,
        source=source,
        profile=profile,
        keys=keys,
        ca_bundle=bundle_from(env) or ca_bundle,
    )


def _checked_endpoint(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        named = bool(parts.hostname) and parts.scheme in ("http", "https") and (parts.port or 1) > 0
    except ValueError:
        named = False
    if not named or "@" in parts.netloc or parts.query:
        shown = endpoint.rpartition("@")[2]
        raise UsageError(
            f"The S3 endpoint {shown!r} is not a URL of a host.",
            hint="Write it like https://s3.example.org or http://127.0.0.1:9000 (AWS_ENDPOINT_URL_S3, endpoint_url).",
        )
    return endpoint.rstrip("/")


_KEY_VARIABLES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
_VARIABLES: Final = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def _check_variables(env: Mapping[str, str]) -> None:
    """Raise an error for a value that was read from a file with its line end, or contains control characters.

    obstore and botocore would sign with such a key, or put it into a header, and fail in ways that do not name it.
    """
    for name in (*_KEY_VARIABLES, *_VARIABLES):
        value = env.get(name, "")
        if not value.strip() or (value == value.strip() and value.isprintable()):
            continue
        edge = "a line end" if value.strip("\r\n") != value else "a space"
        flaw = f"begins or ends with {edge}" if value != value.strip() else "contains a control character"
        kind: type[RepositoryError] = CredentialsError if name in _KEY_VARIABLES else RepositoryError
        raise kind(f"The value of {name} {flaw}.", hint=f"Set {name} again without it.")


def _environment_keys(env: Mapping[str, str]) -> Keys | None:
    access_key = env.get("AWS_ACCESS_KEY_ID", "").strip()
    secret_key = env.get("AWS_SECRET_ACCESS_KEY", "").strip()
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        present, missing = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
        if secret_key:
            present, missing = missing, present
        raise CredentialsError(
            f"{present} is set, but {missing} is not.",
            hint="Set both, or neither to use a profile.",
            source="environment",
        )
    token = env.get("AWS_SESSION_TOKEN", "").strip() or env.get("AWS_SECURITY_TOKEN", "").strip() or None
    return Keys(access_key=access_key, secret_key=secret_key, token=token)


def _environment_endpoint(env: Mapping[str, str]) -> str | None:
    if env.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return env.get("AWS_ENDPOINT_URL_S3", "").strip() or env.get("AWS_ENDPOINT_URL", "").strip() or None


def _environment_region(env: Mapping[str, str]) -> str | None:
    return env.get("AWS_REGION", "").strip() or env.get("AWS_DEFAULT_REGION", "").strip() or None


def _config_file(env: Mapping[str, str]) -> Path:
    return expand_home(env.get("AWS_CONFIG_FILE") or "~/.aws/config")


def _credentials_file(env: Mapping[str, str]) -> Path:
    return expand_home(env.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")


def _profile(env: Mapping[str, str]) -> str | None:
    return env.get("AWS_DEFAULT_PROFILE", "").strip() or env.get("AWS_PROFILE", "").strip() or None


_BUNDLE_WORDS: Final = (b"ca_bundle",)
_WORDS: Final = (b"endpoint_url", b"addressing_style", *_BUNDLE_WORDS)


def _config_matters(env: Mapping[str, str], words: tuple[bytes, ...] = _WORDS) -> bool:
    """Return whether the shared config file may contain one of these settings."""
    try:
        text = _config_file(env).read_bytes()
    except OSError:
        return False
    return any(word in text for word in words)


def _from_files(bucket: str, env: Mapping[str, str], keys: Keys | None) -> S3Settings:
    session = _session(env)
    config: Mapping[str, Any] = session.get_scoped_config()
    source, get_keys = (_FROM_ENVIRONMENT, lambda: keys) if keys is not None else _find_keys(session, env)
    s3 = config.get("s3")
    return _settings(
        bucket,
        env,
        endpoint=_endpoint(session, config, env),
        region=_environment_region(env) or config.get("region"),
        keys=get_keys,
        source=source,
        profile=_profile(env),
        addressing=s3.get("addressing_style") if isinstance(s3, dict) else None,
        ca_bundle=_bundle(config, env),
    )


def _bundle(config: Mapping[str, Any], env: Mapping[str, str]) -> Bundle | None:
    path = str(config.get("ca_bundle") or "").strip()
    return Bundle(path, f"ca_bundle of profile {_profile(env) or 'default'}") if path else None


def _session(env: Mapping[str, str]) -> Session:
    """Open a botocore session that reads the files named in ``env``."""
    from botocore.session import Session

    # botocore must not read the profile from the process's environment: it takes an empty AWS_PROFILE for a name.
    session = Session(session_vars={"profile": (None, None, None, None)})
    session.set_config_variable("config_file", str(_config_file(env)))
    session.set_config_variable("credentials_file", str(_credentials_file(env)))
    # Only if a profile is set: a profile that is set here overrides the environment's web identity in botocore.
    if (profile := _profile(env)) is not None:
        session.set_config_variable("profile", profile)
    return session


def _endpoint(session: Session, config: Mapping[str, Any], env: Mapping[str, str]) -> str | None:
    ignored = env.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or config.get("ignore_configured_endpoint_urls") or ""
    if str(ignored).lower() == "true":
        return None
    if named := _environment_endpoint(env):
        return named
    services = session.full_config.get("services", {}).get(config.get("services"), {})
    s3 = services.get("s3") if isinstance(services, dict) else None
    endpoint = s3.get("endpoint_url") if isinstance(s3, dict) else None
    return endpoint or config.get("endpoint_url") or None


def _find_keys(session: Session, env: Mapping[str, str]) -> tuple[str | None, Callable[[], Keys] | None]:
    from botocore.credentials import ContainerProvider

    resolver = session.get_component("credential_provider")
    # The keys in the environment were checked already, and container roles must be read from `env`.
    resolver.remove("env")
    resolver.insert_after("container-role", ContainerProvider(environ=dict(env)))
    resolver.remove("container-role")
    if env.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        resolver.remove("iam-role")
    config: Mapping[str, Any] = session.get_scoped_config()

    def translated(error: Exception) -> OrbitError:
        return _translated(error, env) or _broken_source(error, config, env)

    try:
        credentials = session.get_credentials()
    except Exception as error:  # noqa: BLE001 - botocore lets through whatever parsing raises
        raise translated(error) from None
    if credentials is None:
        return None, None
    profile = _profile(env)

    def get_keys() -> Keys:
        try:
            return _frozen(credentials)
        except Exception as error:  # noqa: BLE001 - renewing keys parses the same output again
            raise translated(error) from None

    source = _SOURCES.get(credentials.method, credentials.method)
    named = profile is not None and credentials.method not in _FROM_NO_PROFILE
    return f"profile {profile} ({source})" if named else source, get_keys


def _frozen(credentials: Any) -> Keys:
    from datetime import UTC, datetime, timedelta

    frozen = credentials.get_frozen_credentials()
    # botocore renews keys 10 to 15 minutes before they expire, so any keys it returns are valid for five.
    renewed = hasattr(credentials, "refresh_needed")
    return Keys(
        access_key=frozen.access_key,
        secret_key=frozen.secret_key,
        token=frozen.token,
        expires_at=datetime.now(UTC) + timedelta(minutes=5) if renewed else None,
    )


def _translated(error: Exception, env: Mapping[str, str]) -> OrbitError | None:
    """Translate botocore's errors about credentials; return None for any other exception.

    botocore's messages are repeated where they name a file or a setting; they never contain the value of a key.
    """
    from botocore import exceptions as botocore

    profile = _profile(env) or "default"
    login = f"aws sso login --profile {shell_word(profile)}"
    expired = (
        botocore.UnauthorizedSSOTokenError,
        botocore.SSOTokenLoadError,
        botocore.TokenRetrievalError,
    )
    if isinstance(error, botocore.ProfileNotFound):
        return CredentialsError(
            f"The profile {profile!r} was not found in {_config_file(env)} or {_credentials_file(env)}.",
            hint=f"Check AWS_PROFILE. To create the profile: aws configure --profile {shell_word(profile)}",
            profile=profile,
        )
    if isinstance(error, expired):
        return CredentialsError(
            f"The login of profile {profile} is missing or has expired.", hint=f"To log in: {login}", profile=profile
        )
    if isinstance(error, botocore.HTTPClientError):
        return RepositoryUnreachable(
            f"The service that provides the credentials of profile {profile} does not respond.",
            hint="Check the network and the proxy settings (HTTPS_PROXY, NO_PROXY).",
        )
    if isinstance(error, botocore.ClientError):
        code = error.response.get("Error", {}).get("Code", "no reason given")
        return CredentialsError(f"The credentials of profile {profile} were refused: {code}.", profile=profile)
    if isinstance(error, botocore.BotoCoreError):
        return CredentialsError(
            f"The credentials of profile {profile} are not available: {_one_line(error)}.",
            hint="To check the profile's settings: aws configure list --profile NAME",
            profile=profile,
        )
    return None


def _broken_source(error: Exception, config: Mapping[str, Any], env: Mapping[str, str]) -> CredentialsError:
    """Describe an exception that botocore passes on from a source of credentials that does not work.

    Neither the exception's text nor the arguments of the process are repeated: both can contain secrets.
    """
    profile = _profile(env) or "default"
    process = str(config.get("credential_process") or "").split()
    if not process:
        return CredentialsError(
            f"The credentials of profile {profile} are not available: their source is set up wrongly "
            f"({type(error).__name__}).",
            hint="Check the profile's settings (aws configure list --profile NAME) and the variables AWS_….",
            profile=profile,
        )
    program = process[0].strip("'\"")
    match error:
        case FileNotFoundError():
            reason = "the program does not exist"
        case PermissionError():
            reason = "the program cannot be run"
        case ValueError() if "quotation" in str(error):
            reason = "a quotation mark in its command is not closed"
        case _:
            reason = "its output is not the JSON object that AWS specifies"
    return CredentialsError(
        f"The credential_process {program} of profile {profile} provides no credentials: {reason}.",
        hint=f"Correct credential_process in {_config_file(env)}, and run the command to see its output.",
        profile=profile,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
