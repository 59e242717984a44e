"""Simulate, explode, train, evaluate, calibrate."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np

from cei import _cei, _config, _tables
from cei._config import Config
from cei._posterior import Charges, Posterior, _count, _FilesOf, _Reading, _seed
from cei._watch import Progress, Watch
from cei.errors import CeiValueError

Run = Union[str, "os.PathLike[str]", Posterior]
#: An atom: an element with or without its mass number (``"34S"``), or a dictionary with the keys ``element``,
#: ``charge``, ``mass_u`` (u) and ``label``.
Atom = Union[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Events:
    """Simulated events; rows are events, columns (x, y, z) of each atom."""

    #: Positions (events, 3 N) in bohr.
    positions: np.ndarray = field(repr=False)
    #: Measured momenta (events, 3 N) in atomic units.
    momenta: np.ndarray = field(repr=False)
    #: What else was drawn for each event (events, nuisances), in the units of the names.
    nuisances: np.ndarray = field(repr=False)
    #: Charges of the ions (events, N) in e; no columns where all events have those of the molecule.
    charges: np.ndarray = field(repr=False)
    #: Momenta with which the ions start (events, 3 N) in a.u.; no columns where they start at rest.
    initial_momenta: np.ndarray = field(repr=False)
    position_names: list[str]
    momentum_names: list[str]
    nuisance_names: list[str]
    charge_names: list[str]
    #: The configuration that made them, as TOML.
    simulation: str = field(repr=False)

    def __len__(self) -> int:
        return len(self.positions)

    def columns_by_name(self) -> dict[str, np.ndarray]:
        """All columns by their names, as ``cei simulate`` writes them; for ``pandas.DataFrame``, ``polars.DataFrame``,
        ``pyarrow.table``."""
        names = self.position_names + self.momentum_names + self.nuisance_names + self.charge_names
        values = np.hstack([self.positions, self.momenta, self.nuisances, self.charges])
        return dict(zip(names, values.T))


def simulate(
    config: Config,
    n: Optional[int] = None,
    seed: Optional[int] = None,
    *,
    positions: Any = None,
    changes: Optional[Mapping[str, Any]] = None,
    progress: Progress = None,
) -> Events:
    """Simulate Coulomb explosions.

    Parameters
    ----------
    config
        A simulation: the name of a preset (``"ocs-wide"``), a TOML file, or a dictionary.
    n, seed
        Events, and seed; by default those of the simulation. The same events as ``cei simulate`` gives, to the bit.
    positions
        Geometries (events, 3 N) in bohr, which are exploded in the place of those of the geometry law.
    changes
        Keys that are changed, for example ``{"detector.momentum_noise_au": 0.5}``.

    Returns
    -------
    Events
        Positions (bohr) and momenta (a.u.).
    """
    if positions is not None:
        if n is not None:
            raise CeiValueError("`n` is the number of `positions`; leave it out")
        positions = np.ascontiguousarray(positions, dtype=np.float64)
        if positions.ndim != 2:
            raise CeiValueError(f"positions have the shape {positions.shape}, but must be (events, 3 N)")
    n = None if n is None else _count(n)
    seed = None if seed is None else _seed(seed)
    with Watch("simulating", progress) as watch:
        made = _cei.simulate(_config.given(config, changes), n, seed, positions, watch)
    return Events(**made)


def explode(
    positions: Any,
    molecule: Union[Config, Sequence[Atom]],
    charges: Optional[Sequence[float]] = None,
    *,
    momenta: Any = None,
) -> np.ndarray:
    """Explode geometries: the momenta of the ions far away, without noise, in the orientation of the positions.

    Parameters
    ----------
    positions
        Geometries (events, 3 N), (events, N, 3) or (N, 3) in bohr. Behind the 3 N positions stand the numbers that a
        charging law draws for each event, if it does.
    molecule
        The atoms in the order of the positions: elements such as ``["O", "C", "S"]`` or dictionaries; or a simulation
        (preset, file, dictionary), whose molecule, charging law and accuracy are taken.
    charges
        Charges of the atoms in e; needed for elements.
    momenta
        Momenta at the start, of the shape of the positions, in a.u.; by default the ions start at rest.

    Returns
    -------
    numpy.ndarray
        Momenta in a.u., of the shape of the positions; NaN where ions never fly apart.
    """
    positions = np.asarray(positions, dtype=np.float64)
    rows = _rows_of_atoms(positions)
    start = None if momenta is None else np.asarray(momenta, dtype=np.float64)
    if start is not None:
        if start.shape != positions.shape:
            raise CeiValueError(f"momenta have the shape {start.shape}, but positions {positions.shape}")
        start = _rows_of_atoms(start)
    if isinstance(molecule, (str, os.PathLike, Mapping)):
        if charges is not None:
            raise CeiValueError("`charges` are those of the simulation; leave them out")
        atoms, config = None, _config.given(molecule)
    else:
        atoms, config = _atoms(molecule, charges), None
    found = _cei.explode(rows, atoms, config, start)
    return found.reshape(positions.shape) if found.size == positions.size else found


def train(
    config: Optional[Config] = None,
    data: Any = None,
    out: Union[str, os.PathLike[str], None] = None,
    *,
    changes: Optional[Mapping[str, Any]] = None,
    seed: Optional[int] = None,
    ensemble: Optional[int] = None,
    device: str = "cpu",
    resume: bool = False,
    drop_invalid: bool = False,
    progress: Progress = None,
) -> Posterior:
    """Train a model into a run folder.

    Parameters
    ----------
    config
        An experiment: the name of a preset (``"wide-spline"``), a TOML file, or a dictionary.
    data
        What it is trained on, in the place of what the configuration names: a table of positions and momenta of any
        library that speaks the Arrow C interface, a dictionary of arrays, the :class:`Events` of :func:`simulate`, a
        pair of arrays ``(positions, momenta)``, charges behind the momenta where the configuration lists them, or files. A table in memory is kept in the run folder
        (``table.parquet``), so that the run can be evaluated later. Units are those of the configuration
        (``columns.x_unit``, ``columns.y_unit``).
    out
        The run folder.
    changes
        Keys that are changed, for example ``{"training.max_epochs": 5}``.
    seed, ensemble
        Seed of weights, order of rows and noise; number of models that are used as one mixture.
    resume
        Continue the training in the folder. Ctrl-C saves the state that it continues from.

    Returns
    -------
    Posterior
        The trained run. It is the one that ``cei train`` makes of the same table, to the bit.
    """
    if out is None:
        raise CeiValueError('`out` is missing: the run folder, for example out="runs/mine"')
    if config is None:
        if not resume:
            raise CeiValueError("`config` is missing: a preset, a file or a dictionary")
        config = Path(out) / "config.toml"
    given: dict[str, Any] = {
        "out": os.fspath(out),
        "path": os.path.abspath(os.path.join(out, "table.parquet")),
        "files": _tables.as_files(data) or [],
        "simulation": None,
        "resume": resume,
        "device": device,
        "seed": None if seed is None else _seed(seed),
        "ensemble": None if ensemble is None else _count(ensemble),
        "drop_invalid": drop_invalid,
    }
    given_config, table = _config.given(config, changes), None
    if data is not None and not given["files"]:
        if isinstance(data, Events):
            given["simulation"] = {"kind": "toml", "value": data.simulation, "overrides": []}
        table = _tables.as_table(data)
        if table is None:
            table = _of_pair(data, *_cei.column_names(given_config))
    with Watch("training", progress) as watch:
        _cei.train(given_config, given, table, watch)
    return Posterior(out, device)


def evaluate(
    run: Run,
    data: Any = None,
    *,
    split: str = "test",
    draws: Optional[int] = None,
    seed: int = 0,
    device: str = "cpu",
    charges: Charges = None,
    columns: Optional[Sequence[str]] = None,
    changes: Optional[Mapping[str, Any]] = None,
    drop_invalid: bool = False,
    progress: Progress = None,
) -> dict[str, Any]:
    """Score a run on rows that it has not seen.

    Parameters
    ----------
    run
        The run, or its folder.
    data
        Another table of positions and momenta than the run's own; as for :meth:`Posterior.sample`.
    split
        Of the run's own table: ``"test"``, or ``"all"`` rows, those of training included.
    draws
        Draws of each event; by default those of the configuration.

    Returns
    -------
    dict
        What ``cei evaluate --json`` prints (``docs/spec.md``).
    """
    if split not in ("test", "all"):
        raise CeiValueError(f"`split` is `{split}`, but must be `test` or `all`")
    reading = _Reading(columns, changes, drop_invalid, charges)
    count = None if draws is None else _count(draws)
    with Watch("evaluating", progress) as watch, _files_or_none(reading, data) as files:
        report = _cei.evaluate(_path(run), files, split == "all", count, _seed(seed), device, watch)
    scores: dict[str, Any] = _config.numbers(json.loads(report))
    return scores


def calibrate(
    run: Run,
    *,
    events: int = 1000,
    draws: int = 199,
    refine: bool = False,
    unknown_charges: bool = False,
    level: float = 0.01,
    seed: int = 0,
    out: Union[str, os.PathLike[str], None] = None,
    device: str = "cpu",
    progress: Progress = None,
) -> dict[str, Any]:
    """Test whether the posterior of a run is as wide as it says: ranks of the truth among draws.

    Parameters
    ----------
    events, draws
        Test events at most, and draws of each.
    refine
        Test the draws that the simulator has refined.
    unknown_charges
        Refine as if the charges of the ions were not known, and test the inferred charge states too.
    level
        How often an exact posterior may fail each family of tests.
    out
        Folder for ``calibration.json`` and figures; by default the run folder.

    Returns
    -------
    dict
        What ``cei calibrate --json`` prints; ``["pass"]`` is the verdict.
    """
    if unknown_charges and not refine:
        raise CeiValueError("`unknown_charges` is for refined draws\nhint: add `refine=True`")
    folder = None if out is None else os.fspath(out)
    with Watch("calibrating", progress) as watch:
        counts, known = (_count(events), _count(draws)), not unknown_charges
        report = _cei.calibrate(_path(run), *counts, _seed(seed), level, refine, known, folder, device, watch)
    tests: dict[str, Any] = _config.numbers(json.loads(report))
    return tests


def presets() -> dict[str, list[str]]:
    """Names of the configurations that come with the package: of ``simulations`` and of ``experiments``."""
    simulations, experiments = _cei.presets()
    return {"simulations": simulations, "experiments": experiments}


def _path(run: Run) -> str:
    return run.path if isinstance(run, Posterior) else os.fspath(run)


def _files_or_none(reading: _Reading, data: Any) -> _FilesOf:
    if data is None or _tables.as_files(data) is not None:
        return reading.files(data)
    table = _tables.as_table(data)
    if table is None:
        raise CeiValueError("`data` is no table: it needs columns with the names of the run's")
    return reading.files(table)


def _of_pair(data: Any, x_names: Sequence[str], y_names: Sequence[str]) -> _cei.Table:
    if not isinstance(data, (list, tuple)) or len(data) != 2:
        raise CeiValueError(
            f"`data` is {type(data).__name__}, but must be a table, files or two arrays (positions, momenta)"
        )
    x, y = (np.asarray(values, dtype=np.float64) for values in data)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise CeiValueError(
            f"positions and momenta have the shapes {x.shape} and {y.shape}, but must be (rows, columns), with as many rows"
        )
    return _tables.of_arrays(x, y, x_names, y_names)


def _rows_of_atoms(values: np.ndarray) -> np.ndarray:
    """(events, 3 N) of (events, N, 3), (N, 3), (events, 3 N) or (3 N,)."""
    if values.ndim == 3 and values.shape[-1] == 3:
        values = values.reshape(len(values), -1)
    elif values.ndim == 2 and values.shape[-1] == 3:
        values = values.reshape(1, -1)
    elif values.ndim == 1:
        values = values[np.newaxis]
    if values.ndim != 2:
        raise CeiValueError(f"positions have the shape {values.shape}, but must be (events, N, 3)")
    return np.ascontiguousarray(values)


def _atoms(molecule: Sequence[Atom], charges: Optional[Sequence[float]]) -> list[tuple[Any, ...]]:
    atoms = []
    for index, atom in enumerate(molecule):
        spec: dict[str, Any] = {"element": atom} if isinstance(atom, str) else dict(atom)
        if charges is not None:
            if len(charges) != len(molecule):
                raise CeiValueError(f"there are {len(molecule)} atoms, but {len(charges)} charges")
            spec["charge"] = charges[index]
        unknown = set(spec) - {"element", "charge", "mass_u", "label"}
        if unknown or "element" not in spec or "charge" not in spec:
            raise CeiValueError(
                f"atom {index} is {spec}, but must have an element and a charge\n"
                "hint: explode(positions, ['O', 'C', 'S'], charges=[1, 1, 1])"
            )
        atoms.append((spec["element"], float(spec["charge"]), spec.get("mass_u"), spec.get("label")))
    return atoms
