"""The minimal bucket policy that lets others read a repository, or publish to it.

Readers may list and get the objects below the repository's prefix. Publishers may also create records, archives and
indexes there, resume interrupted uploads, and delete the markers of index updates, but nothing else. That is all that
publishing needs: with any tool, no published object can be deleted, and on AWS no record can be overwritten.

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

__all__ = ["Audience", "Right", "Target", "differences", "merge_policy", "new_policy", "parse_policy"]

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
    """The permission that a policy grants."""

    READ = "read"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """The users that a policy applies to: everyone, the accounts of an organization, or single accounts and roles.

    Attributes:
        organization: The id of the organization, ``o-…``, or None.
        accounts: Account numbers, and ARNs of users and roles.
    """

    organization: str | None = None
    accounts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.organization is not None and not _ORGANIZATION.fullmatch(self.organization):
            raise UsageError(
                f"{self.organization!r} is not a valid organization id.",
                hint="An id is o- and 10 to 32 letters and digits: aws organizations describe-organization",
            )
        for account in self.accounts:
            if not _ACCOUNT.fullmatch(account) and not _PRINCIPAL.fullmatch(account):
                raise UsageError(
                    f"{account!r} is neither an account number nor the ARN of a user or a role.",
                    hint="Write 12 digits (aws sts get-caller-identity), or arn:aws:iam::123456789012:role/name",
                )

    @property
    def is_public(self) -> bool:
        """Whether the policy applies to everyone."""
        return self.organization is None and not self.accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The repository that a policy applies to.

    Attributes:
        bucket: The bucket.
        prefix: The prefix of its keys: empty, or ending in a slash.
        partition: The AWS partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    """

    bucket: str
    prefix: str = ""
    partition: str = "aws"

    @classmethod
    def of(cls, url: str, *, region: str | None = None) -> Target:
        """Parse the address of a repository.

        Raises:
            UsageError: It is not in a bucket, or its prefix has a character with a special meaning in policies.
        """
        address = parse_address(url)
        if address.scheme != "s3":
            raise UsageError(
                f"Only buckets have policies; {url} is not in a bucket.",
                hint="For a directory, set the permissions of its files: chmod",
            )
        if set(address.prefix) & set("*?$"):
            raise UsageError(f"The prefix {address.prefix!r} cannot be used in a policy: it has a '*', '?' or '$'.")
        names = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        partition = next((name for start, name in names.items() if (region or "").startswith(f"{start}-")), "aws")
        prefix = f"{address.prefix}/" if address.prefix else ""
        return cls(bucket=address.location, prefix=prefix, partition=partition)

    @property
    def arn(self) -> str:
        """The ARN of the bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    def objects(self, pattern: str) -> str:
        """Return the ARN of the repository's objects whose keys match a pattern."""
        return f"{self.arn}/{self.prefix}{pattern}"


def new_policy(target: Target, audience: Audience, right: Right, *, create_only: bool) -> dict[str, Any]:
    """Return the minimal policy that grants a permission, as JSON data.

    Args:
        target: The repository.
        audience: The users who get the permission.
        right: The permission; publishing includes reading.
        create_only: Let the store refuse unconditional writes of records, which only AWS supports.

    Raises:
        UsageError: The policy would let everyone publish.
    """
    if audience.is_public and right is Right.PUBLISH:
        raise UsageError(
            "This policy would let everyone publish.", hint="To restrict it, add --account or --organization."
        )
    rows = _reading(target)
    if right is Right.PUBLISH:
        rows |= _publishing(target, create_only=create_only)
    tag = _tag(target, audience)
    who, condition = _principal(audience, target)
    return {
        "Version": _VERSION,
        "Statement": [
            _statement(f"{_SID}{name}{tag}", who, row, {**condition, **row.get("Condition", {})})
            for name, row in rows.items()
        ],
    }


