"""The files in deploy/, checked as far as this goes without a container engine and without being root."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


# --- Dockerfile -----------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its words, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, re.sub(r"\s+", " ", words)) for name, _, words in (line.partition(" ") for line in lines)]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for instruction in instructions():
        if instruction[0] == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def test_the_last_stage_builds_nothing_and_runs_as_nobody() -> None:
    *_, last = stages()
    names = [name for name, _ in last]
    runs = [words for name, words in last if name == "RUN"]
    assert len(runs) == 1
    assert "pip uninstall" in runs[0], "pip itself is taken out"
    assert [words for name, words in last if name == "COPY"] == ["--from=build /opt/quoth /opt/quoth"]
    user = next(words for name, words in last if name == "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number, so that an orchestrator can see that it is not root"
    assert names.index("USER") > names.index("RUN")
    assert {"HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT"} <= set(names)


def test_what_is_installed_is_locked() -> None:
    installs = [
        part
        for name, words in instructions()
        if name == "RUN"
        for part in words.split("&&")
        if re.search(r"\bpip\b.*\binstall\b", part) and "uninstall" not in part
    ]
    assert len(installs) == 3
    for install in installs:
        lock = re.search(r"--require-hashes --requirement (\S+)", install)
        assert (lock and (ROOT / lock[1]).is_file()) or "--no-deps --no-index /wheels/*.whl" in install


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {
        line[1:].strip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = [
        source
        for name, words in instructions()
        if name == "COPY" and "--from" not in words
        for source in words.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        assert source.split("/")[0] in allowed


def test_the_gateways_lock_agrees_with_the_one_that_is_tested() -> None:
    pin = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)
    tested = dict(pin.findall((ROOT / "requirements/dev.txt").read_text()))
    locked = dict(pin.findall((ROOT / "requirements/gateway.txt").read_text()))
    assert {"granian", "uvloop", "pyyaml"} <= locked.keys()
    assert not {"pip", "hatchling", "editables", "pytest"} & locked.keys()
    assert locked.items() <= tested.items()


def test_modules_and_variables_that_the_image_names_exist() -> None:
    text = " ".join(words for _, words in instructions())
    for module in re.findall(r"-m (quoth[\w.]+)", text):
        done = subprocess.run([sys.executable, "-c", f"import {module}"], check=False)
        assert done.returncode == 0
    page = subprocess.run(
        [sys.executable, "-m", "quoth.cli", "serve", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for variable in ("HOST", "PORT"):
        assert f"{variable}=" in text
        assert re.search(rf"env\s+var: {variable}\b", page)


# --- Compose --------------------------------------------------------------------------------------------------------


def test_compose() -> None:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    (service,) = document["services"].values()
    assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"] in (DEPLOY / "Dockerfile").read_text()
    assert int(service["stop_grace_period"].removesuffix("s")) > 2 + 30 + 5
    assert set(service["secrets"]) == set(document["secrets"])
    for name, path in service["environment"].items():
        assert name.endswith("_FILE")
        assert Path(path).name in service["secrets"], "no secret is in the file"
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


# --- systemd --------------------------------------------------------------------------------------------------------

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine."""
    program = Path(sys.executable).with_name("quoth")
    text = (DEPLOY / "quoth.service").read_text()
    assert "ExecStart=/opt/quoth/bin/quoth serve --config /etc/quoth/config.yaml\n" in text
    file = tmp_path / "quoth.service"
    file.write_text(text.replace("/opt/quoth/bin/quoth", str(program)))
    return file


@needs_systemd
def test_systemd_finds_nothing_wrong(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_finds_little_exposed(unit: Path) -> None:
    """2.0 of 10; what is left is that it speaks to networks."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_unit_leaves_time_to_drain_and_files_to_open() -> None:
    text = (DEPLOY / "quoth.service").read_text()
    assert int(re.findall(r"^TimeoutStopSec=(\d+)s$", text, re.MULTILINE)[0]) > 2 + 30 + 5
    assert int(re.findall(r"^LimitNOFILE=(\d+)$", text, re.MULTILINE)[0]) > 2 * 4096
    assert "KillMode=mixed" in text
    assert "Type=notify" in text
