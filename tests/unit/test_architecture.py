"""The architecture: which package may import which, where slow libraries may be used, what no module may do."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "orbitpkg"

# From the bottom up. A module may import from its own layer and from lower layers. No imports form a circle, neither
# between packages nor between modules; imports for type checkers and imports inside functions count.
LAYERS: dict[str, set[str]] = {
    "ground": {"errors", "escaping", "_version", "extras", "lazy", "plugins", "redaction", "reporting"},
    "values": {"model"},
    "machine": {"concurrency", "files"},
    "algorithms": {"archive", "resolver"},
    "storage": {"objects", "store"},
    "repositories": {"repository"},
    "work": {"config", "installer", "publisher"},
    "use cases": {"api"},
    "interfaces": {"assemblies", "datasets", "filesystem", "remote"},
    "compatibility": {"compat"},
    "command line": {"cli"},
}
LAYER_OF = {package: number for number, layer in enumerate(LAYERS.values()) for package in layer}
# `import orbitpkg` and `python -m orbitpkg`: they may import any package, and no package imports them.
ENTRY_POINTS = {"__init__", "__main__"}

# Libraries that are slow to import, or that serve one purpose: each is imported by these packages only.
HOMES = {
    "boto3": {"objects"},
    "botocore": {"objects"},
    "click": {"cli"},
    "duckdb": {"datasets"},
    "fsspec": {"filesystem"},
    "h5netcdf": {"assemblies"},
    "jsonschema": {"model"},
    "matplotlib": {"datasets"},
    "obstore": {"objects"},
    "pyfastcdc": {"archive"},
    "tomlkit": {"config"},
    "tqdm": {"cli", "compat"},
    "xarray": {"assemblies"},
}
# The packages that an app imports to find an installed file, and libraries it must not wait for.
APP_PATH = {"__init__", "_version", "api", "errors", "model", "store"}
SLOW = {*HOMES, "packaging", "semantic_version"}
# Modules of the standard library that reach a disk, a network, a clock or the environment.
IMPURE = {"glob", "http", "os", "random", "shutil", "socket", "subprocess", "tempfile", "threading", "time", "urllib"}
# Where JSON is read and written otherwise than through model/jsontext.py, and why.
# The resolver is a function of what its source answers.
PURE = {"model": IMPURE, "resolver": {*IMPURE, "datetime", "pathlib", "platform", "importlib"}}
JSON_HOMES = {
    "orbitpkg/model/jsontext.py": "the one home",
    "orbitpkg/api/unchanged.py": "runs before an app's first line, and reads a record that was checked when installed",
    "orbitpkg/store/package.py": "runs before an app's first line, and reads a record that was checked when installed",
    "orbitpkg/store/presence.py": "runs before click is loaded, and reads what the store derived itself",
    "orbitpkg/datasets/extraction/jsonable.py": "metadata of others may hold NaN, which is a warning and no error",
    "orbitpkg/compat/sputnik/__main__.py": "prints what Sputnik prints",
    "orbitpkg/compat/sputnik/api/packages.py": "reads and writes what Sputnik reads and writes",
}
# Where the system's errors about local files are translated otherwise than by files/errors.py, and why.
STORAGE_ERROR_HOMES = {
    "orbitpkg/objects/directory.py": "a directory is an object store: a missing file is a missing object",
    "orbitpkg/store/package.py": "runs before an app's first line",
    "orbitpkg/store/project.py": "runs before an app's first line",
    "orbitpkg/cli/console.py": "standard output is not a file with a name",
}
STORAGE_ERRORS = {"NoSpace", "ReadOnlyStore", "StorageError"}
VAGUE = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}


@dataclass(frozen=True)
class Module:
    """A source file of orbitpkg or of its tests."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(TOP))

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.path.read_bytes(), filename=str(self.path))

    @property
    def name(self) -> str:
        """Its dotted name."""
        parts = self.path.relative_to(TOP).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """The package or module directly below orbitpkg that it belongs to."""
        return self.path.relative_to(PACKAGE).parts[0].removesuffix(".py")

    @cached_property
    def imports(self) -> set[str]:
        """The dotted names of everything it imports, inside functions and for type checking too."""
        return {name for node in ast.walk(self.tree) for name in self._imported_by(node)}

    @cached_property
    def imports_at_start(self) -> set[str]:
        """The dotted names of what it imports when it is imported itself."""
        return {name for node in _run_at_start(self.tree) for name in self._imported_by(node)}

    @property
    def public_definitions(self) -> set[str]:
        """The functions and classes without a leading underscore."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return {node.name for node in self.tree.body if isinstance(node, kinds) and not node.name.startswith("_")}

    @property
    def declared_public(self) -> set[str] | None:
        """The names in `__all__`, or None without one."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                return set(ast.literal_eval(node.value))
        return None

    def calls(self, *names: str) -> list[int]:
        """Return the lines where a function of one of these names is called."""
        calls = (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))
        return [call.lineno for call in calls if ast.unparse(call.func) in names]

    def uses(self, *names: str) -> list[int]:
        """Return the lines where one of these dotted names is read."""
        attributes = (node for node in ast.walk(self.tree) if isinstance(node, ast.Attribute))
        return [attribute.lineno for attribute in attributes if ast.unparse(attribute) in names]

    @property
    def renames(self) -> list[int]:
        """The lines where a file gets a name that it did not have: of os, shutil and pathlib."""
        lines = self.calls("os.link", "os.rename", "os.renames", "os.replace", "shutil.move")
        for call in (node for node in ast.walk(self.tree) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            # str.replace takes two arguments, and datetime.replace only keywords.
            if name in {"hardlink_to", "rename"} or (name == "replace" and len(call.args) == 1 and not call.keywords):
                lines.append(call.lineno)
        return lines

    @property
    def storage_errors_by_hand(self) -> list[int]:
        """The lines where an OSError is caught and raised as one of orbitpkg's."""
        handlers = (node for node in ast.walk(self.tree) if isinstance(node, ast.ExceptHandler) and node.type)
        caught = [handler for handler in handlers if handler.type and "OSError" in ast.unparse(handler.type)]
        raised = (node for handler in caught for node in ast.walk(handler) if isinstance(node, ast.Raise) and node.exc)
        calls = (node.exc for node in raised if isinstance(node.exc, ast.Call))
        return [call.lineno for call in calls if ast.unparse(call.func) in STORAGE_ERRORS]

    def _imported_by(self, node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if not isinstance(node, ast.ImportFrom):
            return []
        assert node.level == 0, f"{self}:{node.lineno}: imports are absolute here"
        # `from orbitpkg import errors` is about orbitpkg.errors.
        if node.module == "orbitpkg":
            return [f"orbitpkg.{alias.name}" for alias in node.names]
        assert node.module is not None
        return [node.module]


def _run_at_start(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _run_at_start(child)


def packages_imported(module: Module) -> set[str]:
    """Return the packages of orbitpkg that a module imports, except its own."""
    ours = (name.split(".") for name in module.imports if name.split(".")[0] == "orbitpkg")
    packages = {parts[1] if len(parts) > 1 else "__init__" for parts in ours}
    return packages - {module.package}


def modules_imported(module: Module) -> set[str]:
    """Return the modules of orbitpkg that a module imports. Importing a package is importing its `__init__`."""
    names = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            # An import from a package takes one of its modules, or else a name of its `__init__`.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (inner & MODULE_NAMES) or {node.module}
    return (names & MODULE_NAMES) - {module.name}


def libraries(imports: set[str]) -> set[str]:
    """Return the top-level packages of imported names."""
    return {name.split(".")[0] for name in imports}


def under(folder: Path) -> list[Module]:
    """Return the modules below a folder."""
    return [Module(path) for path in sorted(folder.rglob("*.py"))]


SOURCE = under(PACKAGE)
TESTS = under(TOP / "tests")
MODULE_NAMES = {module.name for module in SOURCE}
LAYERED = [module for module in SOURCE if module.package not in ENTRY_POINTS]
every_module = pytest.mark.parametrize("module", SOURCE, ids=str)
every_layered_module = pytest.mark.parametrize("module", LAYERED, ids=str)
every_test = pytest.mark.parametrize("module", TESTS, ids=str)


@every_layered_module
def test_imports_run_downwards(module: Module) -> None:
    assert module.package in LAYER_OF, f"add {module.package} to LAYERS"
    # The entry points are not in any layer, so importing them counts as an upward import.
    upwards = {each for each in packages_imported(module) if LAYER_OF.get(each, len(LAYERS)) > LAYER_OF[module.package]}
    assert upwards == set()


def test_packages_import_one_another_in_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module in LAYERED:
        graph.setdefault(module.package, set()).update(packages_imported(module))
    assert set(graphlib.TopologicalSorter(graph).static_order()) <= set(LAYER_OF)


def test_modules_import_one_another_in_no_circle() -> None:
    graph = {module.name: modules_imported(module) for module in LAYERED}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(graph)


@every_module
def test_libraries_of_one_purpose_are_imported_by_their_packages_only(module: Module) -> None:
    others = {name for name in libraries(module.imports) & set(HOMES) if module.package not in HOMES[name]}
    assert others == set()


@pytest.mark.parametrize("module", [module for module in SOURCE if module.package in APP_PATH], ids=str)
def test_an_app_that_finds_a_file_waits_for_no_slow_library(module: Module) -> None:
    assert libraries(module.imports_at_start) & SLOW == set()


def test_importing_orbitpkg_loads_no_slow_library() -> None:
    program = "import sys, orbitpkg; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=TOP, check=True, capture_output=True, text=True)
    assert libraries(set(done.stdout.split())) & SLOW == set()


@pytest.mark.parametrize("module", [module for module in SOURCE if module.package in PURE], ids=str)
def test_the_model_and_the_resolver_use_no_disk_network_clock_or_environment(module: Module) -> None:
    assert libraries(module.imports) & PURE[module.package] == set()
    # Escaping is pure: it reads tables of characters.
    assert packages_imported(module) <= {"errors", "escaping", "model"}


@every_module
def test_only_the_pool_starts_threads_for_work(module: Module) -> None:
    if module.package != "concurrency":
        assert not {name for name in module.imports if name.startswith(("concurrent", "multiprocessing"))}


@every_module
def test_only_one_module_reads_and_writes_json(module: Module) -> None:
    assert ("json" in module.imports) == (str(module) in JSON_HOMES)


@every_module
def test_only_the_package_of_local_files_renames_and_links(module: Module) -> None:
    if module.package != "files":
        assert module.renames == []


@every_module
def test_errors_of_local_files_are_translated_in_one_place(module: Module) -> None:
    if module.package != "files" and str(module) not in STORAGE_ERROR_HOMES:
        assert module.storage_errors_by_hand == []
        assert module.uses("errno.ENOSPC", "errno.EDQUOT", "errno.EACCES", "errno.EROFS") == []


@every_module
def test_public_names_are_declared(module: Module) -> None:
    assert module.public_definitions <= (module.declared_public or set())


@every_module
def test_library_code_prints_nothing(module: Module) -> None:
    if module.package == "cli" or module.path.stem == "__main__":
        return
    assert module.calls("print") + module.uses("sys.stdout", "sys.stderr") == []


@every_module
def test_a_module_has_a_telling_name_and_a_docstring(module: Module) -> None:
    assert module.path.stem not in VAGUE
    assert ast.get_docstring(module.tree) or module.path.stat().st_size == 0


@every_test
def test_tests_neither_sleep_nor_mock(module: Module) -> None:
    assert module.calls("time.sleep", "sleep") == []
    assert not {name for name in module.imports if name.startswith(("unittest", "mock"))}


def test_assertions_have_no_effect_that_python_needs() -> None:
    """Under ``python -O`` they are not run: they may compare and test types, but read, call or assign nothing."""
    allowed = (ast.Name, ast.Attribute, ast.Constant, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Load)
    tests = (ast.cmpop, ast.boolop, ast.unaryop, ast.operator)
    for path in sorted((TOP / "orbitpkg").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Assert):
                continue
            for part in ast.walk(node.test):
                is_type_test = isinstance(part, ast.Call) and ast.unparse(part.func) == "isinstance"
                assert isinstance(part, (*allowed, *tests)) or is_type_test, f"{path}:{node.lineno}"
            for part in ast.walk(node.test):
                # A property may do anything, so only what is compared with None is read through a dot.
                if isinstance(part, ast.Attribute):
                    assert isinstance(node.test, ast.Compare) or "isinstance" in ast.unparse(node.test), node.lineno
