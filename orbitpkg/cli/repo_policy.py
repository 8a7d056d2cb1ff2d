"""The command ``repo policy``, which grants read or publish access to a repository."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import address, command
from orbitpkg.errors import UsageError
from orbitpkg.model.jsontext import canonical_json, pretty_json

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console
    from orbitpkg.objects.s3_policy import BucketPolicy
    from orbitpkg.repository.policy import Audience, Right

__all__ = ["repo_policy"]


@command(
    "policy",
    "orbitpkg repo policy s3://my-bucket/models --organization o-exampleorgid --read",
    "orbitpkg repo policy s3://my-bucket/models --account 123456789012 --publish --apply",
    "orbitpkg repo policy s3://my-bucket/models --public --read > policy.json",
)
@click.argument("url", metavar="[URL]", required=False, callback=address)
@click.option("--organization", metavar="ID", help="Grant access to all accounts of an AWS organization (o-…).")
@click.option(
    "--account",
    "accounts",
    metavar="ID",
    multiple=True,
    help="Grant access to an account (12 digits), or a user or role (ARN). Can be repeated.",
)
@click.option("--public", is_flag=True, help="Grant access to everyone, even without credentials.")
@click.option("--read", is_flag=True, help="Allow listing and installing packages.")
@click.option("--publish", is_flag=True, help="Also allow publishing, but not deleting or replacing releases.")
@click.option("--apply", is_flag=True, help="Print the changes and apply them to the bucket's policy.")
def repo_policy(
    console: Console,
    url: str | None,
    *,
    organization: str | None,
    accounts: tuple[str, ...],
    public: bool,
    read: bool,
    publish: bool,
    apply: bool,
) -> dict[str, object]:
    """Print or apply a bucket policy for a repository.

    The policy is JSON with the least permissions needed, limited to the repository's prefix. With --apply it is merged
    into the bucket's policy: it replaces earlier statements for the same audience and prefix, and keeps all others.
    """
    from orbitpkg.config.repositories import repository_url
    from orbitpkg.objects.s3_policy import BucketPolicy
    from orbitpkg.repository.policy import Audience, Target, new_policy

    audience = _audience(Audience, organization, accounts, public=public)
    right = _right(read=read, publish=publish)
    where = repository_url(url)
    target = Target.of(where)
    with closing(BucketPolicy(target.bucket)) as bucket:
        target = Target.of(where, region=bucket.region if bucket.is_aws else None)
        _check_endpoint(console, bucket, audience, right)
        policy = new_policy(target, audience, right, create_only=bucket.is_aws)
        if apply:
            return _apply(console, where, bucket, policy)
    console.lines(pretty_json(policy).splitlines())
    return {"repository": where, "policy": policy, "applied": False}


def _audience(make: type[Audience], organization: str | None, accounts: tuple[str, ...], *, public: bool) -> Audience:
    if sum([bool(organization), bool(accounts), public]) != 1:
        raise UsageError("Specify exactly one audience: --organization ID, --account ID or --public.")
    return make(organization=organization or None, accounts=accounts)


def _right(*, read: bool, publish: bool) -> Right:
    from orbitpkg.repository.policy import Right

    if read == publish:
        raise UsageError("Specify either --read or --publish.", hint="--publish includes read access.")
    return Right.PUBLISH if publish else Right.READ


def _check_endpoint(console: Console, bucket: BucketPolicy, audience: Audience, right: Right) -> None:
    """Warn about the parts of the policy that only AWS supports."""
    if bucket.is_aws:
        return
    if audience.organization:
        console.warn("Only AWS supports organizations. On other object stores this policy grants no access.")
    if right == "publish":
        console.warn("The object store is not AWS, so the policy cannot require create-only writes.")


def _apply(console: Console, where: str, bucket: BucketPolicy, policy: dict[str, object]) -> dict[str, object]:
    from orbitpkg.repository.policy import differences, merge_policy, parse_policy

    text = bucket.read()
    existing = parse_policy(text, what=f"The bucket policy for {where}") if text else None
    merged = merge_policy(existing, policy)
    changes = differences(existing, merged)
    console.lines(changes)
    if changes:
        bucket.write(canonical_json(merged).decode())
    console.report(
        f"Updated the bucket policy for {where}" if changes else "The bucket policy already grants this access"
    )
    return {"repository": where, "policy": merged, "applied": bool(changes), "differences": changes}
