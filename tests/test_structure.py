"""The house keeps its rules: imports flow one way, modules stay small, what is public is named and documented."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import importlinter.cli
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cellkinetics

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cellkinetics"
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LONGEST_MODULE = 450
NAMES_WITHOUT_A_SUBJECT = {"utils", "util", "common", "helpers", "helper", "misc", "tools"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def documented(node: ast.AST) -> bool:
    """Overloads, property setters and stubs of a protocol need no docstring of their own."""
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    exempt = any(name.endswith(("overload", ".setter")) for name in decorators)
    return exempt or bool(ast.get_docstring(node))


def public_definitions(tree: ast.Module) -> list[tuple[str, ast.AST]]:
    """Top-level functions and classes without a leading underscore, and such methods of such classes."""
    found: list[tuple[str, ast.AST]] = []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            found.append((node.name, node))
            if isinstance(node, ast.ClassDef):
                found += [
                    (f"{node.name}.{child.name}", child)
                    for child in node.body
                    if isinstance(child, kinds) and not child.name.startswith("_")
                ]
    return found


def test_imports_flow_one_way() -> None:
    assert importlinter.cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True) == 0


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_has_one_subject_of_readable_length(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert path.stem not in NAMES_WITHOUT_A_SUBJECT
    assert lines <= LONGEST_MODULE, f"{lines} lines: it probably holds two subjects"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_what_is_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module says nothing about itself"
    assert [name for name, node in public_definitions(tree) if not documented(node)] == []


@pytest.mark.parametrize("name", cellkinetics.__all__)
def test_public_name_resolves_and_is_documented(name: str) -> None:
    thing = getattr(cellkinetics, name)
    assert name in dir(cellkinetics)
    if inspect.isclass(thing) or callable(thing):
        assert inspect.getdoc(thing)


def test_no_public_name_hides_a_subpackage() -> None:
    subpackages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert subpackages.isdisjoint(cellkinetics.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        cellkinetics.no_such_name  # noqa: B018 (the access is the test)


def test_importing_the_package_loads_nothing_but_itself() -> None:
    code = "import sys; before = set(sys.modules); import cellkinetics; print(*sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in ran.stdout.split()}
    assert roots - set(sys.stdlib_module_names) == {"cellkinetics"}


def test_package_tells_type_checkers_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_lock_names_a_version_for_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    locked: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition(";")[0].strip().partition("==")
            locked.setdefault(canonicalize_name(name), []).append(version)
    for requirement in map(Requirement, wanted):
        if requirement.name == "cellkinetics":
            continue
        versions = locked.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement} is not in constraints.txt; run make lock"
        assert all(requirement.specifier.contains(version) for version in versions), str(requirement)


def test_what_tests_import_is_named_by_the_extra_test() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {canonicalize_name(Requirement(item).name) for item in extras["test"]}
    assert {"packaging", "xlsxwriter"} <= named
    assert "xlsxwriter" not in {Requirement(item).name for item in extras["excel"]}


def test_changelog_names_this_version() -> None:
    headings = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert cellkinetics.__version__ in headings


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (page.parent / target).exists()] == []
