"""The least bucket policy that lets others read a repository, or publish to it.

A reader lists and gets what is below the repository's prefix. A publisher also creates records, archives and indexes
there, goes on with stopped uploads, and deletes nothing but the markers that say that an index is being brought up to
date. That is what publishing does and no more: nothing that was published can be deleted, and on AWS no record can be
written over, whatever tool is used.

Source: Amazon S3 User Guide, "Bucket policies", "Policies and permissions in Amazon S3" and "Enforce conditional writes
on Amazon S3 buckets"; AWS Global Condition Keys, ``aws:PrincipalOrgID``.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.model.jsontext import canonical_json, parse_json, pretty_json
from orbitpkg.objects.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Audience", "Place", "Right", "differences", "merge_policy", "new_policy", "parse_policy"]

_VERSION = "2012-10-17"
# S3 refuses larger ones (User Guide, "Bucket policies").
_MAX_BYTES = 20 * 1024
# Far more than S3 accepts: other stores have other limits.
_MAX_READ_BYTES = 1024 * 1024
_SID = "Orbitpkg"
_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_PRINCIPAL = re.compile(r"arn:[a-z-]+:iam::[A-Za-z0-9_-]*:[A-Za-z0-9+=,.@_/-]+")


class Right(StrEnum):
    """What somebody may do."""

    READ = "read"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Whom a policy is about: everybody, or the accounts of an organization, or some accounts, users and roles.

    Attributes:
        organization: Its id, ``o-…``; None when it is not about one.
        accounts: Numbers of accounts, and ARNs of users and roles; empty when it is not about any.
    """

    organization: str | None = None
    accounts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.organization is not None and not _ORGANIZATION.fullmatch(self.organization):
            raise UsageError(
                f"{self.organization!r} is not the id of an organization.",
                hint="It is o- and 10 to 32 letters and digits: aws organizations describe-organization",
            )
        for account in self.accounts:
            if not _ACCOUNT.fullmatch(account) and not _PRINCIPAL.fullmatch(account):
                raise UsageError(
                    f"{account!r} is neither the number of an account nor the ARN of a user or a role.",
                    hint="Write its 12 digits (aws sts get-caller-identity), or arn:aws:iam::123456789012:role/name",
                )

    @property
    def is_public(self) -> bool:
        """Whether it is everybody."""
        return self.organization is None and not self.accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a repository is, as a policy says it.

    Attributes:
        bucket: The bucket.
        prefix: What its keys begin with: empty, or ending in a slash.
        partition: Of AWS: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    """

    bucket: str
    prefix: str = ""
    partition: str = "aws"

    @classmethod
    def of(cls, url: str, *, region: str | None = None) -> Place:
        """Read it from a repository's address.

        Raises:
            UsageError: It is no bucket, or its prefix has a character that means something else in a policy.
        """
        address = parse_address(url)
        if address.scheme != "s3":
            raise UsageError(
                f"Only buckets have policies; {url} is none.", hint="Who may read a directory, its modes say."
            )
        if set(address.prefix) & set("*?$"):
            raise UsageError(f"{address.prefix!r} cannot be named in a policy: it has a '*', '?' or '$'.")
        names = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        partition = next((name for start, name in names.items() if (region or "").startswith(f"{start}-")), "aws")
        prefix = f"{address.prefix}/" if address.prefix else ""
        return cls(bucket=address.location, prefix=prefix, partition=partition)

    @property
    def arn(self) -> str:
        """The bucket's name for a policy."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    def objects(self, pattern: str) -> str:
        """Name the repository's objects whose keys match a pattern."""
        return f"{self.arn}/{self.prefix}{pattern}"


def new_policy(place: Place, audience: Audience, right: Right, *, create_only: bool) -> dict[str, Any]:
    """Give the least policy that lets an audience do something, as what the JSON holds.

    Args:
        place: The repository.
        audience: Who.
        right: What; whoever may publish may read, too.
        create_only: Have the store refuse records that are not created only if absent, which AWS alone does.

    Raises:
        UsageError: Everybody would be let publish.
    """
    if audience.is_public and right is Right.PUBLISH:
        raise UsageError("Everybody would be let publish.", hint="Name who: --account or --organization")
    rows = _reading(place)
    if right is Right.PUBLISH:
        rows |= _publishing(place, create_only=create_only)
    tag = _tag(place, audience)
    who, condition = _principal(audience, place)
    return {
        "Version": _VERSION,
        "Statement": [
            _statement(f"{_SID}{name}{tag}", who, row, {**condition, **row.get("Condition", {})})
            for name, row in rows.items()
        ],
    }