def _reading(target: Target) -> dict[str, dict[str, Any]]:
    below: dict[str, Any] = {"StringLike": {"s3:prefix": f"{target.prefix}*"}} if target.prefix else {}
    return {
        "List": {"Action": "s3:ListBucket", "Resource": target.arn, "Condition": below},
        "Get": {"Action": "s3:GetObject", "Resource": target.objects("*")},
    }


def _publishing(target: Target, *, create_only: bool) -> dict[str, dict[str, Any]]:
    only_new: dict[str, Any] = {"Null": {"s3:if-none-match": "false"}} if create_only else {}
    uploads = ["s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
    return {
        "Commit": {"Action": "s3:PutObject", "Resource": target.objects("releases/*"), "Condition": only_new},
        # Archives have random keys, and readers verify them against the digest in the record.
        "Upload": {"Action": uploads, "Resource": target.objects("archives/*")},
        # The index is derived from the records, and overwritten by each release.
        "Index": {"Action": "s3:PutObject", "Resource": target.objects("index/*")},
        "Withdraw": {
            "Action": "s3:DeleteObject",
            "Resource": [
                target.objects("releases/*/pending/*"),
                target.objects("archives/*/pieces/*"),
                target.objects("archives/*/claims/*"),
            ],
        },
    }


def _principal(audience: Audience, target: Target) -> tuple[object, dict[str, Any]]:
    """Return the principal and the condition for an audience."""
    if audience.accounts:
        arns = [
            f"arn:{target.partition}:iam::{account}:root" if _ACCOUNT.fullmatch(account) else account
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


def _tag(target: Target, audience: Audience) -> str:
    """Identify target and audience: a new policy for the same two replaces the previous one."""
    identity = canonical_json([target.prefix, audience.organization, sorted(audience.accounts)])
    return hashlib.sha256(identity).hexdigest()[:8]


def merge_policy(existing: Mapping[str, Any] | None, policy: Mapping[str, Any]) -> dict[str, Any]:
    """Add a policy's statements to a bucket's policy, replacing those for the same repository and audience.

    All other statements stay as they are, in their order.

    Raises:
        UsageError: The result exceeds the maximum size of a bucket's policy.
    """
    new: Sequence[Mapping[str, Any]] = policy["Statement"]
    tags = {str(statement["Sid"])[-8:] for statement in new}
    present = dict(existing) if existing else {"Version": _VERSION}
    old: Any = present.get("Statement", [])
    kept = [each for each in (old if isinstance(old, list) else [old]) if not _is_ours(each, tags)]
    merged = {**present, "Statement": [*kept, *new]}
    size = len(canonical_json(merged))
    if size > _MAX_BYTES:
        raise UsageError(
            f"The bucket's policy would have {size:,} bytes; the maximum is {_MAX_BYTES:,}.",
            hint="Use an organization instead of many accounts, or grant the permission to a role.",
        )
    return merged


def _is_ours(statement: Mapping[str, Any], tags: set[str]) -> bool:
    sid = str(statement.get("Sid", ""))
    return sid.startswith(_SID) and sid[-8:] in tags


def parse_policy(text: str, *, what: str) -> dict[str, Any]:
    """Parse a bucket's policy.

    Raises:
        IntegrityError: The text is not a policy.
    """
    try:
        policy = parse_json(text.encode(), what=what, max_bytes=_MAX_READ_BYTES)
    except IntegrityError:
        policy = None
    statements = policy.get("Statement", []) if isinstance(policy, dict) else None
    rows = statements if isinstance(statements, list) else [statements]
    if not isinstance(policy, dict) or not all(isinstance(row, dict) for row in rows):
        raise IntegrityError(f"{what} cannot be extended: it is not a valid policy.", hint="Edit it by hand.")
    return policy


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Return the lines in which two policies differ, as ``diff -u`` prints them; empty if they are equal."""
    old, new = (pretty_json(each, sort_keys=True).splitlines() if each else [] for each in (before, after))
    return list(difflib.unified_diff(old, new, "the bucket's policy", "the new policy", lineterm=""))
