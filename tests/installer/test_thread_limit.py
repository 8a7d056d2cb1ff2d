"""Installing and publishing for a user who has reached the limit of threads (RLIMIT_NPROC)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).parents[2]

# Everything is imported and run once before the limit is set: the other user may not be able to read the interpreter's
# own files. Root is exempt from the limit, so the program becomes another user.
PROGRAM = """
import json, os, resource, sys, threading
from pathlib import Path

root = Path(sys.argv[1])
os.environ.update(ORBITPKG_CONFIG=str(root / "none.toml"), ORBITPKG_REPOSITORY=(root / "models").as_uri())
os.environ["ORBITPKG_HOME"] = str(root / "first")
for name, needs in (("top", {"left": "", "right": ""}), ("left", {}), ("right", {})):
    folder = root / name
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.bin").write_bytes(os.urandom(2_000_000) + bytes(1_000_000))
    (folder / "small.txt").write_text(name)
    document = {"name": name, "version": "1.0.0", "include": ["*"], "dependencies": needs}
    (folder / "package.json").write_text(json.dumps(document))

import orbitpkg
from orbitpkg.cli import main

def run(*words):
    code = main(list(words))
    assert code == 0, (words, code)

for name in ("left", "right", "top"):
    run("publish", "--quiet", str(root / name))
run("install", "--quiet", "top")
run("verify", "--quiet")

if os.getuid() == 0:
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
else:
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
try:
    threading.Thread(target=int).start()
except RuntimeError:
    pass
else:
    raise AssertionError("The limit on threads has no effect.")

os.environ["ORBITPKG_HOME"] = str(root / "second")
os.environ["ORBITPKG_REPOSITORY"] = (root / "others").as_uri()
for name in ("left", "right", "top"):
    run("publish", "--quiet", str(root / name))
run("install", "--quiet", "top")
run("verify", "--quiet")
for name in ("top", "left", "right"):
    package = orbitpkg.package(name)
    for path in package.files():
        assert package.file_path(path).read_bytes() == (root / name / path).read_bytes(), path
assert threading.active_count() == 1
sys.stdout.write("whole")
"""


def test_a_package_and_its_dependencies_are_published_and_installed_without_threads() -> None:
    # Not below pytest's own folder, which other users may not enter.
    root = Path(tempfile.mkdtemp())
    try:
        root.chmod(0o777)
        command = [sys.executable, "-c", PROGRAM, str(root)]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("whole")
