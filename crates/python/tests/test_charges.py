"""Charge states that differ between events, and ions that move at the start: as the command has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import cei
from conftest import SMALL, run_command

ATOMS = [{"element": name, "charge": 1} for name in ("C", "O")]
LAW: dict[str, Any] = {
    "orientation": "random",
    "centre": "centre-of-mass",
    "molecule": {"atoms": ATOMS},
    "channels": [{"charges": [1, 1], "weight": 2}, {"charges": [2, 1], "weight": 3}],
    "geometry": {
        "law": "internal",
        "positions_angstrom": {"C": [0, 0, 0], "O": [0, 0, 1.1]},
        "lengths_angstrom": {"O-C": {"distribution": "uniform", "low": 1.0, "high": 3.0}},
    },
    "detector": {"momentum_noise_au": 4.0},
}
EXPERIMENT: dict[str, Any] = {
    "columns": {"charges": ["charge_c", "charge_o"]},
    "molecule": {"atoms": ATOMS},
    "preprocessing": {"gauge": {"frame": "momentum", "x_axis": "O", "xy_plane": "C"}},
    "model": {"kind": "cinn", "couplings": 4, "hidden": [16, 16]},
    "training": {"max_epochs": 4},
    "evaluation": {"draws": 20},
}


@pytest.fixture(scope="module")
def seen() -> cei.Events:
    return cei.simulate(LAW, n=30, seed=9)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cei.Posterior:
    folder = tmp_path_factory.mktemp("charges") / "run"
    return cei.train(EXPERIMENT, data=cei.simulate(LAW, n=2000, seed=3), out=folder)


def test_charges_are_columns_behind_the_momenta_or_said(run: cei.Posterior, seen: cei.Events) -> None:
    assert run.momentum_names == seen.momentum_names and run.charge_names == seen.charge_names
    assert set(map(tuple, seen.charges)) == {(1, 1), (2, 1)}
    draws = run.sample(seen.momenta, 5, charges=seen.charges)
    assert np.array_equal(draws, run.sample(np.hstack([seen.momenta, seen.charges]), 5))
    assert np.array_equal(draws, run.sample(seen.columns_by_name(), 5))
    for charges in ([1, 1], [2, 1]):
        same = (run.sample(seen.momenta, 5, charges=charges, check=False) == draws).all(axis=(1, 2))
        assert np.array_equal(same, (seen.charges == charges).all(axis=1))
    density = run.log_prob(seen.positions, seen.momenta, charges=seen.charges)
    assert np.array_equal(density, run.log_prob(data=seen.columns_by_name()))
    in_frame = run.in_frame(seen.positions, seen.momenta)
    again = run.log_prob(in_frame[:, np.newaxis], seen.momenta, charges=seen.charges, frame="run")
    assert again[:, 0] == pytest.approx(density, abs=1e-3)


def test_charge_states_are_inferred_as_by_the_command(run: cei.Posterior, seen: cei.Events, tmp_path: Path) -> None:
    pl.DataFrame(seen.columns_by_name()).write_parquet(tmp_path / "m.parquet")
    files = ["--summary", "s.parquet", "--modes", "modes.parquet", "-o", "d.parquet"]
    asked = ["--charges", "unknown", "--refine", "-n", 100]
    told = run_command("predict", run.path, "m.parquet", *asked, *files, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    refined = run.refine(seen.momenta, 100, charges="unknown")
    assert refined.charge_states.tolist() == [[1, 1], [2, 1]]
    summary, draws, modes = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("s", "d", "modes"))
    probabilities = summary.select("p_state_1_1", "p_state_2_1").to_numpy()
    assert np.array_equal(refined.state_probabilities, probabilities)
    assert np.array_equal(np.vstack(refined.draws), draws.select(run.names).to_numpy())
    assert np.array_equal(np.vstack(refined.draw_charges), draws.select(run.charge_names).to_numpy())
    assert np.array_equal(np.vstack(refined.mode_charges), modes.select(run.charge_names).to_numpy())
    known = run.refine(seen.momenta[:2], 50, charges=seen.charges[:2])
    assert known.draw_charges == [] and known.charge_states.shape == (0, 0)


def test_missing_and_wrong_charges_are_told(run: cei.Posterior, seen: cei.Events, tmp_path: Path) -> None:
    with pytest.raises(cei.CeiValueError, match="conditioned on the charges of the ions: charge_c, charge_o"):
        run.sample(seen.momenta, 5)
    with pytest.raises(cei.CeiValueError, match="30 of momenta"):
        run.sample(seen.momenta, 5, charges=seen.charges[:3])
    with pytest.raises(cei.CeiValueError, match="`charges` is `any`, but must be numbers or `unknown`"):
        run.sample(seen.momenta, 5, charges="any")
    with pytest.raises(cei.DataError, match=r"row 3: the charges \[3.0, 1.0\]"):
        run.sample(seen.momenta, 5, charges=np.vstack([seen.charges[:2], [[3, 1]], seen.charges[3:]]))
    pl.DataFrame(seen.columns_by_name()).write_parquet(tmp_path / "m.parquet")
    for given, charges in (("3,1", [3, 1]), ("1", [1]), ("unknown", "unknown")):
        told = run_command("predict", run.path, "m.parquet", "--charges", given, "-o", "d.csv", cwd=tmp_path)
        with pytest.raises(cei.CeiValueError) as caught:
            run.sample(seen.momenta, 5, charges=charges)
        assert told.stderr == f"error: {caught.value}\n" and told.returncode == 2


def test_initial_momenta_are_those_of_the_command(tmp_path: Path) -> None:
    law = {"temperature_k": 300.0}
    events = cei.simulate("ocs-wide", n=2000, seed=1, changes=law)
    assert events.initial_momenta.shape == events.momenta.shape
    run = cei.train("wide-spline", data=events, out=tmp_path / "run", changes=SMALL)
    measured = cei.simulate("ocs-wide", n=4, seed=2, changes=law)
    pl.DataFrame(measured.columns_by_name()).write_parquet(tmp_path / "m.parquet")
    asked = ["--refine", "--initial-momenta", "-n", 20, "-o", "d.parquet"]
    told = run_command("predict", "run", "m.parquet", *asked, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    refined = run.refine(measured.momenta, 20, initial_momenta=True, check=False)
    names = [f"initial_{name}" for name in measured.momentum_names]
    expected = pl.read_parquet(tmp_path / "d.parquet").select(names).to_numpy()
    assert np.array_equal(np.vstack(refined.initial_momenta), expected, equal_nan=True)
