"""``repo policy``: who may read a repository, and who may publish to it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import address, command
from orbitpkg.errors import UsageError

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
@click.option("--organization", metavar="ID", help="All accounts of an organization of AWS, o-….")
@click.option(
    "--account",
    "accounts",
    metavar="ID",
    multiple=True,
    help="An account, 12 digits, or the ARN of a user or role. May be given again.",
)
@click.option("--public", is_flag=True, help="Everybody, also without credentials.")
@click.option("--read", is_flag=True, help="Let them list and install.")
@click.option("--publish", is_flag=True, help="Let them publish, too; they can delete and replace no release.")
@click.option("--apply", is_flag=True, help="Add it to the bucket's policy, after showing what changes.")
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
    """Print the least bucket policy for readers or publishers.

    It is JSON, about this repository's prefix alone. With --apply it is added to the policy that the bucket has: what
    others wrote there stays, and what was said before of the same people and prefix is replaced.
    """
    from orbitpkg.config.repositories import repository_url
    from orbitpkg.objects.s3_policy import BucketPolicy
    from orbitpkg.repository.policy import Audience, Place, new_policy

    audience = _audience(Audience, organization, accounts, public=public)
    right = _right(read=read, publish=publish)
    where = repository_url(url)
    place = Place.of(where)
    with closing(BucketPolicy(place.bucket)) as bucket:
        place = Place.of(where, region=bucket.region if bucket.is_aws else None)
        _check_endpoint(console, bucket, audience, right)
        policy = new_policy(place, audience, right, create_only=bucket.is_aws)
        if apply:
            return _apply(console, where, bucket, policy)
    console.data(json.dumps(policy, indent=2).splitlines())
    return {"repository": where, "policy": policy, "applied": False}


def _audience(make: type[Audience], organization: str | None, accounts: tuple[str, ...], *, public: bool) -> Audience:
    said = [bool(organization), bool(accounts), public]
    if sum(said) != 1:
        raise UsageError(
            "Who it is for must be said once.", hint="Say one of --organization o-…, --account ID and --public"
        )
    return make(organization=organization or None, accounts=accounts)


def _right(*, read: bool, publish: bool) -> Right:
    from orbitpkg.repository.policy import Right

    if read == publish:
        raise UsageError("What they may do must be said once.", hint="Say --read, or --publish, which lets them read")
    return Right.PUBLISH if publish else Right.READ


def _check_endpoint(console: Console, bucket: BucketPolicy, audience: Audience, right: Right) -> None:
    """Say what another object store than AWS does not do."""
    if bucket.is_aws:
        return
    if audience.organization:
        console.note("Only AWS knows organizations: any other object store will let nobody in by this policy")
    if right == "publish":
        console.note("The object store is not AWS: the policy does not insist on create-only writes")


def _apply(console: Console, where: str, bucket: BucketPolicy, policy: dict[str, object]) -> dict[str, object]:
    from orbitpkg.repository.policy import differences, merge_policy, parse_policy

    text = bucket.read()
    existing = parse_policy(text, what=f"The policy of the bucket of {where}") if text else None
    merged = merge_policy(existing, policy)
    changes = differences(existing, merged)
    console.data(changes)
    if changes:
        bucket.write(json.dumps(merged))
    console.account(
        f"Changed the policy of the bucket of {where}" if changes else "The bucket's policy says so already"
    )
    return {"repository": where, "policy": merged, "applied": bool(changes), "differences": changes}
