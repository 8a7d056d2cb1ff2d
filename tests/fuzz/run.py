"""Fuzz one target, guided by coverage: `run.py TARGET SECONDS`. What breaks it is left in the target's corpus.

Atheris (libFuzzer) mutates the corpus. New inputs go to a separate directory outside of the source tree.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["orbitpkg"]):
    from tests.fuzz.targets import CORPORA, attempt


def main() -> None:
    target, seconds = sys.argv[1], sys.argv[2]
    found = Path(tempfile.gettempdir(), "orbitpkg-fuzz", target)
    found.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=65536",
        "-timeout=5",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        "-verbosity=0",
        f"-artifact_prefix={CORPORA / target}/broke-",
    ]
    atheris.Setup(
        [sys.argv[0], *options, str(found), str(CORPORA / target)], lambda data: attempt(target, data) and None
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
