"""Tables of any library are read as files are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import cei
from conftest import SMALL


def as_pandas(columns: dict[str, Any]) -> Any:
    return pytest.importorskip("pandas").DataFrame(columns)


def as_pyarrow(columns: dict[str, Any]) -> Any:
    return pytest.importorskip("pyarrow").table(columns)


def as_batch(columns: dict[str, Any]) -> Any:
    return pytest.importorskip("pyarrow").record_batch(columns)


def as_duckdb(columns: dict[str, Any]) -> Any:
    duckdb = pytest.importorskip("duckdb")
    frame = as_pandas(columns)
    return duckdb.sql("select * from frame")


def as_structured(columns: dict[str, Any]) -> Any:
    return np.rec.fromarrays(list(columns.values()), names=list(columns))


LIBRARIES = [dict, pl.DataFrame, as_pandas, as_pyarrow, as_batch, as_duckdb, as_structured]


@pytest.mark.parametrize("library", LIBRARIES)
def test_momenta_of_every_library_are_the_same(library: Any, posterior: cei.Posterior, measured: cei.Events) -> None:
    columns = measured.columns_by_name()
    shuffled = {name: columns[name] for name in sorted(columns)}
    draws = posterior.sample(library(shuffled), 5)
    assert np.array_equal(draws, posterior.sample(measured.momenta, 5))


def test_units_columns_and_invalid_rows_are_those_of_files(posterior: cei.Posterior, measured: cei.Events) -> None:
    au = 1.992_851_915e-24
    columns = {f"p{i}": values * au / 1e-22 for i, values in enumerate(measured.momenta.T)}
    reading: dict[str, Any] = {"columns": list(columns), "changes": {"columns.y_unit": "1e-22 kg m/s"}}
    draws = posterior.sample(columns, 5, **reading)
    assert draws == pytest.approx(posterior.sample(measured.momenta, 5), abs=1e-4)
    columns["p3"][7] = np.nan
    with pytest.raises(cei.DataError, match=r"row 8, column `p3`"):
        posterior.sample(columns, 5, **reading)
    with pytest.warns(cei.CeiWarning, match="1 of 40 rows"):
        fewer = posterior.sample(columns, 5, drop_invalid=True, **reading)
    assert len(fewer) == 39


def test_single_precision_integers_and_text_are_taken(posterior: cei.Posterior, measured: cei.Events) -> None:
    columns: dict[str, Any] = measured.columns_by_name()
    rounded = {name: np.round(values).astype(np.int16) for name, values in columns.items()}
    frame = pl.DataFrame({**rounded, "run": ["a"] * 40, "when": [None] * 40})
    with pytest.warns(cei.CeiWarning, match="`when` is left out"):
        draws = posterior.sample(frame, 5)
    assert np.array_equal(draws, posterior.sample(np.round(measured.momenta), 5, check=False))
    single = {name: values.astype(np.float32) for name, values in columns.items()}
    draws = posterior.sample(single, 5)
    assert np.array_equal(draws, posterior.sample(measured.momenta.astype(np.float32), 5))


def test_all_ways_to_train_make_the_same_run(events: cei.Events, posterior: cei.Posterior, tmp_path: Path) -> None:
    def weights(run: cei.Posterior) -> bytes:
        return (Path(run.path) / "model.safetensors").read_bytes()

    expected = weights(posterior)
    frame = pl.DataFrame(events.columns_by_name())
    file = tmp_path / "events.parquet"
    frame.write_parquet(file)
    ways = {"frame": frame, "arrays": (events.positions, events.momenta), "file": file}
    for name, data in ways.items():
        run = cei.train("wide-spline", data=data, out=tmp_path / name, changes=SMALL)
        assert weights(run) == expected, name


def test_a_run_on_a_table_in_memory_keeps_it(posterior: cei.Posterior) -> None:
    """With the law that made it, so that it can be evaluated and refined with later."""
    assert (Path(posterior.path) / "table.parquet").exists()
    assert cei.load(posterior.path).record["simulation"]["events"] == 3000
    assert "detector" in posterior.record and "momentum_noise_au" in posterior.configuration + str(posterior.record)


def test_h5py_and_uproot_enter(posterior: cei.Posterior, measured: cei.Events, tmp_path: Path) -> None:
    """HDF5 and ROOT files as the guide shows them; a matrix and columns."""
    h5py, uproot = pytest.importorskip("h5py"), pytest.importorskip("uproot")
    expected = posterior.sample(measured.momenta, 5)
    columns = measured.columns_by_name()
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["ions/momenta"] = measured.momenta.reshape(-1, 3, 3)
        for name in measured.momentum_names:
            file[f"columns/{name}"] = columns[name]
    with h5py.File(tmp_path / "run.h5") as file:
        momenta = file["ions/momenta"][:].reshape(-1, 9)
        assert np.array_equal(posterior.sample(momenta, 5), expected)
        table = {name: values[:] for name, values in file["columns"].items()}
        assert np.array_equal(posterior.sample(table, 5), expected)
    with uproot.recreate(tmp_path / "run.root") as file:
        file.mktree("events", {name: "float64" for name in columns})
        file["events"].extend(columns)
    with uproot.open(tmp_path / "run.root") as file:
        table = file["events"].arrays(measured.momentum_names, library="np")
        assert np.array_equal(posterior.sample(table, 5), expected)


def test_momenta_of_another_kind_are_warned_of(posterior: cei.Posterior, measured: cei.Events) -> None:
    with pytest.warns(cei.CeiWarning, match="are not what the model was trained on"):
        posterior.sample(measured.momenta * 1.7, 5)
    assert {"kinetic-energy", "distance"} & set(
        " ".join(posterior.outside(measured.momenta[:1] * 1.0)).split()
    ) == set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cei.CeiWarning)
        assert all("kinetic-energy" in why for why in posterior.outside(measured.momenta * 3))
