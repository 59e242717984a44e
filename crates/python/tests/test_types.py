"""What the type hints say is what there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")


def test_stubs_agree_with_the_package(tmp_path: Path) -> None:
    """Names, arguments and defaults, by mypy's own test."""
    call = [sys.executable, "-m", "mypy.stubtest", "cei", "--ignore-disjoint-bases"]
    told = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
