"""How large an installation is: the SDK's lock file and the package in an environment made for the purpose."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["installed", "sdk"]

ROOT = Path(__file__).parent.parent
# What an environment has before anything is installed into it, and what only the benchmarks want there.
NOT_COUNTED = ("pip", "setuptools", "wheel", "_distutils_hack", "distutils-precedence", "psutil")

_COUNT = """
import json, os, sys, sysconfig
with_pyc = without = 0
root = sysconfig.get_path("purelib")
for folder, _, files in os.walk(root):
    top = os.path.relpath(folder, root).split(os.sep)[0]
    for name in files:
        first = name if top == "." else top
        if first.split(".")[0].split("-")[0] in sys.argv[1:]:
            continue
        size = os.lstat(os.path.join(folder, name)).st_size
        with_pyc += size
        without += 0 if name.endswith(".pyc") else size
print(json.dumps({"with_pyc_mb": with_pyc / 1e6, "without_pyc_mb": without / 1e6}))
"""


def installed(python: str) -> dict[str, float]:
    """MB (10^6 bytes) of an environment's site-packages, with and without the compiled *.pyc files."""
    done = subprocess.run([python, "-c", _COUNT, *NOT_COUNTED], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def sdk() -> dict[str, float]:
    """The size of `pip install quoth`. Raises subprocess.CalledProcessError when it cannot be installed."""
    with tempfile.TemporaryDirectory(prefix="quoth-size-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        python = str(Path(folder, "bin", "python"))
        pip = [python, "-m", "pip", "install", "--quiet", "--compile", "--disable-pip-version-check", "--no-input"]
        lock = ["--require-hashes", "-r", str(ROOT / "requirements" / "sdk.txt")]
        subprocess.run([*pip, *lock], check=True, capture_output=True, text=True)
        # A wheel, built with the backend that this environment already has, so that nothing unlocked is fetched.
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
        wheel = next(map(str, Path(folder).glob("quoth-*.whl")))
        subprocess.run([*pip, "--no-deps", wheel], check=True, capture_output=True)
        return installed(python)
