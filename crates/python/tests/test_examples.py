"""The example and the guide run as they stand."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from conftest import ROOT, in_folder

LONGEST = 25


def test_the_notebook_is_short_and_runs(tmp_path: Path) -> None:
    pytest.importorskip("arviz")
    script = ROOT / "examples" / "python" / "notebook.py"
    assert len(script.read_text().splitlines()) <= LONGEST
    told = in_folder(str(script), tmp_path)
    assert told.returncode == 0, told.stderr
    assert "k-hat" in told.stdout and (tmp_path / "posterior.png").stat().st_size > 10_000


def test_every_example_of_the_guide_runs(tmp_path: Path) -> None:
    """The Python of the page, one after another in one process."""
    pytest.importorskip("h5py"), pytest.importorskip("uproot"), pytest.importorskip("arviz")
    page = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 9
    if importlib.util.find_spec("sbi") is None:
        blocks = [block for block in blocks if "import cei.sbi" not in block]
    (tmp_path / "guide.py").write_text("import matplotlib\nmatplotlib.use('agg')\n" + "\n".join(blocks))
    told = in_folder("guide.py", tmp_path)
    assert told.returncode == 0, told.stderr


PEAK = """
import sys
import numpy as np
import cei

def peak():
    # Of this program; `ru_maxrss` is that of who has begun it, where that is more.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

run = cei.load(sys.argv[1])
y = np.tile(cei.simulate("ocs-wide", n=100, seed=3).momenta, (100, 1))
run.sample(y[:200], 100)
before = peak()
draws = run.sample(y, 100)
after = peak()
print((after - before) * 1024 / draws.nbytes)
"""


def test_draws_are_written_where_they_are_wanted(posterior: "object", tmp_path: Path) -> None:
    """10,000 x 100 draws: no copy of them, so that the peak of memory is little more than the array."""
    told = in_folder(PEAK, tmp_path, posterior.path)  # type: ignore[attr-defined]
    assert told.returncode == 0, told.stderr
    assert 0.9 < float(told.stdout) < 1.3
