"""Adds up what a run tallied: `figures.py FILE`."""

from __future__ import annotations

import collections
import sys
from pathlib import Path


def main() -> None:
    """Print each figure's sum."""
    sums: collections.Counter[str] = collections.Counter()
    for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
        count, _, what = line.partition("\t")
        sums[what] += int(count)
    for what, total in sorted(sums.items()):
        sys.stdout.write(f"{total:>9,}  {what}\n")


if __name__ == "__main__":
    main()
