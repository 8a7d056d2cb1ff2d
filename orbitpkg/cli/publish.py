"""The command ``publish``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.facts import Totals, release_facts
from orbitpkg.cli.layout import size
from orbitpkg.cli.options import command, repository_options, unsafe_single_writer_option
from orbitpkg.escaping import shell_word

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console
    from orbitpkg.publisher.publish import Published

__all__ = ["EXPORTS", "publish"]


@command(
    "publish",
    "orbitpkg publish my-model",
    "orbitpkg publish my-model --repository s3://my-bucket/models",
    "orbitpkg publish digits-1.0.0.tar.zst --dry-run",
)
@click.argument("source", metavar="[DIR|ARCHIVE]", default=".", type=click.Path())
@repository_options(verb="publish to")
@click.option("--dry-run", is_flag=True, help="Check and build the package, but upload nothing.")
@unsafe_single_writer_option
def publish(
    console: Console,
    source: str,
    repository: str | None,
    *,
    offline: bool,
    dry_run: bool,
    unsafe_single_writer: bool,
) -> dict[str, object]:
    """Publish a package to a repository.

    The package is a directory with a package.json (default: the working directory), or an archive from orbitpkg build.

    Published versions never change. Publishing the same content again succeeds without uploading anything.
    """
    from orbitpkg.api.publish import publish
    from orbitpkg.cli.process import tune_heaps
    from orbitpkg.config.repositories import default_repository, repository_url

    tune_heaps()
    result = publish(
        source,
        repository,
        unsafe_single_writer=unsafe_single_writer,
        dry_run=dry_run,
        offline=offline,
        reporter=console.reporter(),
    )
    url = repository_url(repository, package=result.release.key)
    install = f"orbitpkg install {result.release} --repository {shell_word(url)}"
    _report(console, result, url, install)
    if url == default_repository():
        console.hint(
            "This is the default repository, a directory on this machine. "
            "To publish to a bucket, pass --repository s3://BUCKET/PREFIX or set ORBITPKG_REPOSITORY."
        )
    return {
        **release_facts(result.release),
        "outcome": result.outcome.name.lower(),
        "uploaded_bytes": result.uploaded,
        "copied_bytes": result.copied,
        "repository": url,
        "install": install,
    }


def _report(console: Console, result: Published, url: str, install: str) -> None:
    from orbitpkg.publisher.publish import Outcome

    release = result.release
    label = f"{release.name} {release.version}"
    amount = f"{Totals(release.archive.files, release.archive.bytes)}; {size(result.uploaded)}"
    copied = f", {size(result.copied)} copied from earlier releases" if result.copied else ""
    if result.outcome is Outcome.WOULD:
        console.report(f"Would publish {label}", f"to {url}", f"{amount} to upload{copied}")
    elif result.outcome is Outcome.ALREADY:
        console.report(f"{label} is already published with the same content", f"in {url}", install)
    else:
        console.report(f"Published {label}", f"to {url}", f"{amount} uploaded{copied}", install)


EXPORTS = {"publish": publish}
