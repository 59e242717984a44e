"""Every number is that of the command line, to the bit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import cei
from conftest import SMALL, run_command


def table_of(path: Path, names: list[str]) -> np.ndarray:
    return pl.read_parquet(path).select(names).to_numpy()


@pytest.fixture
def momenta_file(measured: cei.Events, tmp_path: Path) -> Path:
    path = tmp_path / "momenta.parquet"
    pl.DataFrame(measured.columns_by_name()).write_parquet(path)
    return path


def test_simulated_events_are_those_of_the_command(tmp_path: Path) -> None:
    out = tmp_path / "events.parquet"
    told = run_command("simulate", "--preset", "ocs-wide", "--events", 500, "--seed", 7, "-o", out)
    assert told.returncode == 0, told.stderr
    events = cei.simulate("ocs-wide", n=500, seed=7)
    names = events.position_names + events.momentum_names
    assert np.array_equal(table_of(out, names), np.hstack([events.positions, events.momenta]))


def test_a_run_is_the_one_that_the_command_trains(posterior: cei.Posterior, tmp_path: Path) -> None:
    table, out = Path(posterior.path) / "table.parquet", tmp_path / "run"
    changes = [f"--set={group}.{key}={value}" for group in SMALL for key, value in SMALL[group].items()]
    told = run_command("train", "--preset", "wide-spline", *changes, "--set=source.simulator=ocs-wide", "-o", out)
    assert told.returncode == 0, told.stderr
    # That run is of the same law but other events; of the same table it has the same weights.
    config = tmp_path / "config.toml"
    config.write_text((Path(posterior.path) / "config.toml").read_text())
    told = run_command("train", "--config", config, "--data", table, "-o", tmp_path / "same")
    assert told.returncode == 0, told.stderr
    weights = [Path(path, "model.safetensors").read_bytes() for path in (posterior.path, tmp_path / "same")]
    assert weights[0] == weights[1]
    assert weights[0] != (out / "model.safetensors").read_bytes()


def test_draws_are_those_of_the_command(
    posterior: cei.Posterior, measured: cei.Events, momenta_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "draws.parquet"
    told = run_command("predict", posterior.path, momenta_file, "-n", 70, "--seed", 3, "-o", out)
    assert told.returncode == 0, told.stderr
    expected = table_of(out, posterior.names).reshape(40, 70, 9)
    draws = posterior.sample(measured.momenta, 70, seed=3)
    assert np.array_equal(draws, expected)
    assert np.array_equal(posterior.sample(momenta_file, 70, seed=3), expected)
    assert np.array_equal(posterior.sample(measured.momenta[0], 70, seed=3), expected[0])
    turned = table_of(out, [f"{name}_file" for name in posterior.names]).reshape(40, 70, 9)
    assert np.array_equal(posterior.in_file(draws, measured.momenta), turned)


def test_many_draws_of_one_event_are_the_first_of_more(posterior: cei.Posterior, measured: cei.Events) -> None:
    """More than are worked on at once."""
    few, many = (posterior.sample(measured.momenta[0], n, seed=1) for n in (100, 40_000))
    assert np.array_equal(many[:100], few)
    assert len(np.unique(many[:, 0])) > 39_000


def test_densities_are_those_of_the_command(posterior: cei.Posterior, measured: cei.Events, momenta_file: Path) -> None:
    told = run_command("log-prob", posterior.path, momenta_file)
    assert told.returncode == 0, told.stderr
    expected = [float(row["log_prob"]) for row in csv.DictReader(told.stdout.splitlines())]
    assert np.array_equal(posterior.log_prob(measured.positions, measured.momenta), expected)
    assert np.array_equal(posterior.log_prob(data=momenta_file), expected)
    assert np.array_equal(posterior.log_prob(data=measured.columns_by_name()), expected)


def test_refined_draws_are_those_of_the_command(
    posterior: cei.Posterior, measured: cei.Events, momenta_file: Path, tmp_path: Path
) -> None:
    out, modes, summary = (tmp_path / f"{name}.parquet" for name in ("draws", "modes", "summary"))
    told = run_command(
        "predict", posterior.path, momenta_file, "--refine", "-n", 50, "-o", out, "--modes", modes, "--summary", summary
    )
    assert told.returncode == 0, told.stderr
    refined = posterior.refine(momenta_file, 50)
    assert refined.noise
    assert np.array_equal(np.vstack(refined.draws), table_of(out, posterior.names))
    assert np.array_equal(np.vstack(refined.modes), table_of(modes, posterior.names))
    assert np.array_equal(np.concatenate(refined.mode_weights), table_of(modes, ["weight"])[:, 0])
    kept = pl.read_parquet(summary)
    for name in ("k_hat", "effective_sample_size", "log_evidence"):
        assert np.array_equal(getattr(refined, name), kept[name].to_numpy(), equal_nan=True)
    assert refined.outside_model == [why or "" for why in kept["outside_model"].to_list()]


def test_scores_are_those_of_the_command(posterior: cei.Posterior, tmp_path: Path) -> None:
    def told(*arguments: Any) -> Any:
        told = run_command(*arguments, "--json")
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    scores = cei.evaluate(posterior, draws=20, seed=1)
    assert scores == told("evaluate", posterior.path, "--draws", 20, "--seed", 1)
    folders = [tmp_path / name for name in ("here", "there")]
    verdict = cei.calibrate(posterior, events=60, draws=19, out=folders[0])
    assert verdict == told("calibrate", posterior.path, "--events", 60, "--draws", 19, "-o", folders[1])


def test_bonds_and_angles_are_those_of_the_geometry(posterior: cei.Posterior) -> None:
    """Right-angled: C at the origin, O along x, S along y; bohr in pm."""
    positions = np.array([0, 0, 0, 2, 0, 0, 0, 3, 0.0])
    lengths = dict(zip(posterior.bond_names, posterior.bond_lengths(positions)))
    pm = 52.917_721
    expected = {"C-O": 2 * pm, "C-S": 3 * pm, "O-S": np.sqrt(13) * pm}
    assert lengths == pytest.approx(expected, rel=1e-6)
    angles = dict(zip(posterior.angle_names, posterior.angles(positions)))
    assert angles["O-C-S"] == pytest.approx(90)


def test_two_ions_share_the_energy_of_the_point_charges() -> None:
    """`p^2 / 2 mu = q1 q2 / r`, and the momenta are opposite."""
    positions = np.array([[[0, 0, 0], [2.5, 0, 0]], [[0, 1, 0], [0, 5, 0.0]]])
    momenta = cei.explode(positions, ["12C", {"element": "16O"}], charges=[1, 2])
    assert momenta.shape == positions.shape
    u = 1822.888_486
    mass = 12 * 15.994_914_62 / (12 + 15.994_914_62) * u
    expected = np.sqrt(2 * mass * 2 / np.array([2.5, 4.0]))
    assert np.linalg.norm(momenta[:, 1], axis=1) == pytest.approx(expected, rel=1e-6)
    assert np.abs(momenta.sum(axis=1)).max() < 1e-6 * expected.max()
    single = cei.explode(positions[0], ["12C", "16O"], charges=[1, 2])
    assert np.array_equal(single, momenta[0])


def test_given_positions_are_simulated_with_noise() -> None:
    """1 a.u. on every component (standard error of a standard deviation: 1.6 %; 5 of them are allowed)."""
    law = {
        "molecule": {"atoms": [{"element": name, "charge": 2.0} for name in ("C", "O", "S")]},
        "detector": {"momentum_noise_au": 1.0},
    }
    positions = np.tile([0, 0, 0, 3, 0, 0, -3, 1, 0.0], (2000, 1))
    exact = cei.explode(positions[0], law)
    events = cei.simulate(law, seed=1, positions=positions)
    assert np.array_equal(events.positions, positions)
    assert (events.momenta - exact).std(axis=0) == pytest.approx(np.ones(9), abs=0.08)
