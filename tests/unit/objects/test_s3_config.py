"""Which endpoint, region and credentials a bucket is asked with, from an environment and files of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import CredentialsError, OrbitError, RepositoryError, UsageError
from orbitpkg.objects import open_store
from orbitpkg.objects.certificates import Bundle
from orbitpkg.objects.s3_config import Keys, S3Settings, resolve_s3

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "env-secret"}
PROFILES = """\
[default]
region = eu-west-1
[profile models]
region = eu-central-1
endpoint_url = https://s3.example.org/
ca_bundle = /etc/ssl/ours.pem
[profile served]
services = stores
[services stores]
s3 =
  endpoint_url = http://10.0.0.1:9000
[profile virtual]
endpoint_url = https://s3.example.org
s3 =
  addressing_style = virtual
[profile half]
aws_access_key_id = AKIAHALF
[profile login]
sso_start_url = https://example.org/start
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = Reader
[profile runs]
credential_process = %s
"""
PROCESS_SAYS = {"Version": 1, "AccessKeyId": "AKIARUN", "SecretAccessKey": "run-secret"}
CREDENTIALS = """\
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = default-secret
[models]
aws_access_key_id = AKIAMODELS
aws_secret_access_key = models-secret
aws_session_token = models-token
[virtual]
aws_access_key_id = AKIAVIRTUAL
aws_secret_access_key = virtual-secret
[served]
aws_access_key_id = AKIASERVED
aws_secret_access_key = served-secret
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment that names shared files with some profiles, and knows of no instance role."""
    script = tmp_path / "keys.py"
    script.write_text(f"print({json.dumps(PROCESS_SAYS)!r})")
    (tmp_path / "config").write_text(PROFILES % f"{sys.executable} {script}")
    (tmp_path / "credentials").write_text(CREDENTIALS)
    return {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """An environment without shared files."""
    return {
        "AWS_CONFIG_FILE": str(tmp_path / "absent"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "absent"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def keys_of(settings: S3Settings) -> Keys:
    assert settings.keys is not None
    return settings.keys()


class TestEnvironment:
    def test_keys_and_an_endpoint_of_the_environment_are_enough(self, empty: dict[str, str]) -> None:
        settings = resolve_s3("bucket", env=empty | KEYS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000/"})
        assert settings.endpoint == "http://127.0.0.1:9000"
        assert settings.region is None
        assert settings.address() == "http://127.0.0.1:9000"
        assert settings.source == "the environment (AWS_ACCESS_KEY_ID)"
        assert keys_of(settings) == Keys(access_key="AKIAENV", secret_key="env-secret")

    def test_a_session_token_belongs_to_the_keys(self, empty: dict[str, str]) -> None:
        env = empty | KEYS | {"AWS_SESSION_TOKEN": "token", "AWS_REGION": "eu-west-1"}
        assert keys_of(resolve_s3("bucket", env=env)).token == "token"

    def test_the_s3_endpoint_takes_precedence_over_the_global_one(self, empty: dict[str, str]) -> None:
        env = empty | KEYS | {"AWS_ENDPOINT_URL": "http://all:1", "AWS_ENDPOINT_URL_S3": "http://s3:1"}
        assert resolve_s3("bucket", env=env).endpoint == "http://s3:1"

    def test_configured_endpoints_can_be_ignored(self, home: dict[str, str]) -> None:
        env = home | {"AWS_ENDPOINT_URL": "http://all:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
        assert resolve_s3("bucket", env=env | {"AWS_PROFILE": "models"}).endpoint is None

    def test_the_newer_name_of_the_region_takes_precedence(self, empty: dict[str, str]) -> None:
        env = empty | KEYS | {"AWS_DEFAULT_REGION": "us-west-2"}
        assert resolve_s3("bucket", env=env).region == "us-west-2"
        assert resolve_s3("bucket", env=env | {"AWS_REGION": "eu-west-1"}).region == "eu-west-1"

    @pytest.mark.parametrize(("there", "missing"), [tuple(KEYS), tuple(reversed(KEYS))])
    def test_half_a_pair_of_keys_is_refused(self, empty: dict[str, str], there: str, missing: str) -> None:
        with pytest.raises(CredentialsError, match=f"{there} is set, but {missing} is not"):
            resolve_s3("bucket", env=empty | {there: KEYS[there]})

    @pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "s3.example.org", "ftp://host", "http://", "http://h:x"])
    def test_an_endpoint_that_is_not_a_url_is_refused(self, empty: dict[str, str], endpoint: str) -> None:
        with pytest.raises(UsageError, match="is not a URL of a host"):
            resolve_s3("bucket", env=empty | KEYS | {"AWS_ENDPOINT_URL_S3": endpoint})

    def test_a_password_in_an_endpoint_is_refused_and_not_repeated(self, empty: dict[str, str]) -> None:
        env = empty | KEYS | {"AWS_ENDPOINT_URL_S3": "https://user:hidden@host"}
        with pytest.raises(UsageError) as caught:
            resolve_s3("bucket", env=env)
        assert "hidden" not in str(caught.value)

    def test_a_bundle_of_certificates_is_passed_on(self, home: dict[str, str]) -> None:
        env = home | KEYS | {"AWS_CA_BUNDLE": "/ca.pem", "AWS_ENDPOINT_URL": "https://host"}
        assert resolve_s3("bucket", env=env).ca_bundle == Bundle("/ca.pem", "AWS_CA_BUNDLE")
        of_profile = resolve_s3("bucket", env=home | {"AWS_PROFILE": "models"}).ca_bundle
        assert of_profile == Bundle("/etc/ssl/ours.pem", "ca_bundle of profile models")

    def test_without_any_credentials_requests_are_not_signed(self, empty: dict[str, str]) -> None:
        settings = resolve_s3("bucket", env=empty)
        assert (settings.keys, settings.source) == (None, None)

    @pytest.mark.parametrize(
        "more", [{"AWS_ENDPOINT_URL": "http://host:1"}, {"AWS_REGION": "eu-west-1"}], ids=["endpoint", "region"]
    )
    def test_botocore_is_not_imported_when_the_environment_has_all_settings(
        self, empty: dict[str, str], more: dict[str, str]
    ) -> None:
        code = (
            "import sys; from orbitpkg.objects.s3_config import resolve_s3; resolve_s3('bucket');"
            "print('botocore' in sys.modules, 'obstore' in sys.modules)"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], env=empty | KEYS | more, capture_output=True, text=True, check=True
        )
        assert run.stdout == "False False\n"


class TestProfiles:
    def test_the_default_profile_needs_no_naming(self, home: dict[str, str]) -> None:
        settings = resolve_s3("bucket", env=home)
        assert settings.region == "eu-west-1"
        assert settings.source == "the shared credentials file"
        assert keys_of(settings).access_key == "AKIADEFAULT"

    def test_a_named_profile_gives_endpoint_region_and_keys(self, home: dict[str, str]) -> None:
        settings = resolve_s3("bucket", env=home | {"AWS_PROFILE": "models"})
        assert settings.endpoint == "https://s3.example.org"
        assert settings.region == "eu-central-1"
        assert settings.source == "profile models (the shared credentials file)"
        assert keys_of(settings) == Keys(access_key="AKIAMODELS", secret_key="models-secret", token="models-token")

    def test_an_endpoint_can_stand_in_a_section_of_services(self, home: dict[str, str]) -> None:
        assert resolve_s3("bucket", env=home | {"AWS_PROFILE": "served"}).endpoint == "http://10.0.0.1:9000"

    def test_the_environment_takes_precedence_over_the_profile(self, home: dict[str, str]) -> None:
        env = home | KEYS | {"AWS_PROFILE": "models", "AWS_REGION": "us-west-2", "AWS_ENDPOINT_URL": "http://host:1"}
        settings = resolve_s3("bucket", env=env)
        assert (settings.region, settings.endpoint) == ("us-west-2", "http://host:1")
        assert keys_of(settings).access_key == "AKIAENV"

    def test_keys_of_the_environment_keep_the_endpoint_of_the_profile(self, home: dict[str, str]) -> None:
        settings = resolve_s3("bucket", env=home | KEYS | {"AWS_PROFILE": "models", "AWS_REGION": "us-west-2"})
        assert settings.endpoint == "https://s3.example.org"
        assert keys_of(settings).access_key == "AKIAENV"

    def test_an_unknown_profile_is_reported_with_the_files_searched(self, home: dict[str, str]) -> None:
        with pytest.raises(CredentialsError, match="The profile 'ghost' was not found") as caught:
            resolve_s3("bucket", env=home | {"AWS_PROFILE": "ghost"})
        assert home["AWS_CONFIG_FILE"] in caught.value.message
        assert home["AWS_SHARED_CREDENTIALS_FILE"] in caught.value.message

    def test_half_a_pair_of_keys_in_a_profile_is_refused(self, home: dict[str, str]) -> None:
        with pytest.raises(CredentialsError, match="profile half are not available"):
            resolve_s3("bucket", env=home | {"AWS_PROFILE": "half"})

    def test_a_required_login_is_reported_with_the_command(self, home: dict[str, str], tmp_path: Path) -> None:
        settings = resolve_s3("bucket", env=home | {"AWS_PROFILE": "login", "HOME": str(tmp_path)})
        assert settings.source == "profile login (SSO)"
        with pytest.raises(CredentialsError, match="The login of profile login is missing or has expired") as caught:
            keys_of(settings)
        assert caught.value.hint == "To log in: aws sso login --profile login"

    def test_a_process_can_give_the_keys(self, home: dict[str, str]) -> None:
        settings = resolve_s3("bucket", env=home | {"AWS_PROFILE": "runs"})
        assert settings.source == "profile runs (a credential process)"
        assert keys_of(settings).access_key == "AKIARUN"

    def test_a_file_that_cannot_be_parsed_is_reported(self, home: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "config").write_text("this is [no configuration")
        with pytest.raises(CredentialsError, match="Unable to parse config file"):
            resolve_s3("bucket", env=home)

    def test_no_message_and_no_repr_holds_a_secret(self, home: dict[str, str]) -> None:
        settings = resolve_s3("bucket", env=home | {"AWS_PROFILE": "models"})
        for text in (repr(settings), repr(keys_of(settings))):
            assert "secret" not in text.replace("secret_key", "")
            assert "token" not in text
            assert "AKIA" not in text


class TestAddresses:
    def test_aws_is_asked_by_the_buckets_own_name(self) -> None:
        settings = S3Settings(bucket="models", region="eu-west-1", virtual_host=True)
        assert settings.address() == "https://models.s3.eu-west-1.amazonaws.com"

    def test_chinas_regions_have_a_domain_of_their_own(self) -> None:
        settings = S3Settings(bucket="models", region="cn-north-1", virtual_host=True)
        assert settings.address() == "https://models.s3.cn-north-1.amazonaws.com.cn"

    def test_without_a_region_the_default_region_is_asked(self, empty: dict[str, str]) -> None:
        assert resolve_s3("models", env=empty).address() == "https://models.s3.us-east-1.amazonaws.com"

    def test_a_bucket_with_dots_is_a_part_of_the_path(self, empty: dict[str, str]) -> None:
        # No certificate is good for a name with that many dots.
        assert resolve_s3("models.example.org", env=empty).address() == "https://s3.us-east-1.amazonaws.com"

    def test_other_stores_are_asked_by_path(self, empty: dict[str, str]) -> None:
        settings = resolve_s3("models", env=empty | KEYS | {"AWS_ENDPOINT_URL": "https://s3.example.org"})
        assert settings.address() == "https://s3.example.org"

    def test_a_profile_can_ask_for_the_buckets_own_name(self, home: dict[str, str]) -> None:
        settings = resolve_s3("models", env=home | {"AWS_PROFILE": "virtual"})
        assert settings.address() == "https://models.s3.example.org"


def test_every_failure_is_an_orbit_error(home: dict[str, str]) -> None:
    for profile in ("ghost", "half"):
        with pytest.raises(OrbitError):
            resolve_s3("bucket", env=home | {"AWS_PROFILE": profile})


def test_keys_may_have_an_expiry_time() -> None:
    until = datetime(2026, 1, 1, tzinfo=UTC)
    assert Keys(access_key="a", secret_key="b", expires_at=until).expires_at == until


class TestBrokenSettings:
    """Values that came with a line end, files without certificates, and processes that print no keys."""

    @pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
    @pytest.mark.parametrize("value", ["key\n", "key\r\n", " key", "k\ney"])
    def test_a_key_with_a_line_end_is_named_but_not_shown(self, empty: dict[str, str], name: str, value: str) -> None:
        with pytest.raises(CredentialsError, match=name) as caught:
            resolve_s3("bucket", env=empty | KEYS | {"AWS_ENDPOINT_URL": "https://host", name: value})
        assert "key" not in caught.value.message.replace("KEY", "")

    @pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_CA_BUNDLE"])
    def test_a_setting_with_a_line_end_is_named(self, empty: dict[str, str], name: str) -> None:
        with pytest.raises(RepositoryError, match=f"{name} begins or ends with a line end"):
            resolve_s3("bucket", env=empty | KEYS | {name: "value\n"})

    @pytest.mark.parametrize("value", ["", " "])
    def test_an_empty_profile_is_none(self, empty: dict[str, str], value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", value)
        settings = resolve_s3("bucket", env=empty | {"AWS_PROFILE": value})
        assert (settings.keys, settings.profile) == (None, None)

    @pytest.mark.parametrize(
        ("process", "reason"),
        [
            ("/bin/echo Signed in", "not the JSON object"),
            ("/bin/true", "not the JSON object"),
            ("/bin/echo '[1]'", "not the JSON object"),
            ("/no/such/program secret-argument", "does not exist"),
            ("/bin/echo 'x", "not closed"),
        ],
    )
    def test_a_credential_process_that_does_not_work_is_named(
        self, empty: dict[str, str], tmp_path: Path, process: str, reason: str
    ) -> None:
        config = tmp_path / "broken"
        config.write_text(f"[default]\ncredential_process = {process}\n")
        with pytest.raises(CredentialsError, match=reason) as caught:
            resolve_s3("bucket", env=empty | {"AWS_CONFIG_FILE": str(config)})
        assert process.split(maxsplit=1)[0] in caught.value.message
        assert "profile default" in caught.value.message
        assert "secret-argument" not in str(caught.value)

    @pytest.mark.parametrize(
        "content", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None]
    )
    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_a_file_without_certificates_is_named(
        self, tmp_path: Path, content: bytes | None, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "ca.pem"
        if content is not None:
            file.write_bytes(content)
        monkeypatch.setenv(variable, str(file))
        for url in ("https://host", "s3://bucket"):
            env = {**KEYS, "AWS_ENDPOINT_URL": "https://host", variable: str(file)}
            with pytest.raises(RepositoryError, match=f"set by {variable}"):
                open_store(url, env=env).get("key")

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "fifo"])
    def test_a_bundle_that_is_not_a_file_is_refused(self, tmp_path: Path, make: Callable[[Path], None]) -> None:
        make(tmp_path / "ca.pem")
        with pytest.raises(RepositoryError, match="cannot be read"):
            Bundle(str(tmp_path / "ca.pem"), "AWS_CA_BUNDLE").read()
