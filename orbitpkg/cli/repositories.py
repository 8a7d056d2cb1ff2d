"""Commands about repositories themselves: ``doctor``, and the group ``repo``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import address, command, global_options, repository_options
from orbitpkg.cli.policy import repo_policy
from orbitpkg.errors import IntegrityError, RepositoryError, UsageError

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console
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
@repository_options(verb="try, if no URL is given")
def doctor(console: Console, url: str | None, repository: str | None, *, offline: bool) -> dict[str, object]:
    """Find out, by trying, what a repository can do.

    Can it be read, listed, written, and what publishing and fast installs rest on? What is written is deleted again.
    Exits 1 if nothing can be read there.
    """
    from orbitpkg.api.repository import doctor
    from orbitpkg.config.repositories import repository_url

    place = repository_url(url or repository)
    report = doctor(place, offline=offline)
    console.sentence(place)
    console.rows((str(answer.check), _verdict(answer), _detail(answer)) for answer in report.answers)
    verdict, readable = _judge(report)
    data: dict[str, object] = {
        "repository": place,
        "readable": readable,
        "publishable": verdict == _GOOD,
        "checks": [
            {"check": str(answer.check), "works": answer.works, "detail": answer.detail} for answer in report.answers
        ],
    }
    if not readable:
        raise RepositoryError(f"{place} cannot be read.", hint="Check the address and the credentials.", **data)
    console.sentence(verdict)
    return data


_GOOD = "Good for publishing and for installing."


def _verdict(answer: Answer) -> str:
    return {True: "yes", False: "no", None: "-"}[answer.works]


def _detail(answer: Answer) -> str:
    return answer.detail.removeprefix("yes").lstrip("; ")


def _judge(report: ProbeReport) -> tuple[str, bool]:
    from orbitpkg.repository.probe import Check

    readable = bool(report.works(Check.READABLE))
    if report.works(Check.WRITABLE) and report.works(Check.CREATE_ONLY):
        return _GOOD, readable
    if report.works(Check.WRITABLE):
        return "Good for installing; for publishing only by one writer at a time (--unsafe-single-writer).", readable
    return "Good for installing; not for publishing, for it cannot be written.", readable


@click.group("repo", no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
def repo() -> None:
    """Make a repository, name it, and keep it tidy."""


repo.params += global_options()
repo.add_command(repo_policy)


@command(
    "init",
    "orbitpkg repo init s3://my-bucket/models",
    "orbitpkg repo init s3://new-bucket --create-bucket",
    "orbitpkg repo init ./models",
    group=repo,
)
@click.argument("url", callback=address)
@click.option("--create-bucket", is_flag=True, help="Make the bucket, too, if it does not exist.")
def repo_init(console: Console, url: str, *, create_bucket: bool) -> dict[str, object]:
    """Make a repository at an address.

    Where there is one, nothing changes. Publishing does it by itself where the bucket exists.
    """
    from orbitpkg.api.repository import init_repository

    repository, report = init_repository(url, create_bucket=create_bucket)
    config = repository.config()
    made = report is not None
    console.account(f"Made a repository at {repository.url}" if made else f"There is a repository at {repository.url}")
    if not config.create_only:
        console.note(
            "Its store ignores create-only writes: publishing there takes --unsafe-single-writer, and one writer only."
        )
    return {"repository": repository.url, "made": made, "create_only": config.create_only}


@command(
    "gc",
    "orbitpkg repo gc s3://my-bucket/models --dry-run",
    "orbitpkg repo gc s3://my-bucket/models --older-than 30",
    group=repo,
)
@click.argument("url", metavar="[URL]", required=False, callback=address)
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=7,
    show_default=True,
    metavar="DAYS",
    help="Leave what is younger: it may be on its way right now.",
)
def repo_gc(console: Console, url: str | None, *, dry_run: bool, older_than: float) -> dict[str, object]:
    """Delete what publishers left that were stopped.

    That is archives that no release names, and uploads that nobody finished. Releases are never touched.
    """
    from datetime import timedelta

    from orbitpkg.api.repository import collect_repository
    from orbitpkg.cli.layout import size
    from orbitpkg.config.repositories import repository_url

    place = repository_url(url)
    garbage = collect_repository(place, grace=timedelta(days=older_than), dry_run=dry_run)
    rows = [(info.key, size(info.size)) for info in garbage.objects]
    rows += [(upload.key or upload.id, "unfinished upload") for upload in garbage.uploads]
    console.rows(rows)
    done = "Would delete" if dry_run else "Deleted"
    console.sentence(f"{done} {_count(len(garbage.objects), 'object')} ({size(garbage.size)}) "
                     f"and {_count(len(garbage.uploads), 'unfinished upload')}.")  # fmt: skip
    return {
        "repository": place,
        "deleted": not dry_run,
        "objects": [{"key": info.key, "bytes": info.size} for info in garbage.objects],
        "uploads": [
            {"key": upload.key, "id": upload.id, "started": upload.started.isoformat()} for upload in garbage.uploads
        ],
        "bytes": garbage.size,
    }


@command(
    "verify",
    "orbitpkg repo verify s3://my-bucket/models",
    "orbitpkg repo verify --read-data --subset 5%",
    group=repo,
)
@click.argument("url", metavar="[URL]", required=False, callback=address)
@click.option("--read-data", is_flag=True, help="Read the archives, too, and hold every chunk against its digest.")
@click.option("--subset", metavar="SHARE", help="With --read-data: read only a part of all data, like 5%.")
def repo_verify(console: Console, url: str | None, *, read_data: bool, subset: str | None) -> dict[str, object]:
    """Hold records, archives and indexes against one another.

    Archives by their sizes, or with --read-data by every byte. The exit code is the sum of 16 if something is missing
    and 32 if something is altered.
    """
    from orbitpkg.api import maintain
    from orbitpkg.cli.layout import count, size
    from orbitpkg.config.repositories import repository_url
    from orbitpkg.model.quantities import parse_share

    if subset is not None and not read_data:
        raise UsageError("--subset says how much to read.", hint="Say --read-data, too.")
    share = parse_share(subset) if subset is not None else float(read_data)
    place = repository_url(url)
    verdict = maintain.check_repository(place, share=share, reporter=console.reporter())
    console.rows((str(fault.kind), fault.key, fault.detail) for fault in verdict.faults)
    looked = f"{count(verdict.packages, 'package')}, {count(verdict.releases, 'release')}, {size(verdict.size)}"
    console.sentence(f"{looked}; {size(verdict.read)} read: {'damaged' if verdict.faults else 'good'}")
    data: dict[str, object] = {
        "repository": place,
        "packages": verdict.packages,
        "releases": verdict.releases,
        "bytes": verdict.size,
        "read_bytes": verdict.read,
        "faults": [{"key": each.key, "flaw": str(each.kind), "detail": each.detail} for each in verdict.faults],
    }
    if verdict.faults:
        said = f"{count(len(verdict.faults), 'object')} of {place} {_are(len(verdict.faults))} not as published."
        console.fail(IntegrityError(said, hint="An index can be made anew: orbitpkg repo reindex", **data))
        raise click.exceptions.Exit(maintain.flaw_bits(fault.kind for fault in verdict.faults))
    return data


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


@command(
    "reindex", "orbitpkg repo reindex", "orbitpkg repo reindex digits --repository s3://my-bucket/models", group=repo
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@repository_options(verb="mend")
def repo_reindex(
    console: Console, names: tuple[str, ...], repository: str | None, *, offline: bool
) -> dict[str, object]:
    """Write the indexes of packages anew.

    They are made from the records, which are right whatever an index says. Without a NAME, those of all packages.
    """
    from orbitpkg.api.repository import reindex

    url, changes = reindex(names, repository=repository, offline=offline)
    for change in changes:
        said = "was right" if not change.differences else "was mended"
        console.account(f"The index of {change.name} {said}: {_count(change.releases, 'release')}", *change.differences)
    if not changes:
        console.note(f"There is no package in {url}")
    rows = [
        {"name": change.name, "releases": change.releases, "differences": list(change.differences)}
        for change in changes
    ]
    return {"repository": url, "packages": rows}


_USER = click.option("--user", is_flag=True, help="In the user's configuration, even within a project.")


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
    help="Packages that come from there and are looked for nowhere else, like 'acme-*'. May be given again.",
)
@click.option(
    "--mirror",
    "mirrors",
    metavar="URL",
    multiple=True,
    help="A copy, asked when it does not answer. May be given again.",
)
@_USER
def repo_add(
    console: Console, name: str, url: str, *, packages: tuple[str, ...], mirrors: tuple[str, ...], user: bool
) -> dict[str, object]:
    """Name a repository.

    In the project's file, or outside of a project in the user's configuration. One that has this name already gets
    this address, and keeps what it binds.
    """
    from orbitpkg.api.project.repositories import add_repository

    path = add_repository(name, url, packages=packages, mirrors=mirrors, user=user)
    console.account(f"Named {url} {name}", f"in {path}")
    return {"name": name, "url": url, "packages": list(packages), "mirrors": list(mirrors), "path": str(path)}


@command("list", "orbitpkg repo list", "orbitpkg repo list --json", group=repo)
def repo_list(console: Console) -> dict[str, object]:
    """List the repositories in effect.

    In their order: name, address, and which packages are bound to it.
    """
    from orbitpkg.config.repositories import settings

    effect = settings()
    console.rows((each.name, each.url, " ".join(each.packages)) for each in effect.repositories)
    console.note(f"Said by {effect.said_by}" if effect.said_by else "Nobody named one: this is the default one")
    rows = [
        {"name": each.name, "url": each.url, "mirrors": list(each.mirrors), "packages": list(each.packages)}
        for each in effect.repositories
    ]
    return {"said_by": effect.said_by or None, "repositories": rows}


@command("remove", "orbitpkg repo remove ours", group=repo)
@click.argument("name")
@_USER
def repo_remove(console: Console, name: str, *, user: bool) -> dict[str, object]:
    """Take a repository's name away.

    In the file where repo add would put it. The repository itself stays as it is.
    """
    from orbitpkg.api.project.repositories import remove_repository

    path = remove_repository(name, user=user)
    console.account(f"{name} names no repository any more", f"in {path}")
    return {"name": name, "path": str(path)}


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


EXPORTS = {"doctor": doctor, "repo": repo}
