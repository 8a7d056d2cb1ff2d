"""Commands that manage repositories: ``doctor`` and the command group ``repo``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.console import with_result
from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import address, command, command_group, dry_run_option, repository_options
from orbitpkg.cli.repo_policy import repo_policy
from orbitpkg.errors import IntegrityError, RepositoryError, UsageError
from orbitpkg.redaction import redacted

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console
    from orbitpkg.repository.garbage import Garbage
    from orbitpkg.repository.probe import Answer, ProbeReport

__all__ = [
    "EXPORTS",
    "doctor",
    "repo",
    "repo_add",
    "repo_gc",
    "repo_init",
    "repo_list",
    "repo_reindex",
    "repo_remove",
    "repo_verify",
]


@command("doctor", "orbitpkg doctor", "orbitpkg doctor s3://my-bucket/models")
@click.argument("url", metavar="[URL]", required=False, callback=address)
@repository_options(verb="check if no URL is given")
def doctor(console: Console, url: str | None, repository: str | None, *, offline: bool) -> dict[str, object]:
    """Check what a repository supports.

    Tests reading, listing, writing, and the features that publishing and fast installs need. Test objects are deleted
    afterwards. Exits with code 1 if the repository cannot be read.
    """
    from orbitpkg.api.repository import doctor
    from orbitpkg.config.repositories import repository_url

    address = repository_url(url or repository)
    report = doctor(address, offline=offline)
    console.sentence(address)
    console.rows((str(answer.check), _verdict(answer), _detail(answer)) for answer in report.answers)
    verdict, readable = _judge(report)
    data: dict[str, object] = {
        "repository": address,
        "readable": readable,
        "publishable": verdict in {_GOOD, _GOOD_AND_EMPTY},
        "checks": [
            {"check": str(answer.check), "works": answer.works, "detail": answer.detail} for answer in report.answers
        ],
    }
    if not readable:
        error = RepositoryError(f"Cannot read {address}.", hint="Check the address and your credentials.")
        raise with_result(error, data)
    console.sentence(verdict)
    return data


_GOOD = "Ready for publishing and installing."
_GOOD_AND_EMPTY = "Ready for publishing."


def _verdict(answer: Answer) -> str:
    return {True: "yes", False: "no", None: "-"}[answer.works]


def _detail(answer: Answer) -> str:
    return answer.detail.removeprefix("yes").lstrip("; ")


def _judge(report: ProbeReport) -> tuple[str, bool]:
    from orbitpkg.repository.probe import EMPTY, Check

    readable = bool(report.works(Check.READABLE))
    if report.works(Check.WRITABLE) and report.works(Check.CREATE_ONLY):
        is_empty = any(answer.detail == EMPTY for answer in report.answers)
        return _GOOD_AND_EMPTY if is_empty else _GOOD, readable
    if report.works(Check.WRITABLE):
        return (
            "Ready for installing. Publishing is only safe for one writer at a time (--unsafe-single-writer).",
            readable,
        )
    return "Ready for installing, but not for publishing: the repository is not writable.", readable


@command_group("repo")
def repo() -> None:
    """Create, configure and maintain repositories."""


repo.add_command(repo_policy)


@command(
    "init",
    "orbitpkg repo init s3://my-bucket/models",
    "orbitpkg repo init s3://new-bucket --create-bucket",
    "orbitpkg repo init ./models",
    group=repo,
)
@click.argument("url", callback=address)
@click.option("--create-bucket", is_flag=True, help="Create the bucket if it does not exist.")
def repo_init(console: Console, url: str, *, create_bucket: bool) -> dict[str, object]:
    """Create a repository.

    Does nothing if the repository already exists. The first orbitpkg publish to an existing bucket also creates its
    repository.
    """
    from orbitpkg.api.repository import init_repository

    repository, report = init_repository(url, create_bucket=create_bucket)
    config = repository.config()
    made = report is not None
    console.report(f"Created repository {repository.url}" if made else f"Repository {repository.url} already exists")
    if not config.create_only:
        console.warn(
            "The object store ignores create-only writes. Only publish with --unsafe-single-writer, and only while "
            "nobody else does."
        )
    return {"repository": repository.url, "made": made, "create_only": config.create_only}


@command(
    "gc",
    "orbitpkg repo gc s3://my-bucket/models --dry-run",
    "orbitpkg repo gc s3://my-bucket/models --older-than 30",
    group=repo,
)
@click.argument("url", metavar="[URL]", required=False, callback=address)
@dry_run_option
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=7,
    show_default=True,
    metavar="DAYS",
    help="Keep newer objects, which may belong to a running upload.",
)
def repo_gc(console: Console, url: str | None, *, dry_run: bool, older_than: float) -> dict[str, object]:
    """Delete the remains of interrupted publishing.

    Deletes archives that no release uses and unfinished uploads. Never deletes releases.
    """
    from datetime import timedelta

    from orbitpkg.api.repository import collect_repository
    from orbitpkg.config.repositories import repository_url

    address = repository_url(url)
    garbage = collect_repository(address, grace=timedelta(days=older_than), dry_run=dry_run)
    rows = [(info.key, size(info.size)) for info in garbage.objects]
    rows += [(upload.key or upload.id, "unfinished upload") for upload in garbage.uploads]
    console.rows(rows)
    console.sentence(_gc_summary(garbage, dry_run=dry_run))
    return {
        "repository": address,
        "deleted": not dry_run,
        "objects": [{"key": info.key, "bytes": info.size} for info in garbage.objects],
        "uploads": [
            {"key": upload.key, "id": upload.id, "started": upload.started.isoformat()} for upload in garbage.uploads
        ],
        "bytes": garbage.size,
    }


def _gc_summary(garbage: Garbage, *, dry_run: bool) -> str:
    if not garbage.objects and not garbage.uploads:
        return "Nothing to delete."
    objects = f"{count(len(garbage.objects), 'object')} ({size(garbage.size)})"
    uploads = count(len(garbage.uploads), "unfinished upload")
    return f"{'Would delete' if dry_run else 'Deleted'} {objects} and {uploads}."


@command(
    "verify",
    "orbitpkg repo verify s3://my-bucket/models",
    "orbitpkg repo verify --read-data --subset 5%",
    group=repo,
)
@click.argument("url", metavar="[URL]", required=False, callback=address)
@click.option("--read-data", is_flag=True, help="Download the archives and check the digest of every chunk.")
@click.option("--subset", metavar="SHARE", help="With --read-data, check only this share of the data, like 5%.")
def repo_verify(console: Console, url: str | None, *, read_data: bool, subset: str | None) -> dict[str, object]:
    """Check a repository for damage.

    Checks that records, archives and indexes agree. Archives are checked by their sizes, or with --read-data by their
    contents. The exit code is the sum of 16 (objects are missing) and 32 (objects are altered).
    """
    from orbitpkg.api import maintain
    from orbitpkg.config.repositories import repository_url
    from orbitpkg.model.quantities import parse_share

    if subset is not None and not read_data:
        raise UsageError("--subset requires --read-data.")
    share = parse_share(subset) if subset is not None else float(read_data)
    address = repository_url(url)
    verdict = maintain.check_repository(address, share=share, reporter=console.reporter())
    console.rows((str(fault.kind), fault.key, fault.detail) for fault in verdict.faults)
    checked = f"{count(verdict.packages, 'package')}, {count(verdict.releases, 'release')}, {size(verdict.size)}"
    console.sentence(f"{checked}; {size(verdict.read)} read: {'damaged' if verdict.faults else 'good'}")
    data: dict[str, object] = {
        "repository": address,
        "packages": verdict.packages,
        "releases": verdict.releases,
        "bytes": verdict.size,
        "read_bytes": verdict.read,
        "faults": [{"key": each.key, "flaw": str(each.kind), "detail": each.detail} for each in verdict.faults],
    }
    if verdict.faults:
        verb = "is" if len(verdict.faults) == 1 else "are"
        message = f"{count(len(verdict.faults), 'object')} in {address} {verb} damaged."
        error = IntegrityError(message, hint="To rebuild damaged indexes: orbitpkg repo reindex")
        console.fail(with_result(error, data))
        raise click.exceptions.Exit(maintain.finding_bits(fault.kind for fault in verdict.faults))
    return data


@command(
    "reindex", "orbitpkg repo reindex", "orbitpkg repo reindex digits --repository s3://my-bucket/models", group=repo
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@repository_options(verb="reindex")
def repo_reindex(
    console: Console, names: tuple[str, ...], repository: str | None, *, offline: bool
) -> dict[str, object]:
    """Rebuild the indexes of packages.

    Rebuilds each index from the release records. Without a NAME, rebuilds the indexes of all packages.
    """
    from orbitpkg.api.repository import reindex

    url, changes = reindex(names, repository=repository, offline=offline)
    for change in changes:
        verb = "Rebuilt" if change.differences else "Checked"
        console.report(f"{verb} the index of {change.name}: {count(change.releases, 'release')}", *change.differences)
    if not changes:
        console.note(f"No packages found in {url}")
    rows = [
        {"name": change.name, "releases": change.releases, "differences": list(change.differences)}
        for change in changes
    ]
    return {"repository": url, "packages": rows}


_USER = click.option("--user", is_flag=True, help="Edit the user configuration, even inside a project.")


@command(
    "add",
    "orbitpkg repo add ours s3://our-models --packages 'acme-*'",
    "orbitpkg repo add public https://models.example.org --mirror https://mirror.example.org",
    group=repo,
)
@click.argument("name")
@click.argument("url")
@click.option(
    "--packages",
    metavar="GLOB",
    multiple=True,
    help="Search for matching packages only in this repository, like 'acme-*'. Can be repeated.",
)
@click.option(
    "--mirror",
    "mirrors",
    metavar="URL",
    multiple=True,
    help="A copy to use if the repository does not respond. Can be repeated.",
)
@_USER
def repo_add(
    console: Console, name: str, url: str, *, packages: tuple[str, ...], mirrors: tuple[str, ...], user: bool
) -> dict[str, object]:
    """Add a named repository to the configuration.

    Edits the project's configuration, or outside a project the user's. If the name already exists, its URL is replaced
    and its other settings are kept.
    """
    from orbitpkg.api.project.repositories import add_repository, has_repository
    from orbitpkg.config.home import user_config_file

    verb = "Changed" if has_repository(name, user=user) else "Added"
    path = add_repository(name, url, packages=packages, mirrors=mirrors, user=user)
    if any(redacted(each) != each for each in (url, *mirrors)) and str(path) != user_config_file():
        console.warn(
            f"{path} now contains a password, which everyone who gets the project can read. Remove the repository, and "
            "add it to your own configuration: orbitpkg repo add --user"
        )
    url = redacted(url)
    console.report(f"{verb} repository {name} ({url})", f"in {path}")
    return {
        "name": name,
        "url": url,
        "packages": list(packages),
        "mirrors": [redacted(each) for each in mirrors],
        "path": str(path),
    }


@command("list", "orbitpkg repo list", "orbitpkg repo list --json", group=repo)
def repo_list(console: Console) -> dict[str, object]:
    """List the configured repositories.

    Prints the name, URL and package patterns of each repository, in the order in which they are searched.
    """
    from orbitpkg.config.repositories import settings

    effect = settings()
    console.rows((each.name, redacted(each.url), " ".join(each.packages)) for each in effect.repositories)
    console.note(f"Set by {effect.source}" if effect.source else "No repositories are configured: using the default")
    rows = [
        {
            "name": each.name,
            # A setting may hold a password, which no list repeats.
            "url": redacted(each.url),
            "mirrors": [redacted(mirror) for mirror in each.mirrors],
            "packages": list(each.packages),
        }
        for each in effect.repositories
    ]
    return {"source": effect.source or None, "repositories": rows}


@command("remove", "orbitpkg repo remove ours", group=repo)
@click.argument("name")
@_USER
def repo_remove(console: Console, name: str, *, user: bool) -> dict[str, object]:
    """Remove a named repository from the configuration.

    Edits the file that orbitpkg repo add would edit. The repository itself is not changed.
    """
    from orbitpkg.api.project.repositories import remove_repository

    path = remove_repository(name, user=user)
    console.report(f"Removed repository {name}", f"from {path}")
    return {"name": name, "path": str(path)}


EXPORTS = {"doctor": doctor, "repo": repo}
