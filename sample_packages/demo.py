"""Publish a model on one machine and use it in an app on another; run by ``make demo``.

Two empty ``ORBITPKG_HOME`` directories stand for two machines. The first builds the sample packages and publishes them
to its default repository. The second installs ``digits`` from there. Then the first machine is removed, and the app
runs. The demo shows each command as a user would type it in the root of the source tree. It deletes its files at the
end. If a step fails, it prints a message and exits with code 1. It requires orbitpkg and numpy, but no network.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ("digits-images", "digits", "tokenizer-1.0.0", "tokenizer-1.1.0")
APP = "sample_packages/apps/classify.py"


class DemoError(Exception):
    """A step of the demo failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A simulated computer with its own home directory and ``ORBITPKG_HOME``."""

    folder: Path

    @property
    def home(self) -> Path:
        """Its ``ORBITPKG_HOME``."""
        return self.folder / "orbitpkg"

    def environment(self) -> dict[str, str]:
        """Return this process's environment without the user's orbitpkg settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ORBITPKG_")}
        kept.update(HOME=str(self.folder), XDG_CONFIG_HOME=str(self.folder), ORBITPKG_HOME=str(self.home))
        return kept

    def switch_on(self, what: str) -> None:
        """Create the directory and announce what the machine does."""
        self.folder.mkdir()
        say(f"\n# {what}\n$ export ORBITPKG_HOME={shlex.quote(str(self.home))}")

    def orbitpkg(self, *arguments: str) -> str:
        """Run an ``orbitpkg`` command and return its output."""
        return self.run(shlex.join(["orbitpkg", *arguments]), [sys.executable, "-m", "orbitpkg", *arguments])

    def python(self, script: str) -> str:
        """Run a Python script and return its output."""
        return self.run(shlex.join(["python", script]), [sys.executable, script])

    def run(self, shown: str, command: list[str]) -> str:
        """Show a command, run it, and show and return its output.

        Raises:
            DemoError: The exit code is not 0.
        """
        say(f"$ {shown}")
        done = subprocess.run(  # noqa: S603 - the demo's own commands
            command, cwd=ROOT, env=self.environment(), stdout=subprocess.PIPE, encoding="utf-8", check=False
        )
        if done.stdout:
            say(done.stdout.rstrip("\n"))
        if done.returncode:
            raise DemoError(f"`{shown}` ended with exit code {done.returncode}; the message above says why")
        return done.stdout


def say(text: str) -> None:
    """Print and flush, because the commands write to the same terminal."""
    print(text, flush=True)


def require(condition: object, message: str) -> None:
    """Stop the demo with the message unless the condition holds."""
    if not condition:
        raise DemoError(message)


def publish_samples(machine: Machine, archives: Path) -> str:
    """Build and publish all sample packages; return the URL of the repository."""
    for sample in SAMPLES:
        printed = machine.orbitpkg("build", f"sample_packages/{sample}", "-o", str(archives)).strip()
        require(Path(printed).is_file(), f"`orbitpkg build` printed {printed!r}, which is not a file")
    first, *others = SAMPLES
    machine.orbitpkg("publish", f"sample_packages/{first}")
    for sample in others:
        machine.orbitpkg("publish", "--quiet", f"sample_packages/{sample}")
    repository = machine.home / "repository"
    release = repository / "releases" / "digits" / "1.0.0.json"
    require(release.is_file(), f"the release is not in the default repository: there is no {release}")
    return repository.as_uri()


def install_digits(machine: Machine, repository: str) -> None:
    """Install the model and check that it and its dependency are listed."""
    machine.orbitpkg("install", "digits", "--repository", repository)
    listed = machine.orbitpkg("list")
    for name in ("digits", "digits-images"):
        require(re.search(rf"^{name}\s", listed, re.MULTILINE), f"`orbitpkg list` does not show {name}")


def check_prediction(printed: str) -> None:
    """Compare the accuracy that the app printed with the one in the model's manifest."""
    manifest = json.loads((ROOT / "sample_packages" / "digits" / "package.json").read_text(encoding="utf-8"))
    promised = manifest["metadata"]["metrics"]["accuracy"]
    found = re.search(r"^accuracy: (\d\.\d+)", printed, re.MULTILINE)
    if found is None:
        raise DemoError(f"{APP} printed no line with its accuracy")
    require(float(found[1]) == promised, f"the accuracy is {found[1]}, but the manifest promises {promised}")


def run(folder: Path) -> None:
    """Run the demo in an empty directory."""
    first = Machine(folder=folder / "a")
    first.switch_on("Machine A builds the sample packages and publishes them")
    repository = publish_samples(first, folder / "archives")

    second = Machine(folder=folder / "b")
    second.switch_on("Machine B installs the model")
    install_digits(second, repository)

    say(f"\n# Machine A is removed; machine B runs an app\n$ mv {first.folder} {folder / 'gone'}")
    first.folder.rename(folder / "gone")
    check_prediction(second.python(APP))


def main() -> int:
    """Run the demo in a temporary directory and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="orbitpkg-") as folder:
        try:
            run(Path(folder).resolve())
        except DemoError as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
    say("\nMachine B installed the model from machine A and uses it without machine A.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
