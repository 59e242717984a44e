"""Ions that were not detected, and ions that are exchanged at will."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import cei

from conftest import ROOT, run_command

#: C1 with C2 and H1 with H2.
OTHER = [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]


@pytest.fixture(scope="module")
def seen() -> cei.Events:
    """Acetylene as a laboratory sees it."""
    simulation = tomllib.loads(run_command("config", "--preset", "acetylene-wide").stdout)
    simulation["frame"] = {"kind": "laboratory"}
    return cei.simulate(simulation, n=2000, seed=1)


@pytest.fixture(scope="module")
def run(seen: cei.Events, tmp_path_factory: pytest.TempPathFactory) -> cei.Posterior:
    """A run whose ions may be missing and are exchanged at will."""
    atoms = [{"element": element, "charge": 1.0} for element in "CCHH"]
    config = {
        "molecule": {"atoms": atoms, "exchangeable": True},
        "preprocessing": {"gauge": {"frame": "momentum", "x_axis": "C1", "xy_plane": "C2"}},
        "detector": {"efficiency": 0.8},
        "model": {"kind": "cinn", "couplings": 2, "hidden": [16, 16]},
        "training": {"max_epochs": 2, "patience": 2},
    }
    return cei.train(config, data=seen, out=tmp_path_factory.mktemp("runs") / "alike")


def test_names_of_ions_alike_change_nothing(run: cei.Posterior, seen: cei.Events) -> None:
    x, y = seen.positions[:20], seen.momenta[:20]
    draws = run.sample(y, 5)
    np.testing.assert_array_equal(run.sample(y[:, OTHER], 5), draws)
    np.testing.assert_array_equal(run.in_file(draws, y[:, OTHER]), run.in_file(draws, y))
    here, there = run.in_frame(x, y), run.in_frame(x[:, OTHER], y[:, OTHER])
    np.testing.assert_array_equal(there, here)
    for other in (y, y[:, OTHER]):
        np.testing.assert_allclose(run.log_prob(here, other, frame="run"), run.log_prob(x, y), rtol=1e-9)
    of_draws = run.log_prob(draws, y, frame="run")
    np.testing.assert_array_equal(run.log_prob(draws, y[:, OTHER], frame="run"), of_draws)


def test_ions_that_were_not_detected_are_nan(run: cei.Posterior, seen: cei.Events) -> None:
    x, y = seen.positions[:4], seen.momenta[:4].copy()
    y[0, 6:9] = y[1, :3] = y[2, 3:9] = np.nan
    assert np.isfinite(run.sample(y, 5)).all()
    here = run.in_frame(x, y)
    np.testing.assert_allclose(run.log_prob(here, y, frame="run"), run.log_prob(x, y), rtol=1e-9)
    assert np.isfinite(run.refine(y, n=20).log_evidence).all()
    y[0, 0] = np.nan
    with pytest.raises(cei.DataError, match="all three components are empty"):
        run.sample(y, 5)


def test_the_script_that_reads_weights_names_what_does(run: cei.Posterior) -> None:
    script = ROOT / "examples/python/weights.py"
    told = subprocess.run([sys.executable, script, run.path], capture_output=True, text=True, check=False)
    assert told.returncode != 0 and "hint: `cei.load`" in told.stderr, told.stderr
