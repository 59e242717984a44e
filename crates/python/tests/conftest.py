"""What the tests share: a small trained run, and the command that the wheel has installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import cei

#: A flow that is trained in seconds.
SMALL = {
    "model": {"couplings": 3, "hidden": [32, 32], "bins": 6},
    "training": {"max_epochs": 4, "patience": 4, "batch_size": 256},
}
ROOT = Path(__file__).parents[3]


def run_command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the installed command `cei`."""
    command = Path(sysconfig.get_path("scripts")) / "cei"
    words = [str(command), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, check=False)


def in_folder(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code, or a file, in a folder."""
    call = [sys.executable, script] if script.endswith(".py") else [sys.executable, "-c", script]
    return subprocess.run([*call, *arguments], capture_output=True, text=True, cwd=folder, check=False)


@pytest.fixture(scope="session")
def events() -> cei.Events:
    """Events to train on."""
    return cei.simulate("ocs-wide", n=3000, seed=1)


@pytest.fixture(scope="session")
def measured() -> cei.Events:
    """Events that no run has seen."""
    return cei.simulate("ocs-wide", n=40, seed=2)


@pytest.fixture(scope="session")
def posterior(events: cei.Events, tmp_path_factory: pytest.TempPathFactory) -> cei.Posterior:
    """A spline flow of few epochs."""
    folder = tmp_path_factory.mktemp("runs") / "spline"
    return cei.train("wide-spline", data=events, out=folder, changes=SMALL)
