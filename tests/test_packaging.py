"""What is built and what is locked: the wheel carries its data, the version is one, the lock files name no address."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import requires, version
from pathlib import Path

import pytest

import quoth

ROOT = Path(__file__).resolve().parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)


def pins(lock: Path) -> dict[str, str]:
    return dict(PIN.findall(lock.read_text()))


def test_version_is_the_same_everywhere() -> None:
    assert quoth.__version__ == version("quoth")


def test_readme_is_the_long_description() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert ("readme" in project) == (ROOT / "README.md").exists()


def test_wheel_carries_every_file_of_the_package(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    files = [path for path in (source / "quoth").rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert {path.relative_to(source).as_posix() for path in files if path.suffix != ".pyc"} <= names
    assert "quoth/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_sdk_needs_four_packages() -> None:
    """A fifth is a decision of its own: the SDK promises to stay small."""
    needed = {re.split(r"[^a-z0-9-]", line)[0] for line in requires("quoth") or [] if "extra ==" not in line}
    assert needed == {"httptools", "msgspec", "pydantic", "urllib3"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.stem))
def test_lock_file_holds_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    requirements = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert requirements
    assert not [entry for entry in requirements if "--hash=sha256:" not in entry or not PIN.match(entry)]
    assert not re.findall(r"^\s*-(?!-hash=sha256:).*|\S*://\S*|\S* @ \S*|(?<![\w.])/\w+/\S*", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["demo", "sdk"])
def test_smaller_lock_files_agree_with_the_one_that_is_tested(name: str) -> None:
    tested = pins(ROOT / "requirements" / "dev.txt")
    smaller = pins(ROOT / "requirements" / f"{name}.txt")
    assert smaller
    assert smaller.items() <= tested.items()


def test_locks_are_as_new_as_the_project_file() -> None:
    """Every package that pyproject.toml names is locked somewhere: someone who adds one runs `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    named = [*project["project"]["dependencies"], *(line for extra in extras.values() for line in extra)]
    named += [line for group in project["dependency-groups"].values() for line in group]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in named} - {"quoth"}
    locked: set[str] = set()
    for lock in LOCKS:
        locked |= pins(lock).keys()
    assert names <= locked
