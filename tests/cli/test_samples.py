"""The sample packages: their data can be made again, their apps run on an installed store, and the demo works."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

SAMPLES = Path(__file__).resolve().parents[2] / "sample_packages"
FOLDERS = ("digits-images", "digits", "tokenizer-1.0.0", "tokenizer-1.1.0")
LIMIT_BYTES = 1_500_000
ROUNDING = 1 / 4096


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def manifest(folder: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((SAMPLES / folder / "package.json").read_bytes())
    return parsed


def load_script(name: str) -> ModuleType:
    """Load a script of the samples as a module."""
    spec = importlib.util.spec_from_file_location(f"sample_{Path(name).stem}", SAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs(module: str) -> None:
    """Skip without the module; where the whole suite must run (CI), fail."""
    if os.environ.get("CI"):
        importlib.import_module(module)
    else:
        pytest.importorskip(module, reason=f"{module} is missing: uv sync --group samples")


def run_python(*arguments: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)


def output_of(*arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    done = run_python(*arguments, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def machine(folder: Path) -> dict[str, str]:
    """Return the environment of a machine without any use of orbitpkg."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORBITPKG_")}
    return kept | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "ORBITPKG_HOME": str(folder / "orbitpkg")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine that installed every sample from the repository of another, now gone."""
    root = tmp_path_factory.mktemp("samples")
    publisher, reader = machine(root / "a"), machine(root / "b")
    repository = (root / "a" / "orbitpkg" / "repository").as_uri()
    for folder in FOLDERS:
        output_of("-m", "orbitpkg", "publish", SAMPLES / folder, environment=publisher)
    for requirement in ("digits", "tokenizer==1.0.0", "tokenizer"):
        output_of("-m", "orbitpkg", "install", requirement, "--repository", repository, environment=reader)
    shutil.rmtree(root / "a")
    return reader


def test_all_samples_together_stay_small() -> None:
    sizes = (path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert sum(sizes) < LIMIT_BYTES


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_sample_is_valid(folder: str, tmp_path: Path) -> None:
    output_of("-m", "orbitpkg", "validate", SAMPLES / folder, environment=machine(tmp_path))


def test_the_images_script_reproduces_the_images_byte_for_byte(tmp_path: Path) -> None:
    needs("sklearn")
    output_of(SAMPLES / "digits-images" / "make_images.py", tmp_path)
    made = files_below(tmp_path)
    assert len(made) == 361
    assert {name for name in files_below(SAMPLES / "digits-images") if name.startswith(("images/", "labels"))} == made
    for name in made:
        assert (tmp_path / name).read_bytes() == (SAMPLES / "digits-images" / name).read_bytes(), name


@pytest.mark.parametrize("folder", ["tokenizer-1.0.0", "tokenizer-1.1.0"])
def test_the_tokenizer_script_reproduces_its_vocabulary_byte_for_byte(folder: str, tmp_path: Path) -> None:
    output_of(SAMPLES / folder / "train.py", tmp_path)
    assert files_below(tmp_path) == {"tokenizer.json", "vocabulary.txt"}
    for name in files_below(tmp_path):
        assert (tmp_path / name).read_bytes() == (SAMPLES / folder / name).read_bytes()


def test_the_training_script_reproduces_the_classifier(tmp_path: Path) -> None:
    """Up to one rounding step in a weight: sums differ in their last bits between linear algebra libraries."""
    for module in ("sklearn", "safetensors"):
        needs(module)
    output_of(SAMPLES / "digits" / "train.py", tmp_path)
    read = load_script("apps/classify.py").read_safetensors
    made = read(tmp_path / "model" / "weights.safetensors")
    kept = read(SAMPLES / "digits" / "model" / "weights.safetensors")
    assert made.keys() == kept.keys()
    for name, weights in kept.items():
        np.testing.assert_allclose(made[name], weights, rtol=0, atol=ROUNDING, err_msg=name)
    assert (tmp_path / "metrics.json").read_bytes() == (SAMPLES / "digits" / "metrics.json").read_bytes()


def test_the_pickle_holds_the_same_arrays_as_the_safetensors_file() -> None:
    model = SAMPLES / "digits" / "model"
    pickled = pickle.loads((model / "weights.pkl").read_bytes())  # noqa: S301 - made by this repository's own script
    tensors = load_script("apps/classify.py").read_safetensors(model / "weights.safetensors")
    assert pickled.keys() == tensors.keys()
    for name, values in tensors.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(pickled[name], values)


def test_the_apps_reader_agrees_with_the_safetensors_library() -> None:
    needs("safetensors")
    path = SAMPLES / "digits" / "model" / "weights.safetensors"
    tensors = load_script("apps/classify.py").read_safetensors(path)
    expected = importlib.import_module("safetensors.numpy").load_file(path)
    assert tensors.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(tensors[name], values)


def test_the_new_tokenizer_keeps_the_numbers_of_the_old_ones_tokens() -> None:
    old, new = (
        json.loads((SAMPLES / f"tokenizer-{version}" / "tokenizer.json").read_bytes())["merges"]
        for version in ("1.0.0", "1.1.0")
    )
    assert (256 + len(old), 256 + len(new)) == (512, 1024)
    assert new[: len(old)] == old


@pytest.mark.parametrize("folder", ["tokenizer-1.0.0", "tokenizer-1.1.0"])
@pytest.mark.parametrize(
    "text", ["", "Read 1797 digits.", "snake_case  \n\ttabs", "Über naïve café, 数字 ²½ \U0001f600"]
)
def test_any_text_comes_back_from_its_tokens(folder: str, text: str) -> None:
    package = SAMPLES / folder
    tokenizer = load_script("apps/tokens.py").Tokenizer(**json.loads((package / "tokenizer.json").read_bytes()))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_new_tokenizer_cuts_every_number_into_its_digits() -> None:
    package = SAMPLES / "tokenizer-1.1.0"
    tokenizer = load_script("apps/tokens.py").Tokenizer(**json.loads((package / "tokenizer.json").read_bytes()))
    assert [tokenizer.decode([token]) for token in tokenizer.encode("1998 2000")] == list("1998 2000")


def test_the_classifier_app_prints_digits_and_the_accuracy_its_manifest_promises(installed: dict[str, str]) -> None:
    lines = output_of(SAMPLES / "apps" / "classify.py", environment=installed).splitlines()
    promised = manifest("digits")["metadata"]["metrics"]["accuracy"]
    assert promised == json.loads((SAMPLES / "digits" / "metrics.json").read_bytes())["accuracy"]
    assert promised > 0.9
    assert lines[-3:] == [
        "predicted: 2 3 4 5",
        "labelled:  2 3 4 5",
        f"accuracy: {promised} (338 of 360, digits 1.0.0)",
    ]
    assert max(map(len, lines[:-1])) <= 40


def test_the_tokenizer_app_uses_the_newest_installed_version(installed: dict[str, str]) -> None:
    printed = output_of(SAMPLES / "apps" / "tokens.py", "trained in 1998", environment=installed)
    assert printed == "train|ed| in| |1|9|9|8\n8 tokens of 1024, tokenizer 1.1.0\n"


def test_the_tokenizer_app_can_use_the_old_version_beside_the_new_one(installed: dict[str, str]) -> None:
    arguments = ("trained in 1998", "--package", "tokenizer==1.0.0")
    printed = output_of(SAMPLES / "apps" / "tokens.py", *arguments, environment=installed)
    assert printed == "train|ed| in| 1|99|8\n6 tokens of 512, tokenizer 1.0.0\n"


def test_both_forms_of_include_bring_the_images_and_their_table(installed: dict[str, str]) -> None:
    script = "import orbitpkg; print(*orbitpkg.package('digits-images').files(), sep='\\n')"
    names = output_of("-c", script, environment=installed).splitlines()
    assert len([name for name in names if re.fullmatch(r"images/\d/\d{4}\.pgm", name)]) == 360
    rest = [name for name in names if not name.startswith("images/")]
    assert rest == ["LICENSE-scikit-learn.txt", "README.md", "labels.csv", "package.json"]


def demo_machine(folder: Path) -> dict[str, str]:
    """Return the environment of a machine with a narrow screen and a separate temporary directory."""
    (folder / "tmp").mkdir(parents=True)
    return machine(folder) | {"COLUMNS": "40", "TMPDIR": str(folder / "tmp")}


def test_the_demo_ends_in_the_apps_accuracy_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run_python(SAMPLES / "demo.py", environment=demo_machine(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n$ orbitpkg publish --quiet sample_packages/digits\n" in done.stdout
    assert "\npredicted: 2 3 4 5\n" in done.stdout
    assert "\naccuracy: 0.9389 (338 of 360, digits 1.0.0)\n" in done.stdout
    assert files_below(tmp_path) == set()


def test_the_demo_fails_when_the_model_is_not_what_its_manifest_promises(tmp_path: Path) -> None:
    samples = tmp_path / "sample_packages"
    shutil.copytree(SAMPLES, samples)
    text = (samples / "digits" / "package.json").read_text(encoding="utf-8")
    (samples / "digits" / "package.json").write_text(text.replace("0.9389", "0.9999"), encoding="utf-8")
    done = run_python(samples / "demo.py", environment=demo_machine(tmp_path / "home"))
    assert done.returncode == 1
    assert done.stderr.endswith("demo: the accuracy is 0.9389, but the manifest promises 0.9999\n")


def test_the_demo_names_the_command_that_failed(tmp_path: Path) -> None:
    samples = tmp_path / "sample_packages"
    shutil.copytree(SAMPLES, samples)
    (samples / "digits" / "metrics.json").unlink()
    done = run_python(samples / "demo.py", environment=demo_machine(tmp_path / "home"))
    assert done.returncode == 1
    assert re.search(r"demo: `orbitpkg build sample_packages/digits -o \S+` ended with exit code 1;", done.stderr)
    assert files_below(tmp_path / "home") == set()