def _reading(place: Place) -> dict[str, dict[str, Any]]:
    below: dict[str, Any] = {"StringLike": {"s3:prefix": f"{place.prefix}*"}} if place.prefix else {}
    return {
        "List": {"Action": "s3:ListBucket", "Resource": place.arn, "Condition": below},
        "Get": {"Action": "s3:GetObject", "Resource": place.objects("*")},
    }


def _publishing(place: Place, *, create_only: bool) -> dict[str, dict[str, Any]]:
    only_new: dict[str, Any] = {"Null": {"s3:if-none-match": "false"}} if create_only else {}
    uploads = ["s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
    return {
        "Commit": {"Action": "s3:PutObject", "Resource": place.objects("releases/*"), "Condition": only_new},
        # Their keys are random, and what a record commits to is held against their bytes.
        "Upload": {"Action": uploads, "Resource": place.objects("archives/*")},
        # Derived from the records, and written over with each release.
        "Index": {"Action": "s3:PutObject", "Resource": place.objects("index/*")},
        "Withdraw": {
            "Action": "s3:DeleteObject",
            "Resource": [place.objects("releases/*/pending/*"), place.objects("archives/*/pieces/*")],
        },
    }


def _principal(audience: Audience, place: Place) -> tuple[object, dict[str, Any]]:
    """Say who, and under which condition."""
    if audience.accounts:
        arns = [
            f"arn:{place.partition}:iam::{account}:root" if _ACCOUNT.fullmatch(account) else account
            for account in audience.accounts
        ]
        return {"AWS": arns}, {}
    if audience.organization:
        return "*", {"StringEquals": {"aws:PrincipalOrgID": audience.organization}}
    return "*", {}


def _statement(sid: str, who: object, row: Mapping[str, Any], condition: Mapping[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": who,
        "Action": row["Action"],
        "Resource": row["Resource"],
    }
    return {**statement, "Condition": dict(condition)} if condition else statement


def _tag(place: Place, audience: Audience) -> str:
    """Name place and audience, so that what is said of them takes the place of what was said before."""
    said = canonical_json([place.prefix, audience.organization, sorted(audience.accounts)])
    return hashlib.sha256(said).hexdigest()[:8]


def merge_policy(existing: Mapping[str, Any] | None, policy: Mapping[str, Any]) -> dict[str, Any]:
    """Put a policy's statements into a bucket's policy, in the place of those about the same place and audience.

    All others stay as they are, in their order.

    Raises:
        UsageError: The result is larger than a bucket's policy may be.
    """
    new: Sequence[Mapping[str, Any]] = policy["Statement"]
    tags = {str(statement["Sid"])[-8:] for statement in new}
    there = dict(existing) if existing else {"Version": _VERSION}
    old: Any = there.get("Statement", [])
    kept = [each for each in (old if isinstance(old, list) else [old]) if not _is_ours(each, tags)]
    merged = {**there, "Statement": [*kept, *new]}
    size = len(canonical_json(merged))
    if size > _MAX_BYTES:
        raise UsageError(
            f"The bucket's policy would have {size:,} bytes; {_MAX_BYTES:,} is the most.",
            hint="Name an organization instead of many accounts, or give roles of your own the rights.",
        )
    return merged


def _is_ours(statement: Mapping[str, Any], tags: set[str]) -> bool:
    sid = str(statement.get("Sid", ""))
    return sid.startswith(_SID) and sid[-8:] in tags


def parse_policy(text: str, *, what: str) -> dict[str, Any]:
    """Read a bucket's policy as the store gives it.

    Raises:
        IntegrityError: It is no policy.
    """
    try:
        policy = parse_json(text.encode(), what=what, max_bytes=_MAX_READ_BYTES)
    except IntegrityError:
        policy = None
    statements = policy.get("Statement", []) if isinstance(policy, dict) else None
    rows = statements if isinstance(statements, list) else [statements]
    if not isinstance(policy, dict) or not all(isinstance(row, dict) for row in rows):
        raise IntegrityError(f"{what} is not a policy that can be added to.", hint="Change it where it was made.")
    return policy


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Give the lines in which two policies differ, as ``diff -u`` does; none when they are the same."""
    old, new = (pretty_json(each, sort_keys=True).splitlines() if each else [] for each in (before, after))
    return list(difflib.unified_diff(old, new, "the bucket's policy", "the policy to be", lineterm=""))
