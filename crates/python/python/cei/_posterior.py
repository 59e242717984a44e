"""A trained run as a posterior."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np

from cei import _cei, _config, _tables
from cei._watch import Progress, Watch
from cei.errors import CeiValueError

#: Momenta of events: an array (events, columns) or (columns,), a table of any library, or a file.
Momenta = Any
#: Charges of the ions in e, for a run that is conditioned on them: one row for all events, one row an event, or
#: ``"unknown"`` where :meth:`Posterior.refine` shall infer them.
Charges = Any


def load(run: Union[str, os.PathLike[str]], device: str = "cpu") -> Posterior:
    """Load a trained run.

    Parameters
    ----------
    run
        The run folder.
    device
        What computes: ``cpu``, or one that ``cei devices`` lists.

    Raises
    ------
    RunFolderError
        No trained model in the folder, or one that is damaged.
    """
    return Posterior(run, device)


class Posterior:
    """``p(positions | momenta)`` of a trained run.

    Momenta are given as an array in the unit of the run's table (:attr:`momentum_unit`), one row an event and columns in
    the order of :attr:`momentum_names`; or as a table with columns of these names, from any library that speaks the Arrow
    C interface, a dictionary of arrays, or a file, which are read as ``cei predict`` reads files.

    A run that is conditioned on charges (:attr:`charge_names`) is given these too: as ``charges``, or behind the momenta.

    Where ions may be missing, the three momenta of one that was not detected are NaN.

    Positions come in bohr, in the frame of the run (:attr:`frame`), columns in the order of :attr:`names`. Ions that are
    exchanged at will may be called as anybody likes in momenta; positions have the names of the run.
    """

    def __init__(self, run: Union[str, os.PathLike[str]], device: str = "cpu") -> None:
        self._run = _cei.Posterior(os.fspath(run), device)
        self._path, self._device = os.fspath(run), device
        with Watch("loading") as watch:
            for remark in self._run.remarks():
                watch.warn(remark)
        #: Names of the positions, then of the nuisances, as in the columns of draws.
        self.names: list[str] = self._run.x_names()
        #: Names of the momenta.
        self.momentum_names: list[str]
        #: Names of the charges that the model is conditioned on, if it is.
        self.charge_names: list[str]
        self.momentum_names, self.charge_names = self._run.y_names()
        #: Unit of momenta that are given: that of the run's table.
        self.momentum_unit: str = self._run.y_unit()
        #: The frame of draws, in words.
        self.frame: str = self._run.frame()
        #: Names of the bonds and angles; empty where the table is no molecule.
        self.bond_names: list[str]
        self.angle_names: list[str]
        self.bond_names, self.angle_names = self._run.internal_names()

    def __repr__(self) -> str:
        return f"<cei.Posterior of `{self._path}`: {self._run.name()}, {', '.join(self.names)}>"

    def __reduce__(self) -> Any:
        return Posterior, (self._path, self._device)

    @property
    def path(self) -> str:
        """The run folder."""
        return self._path

    @property
    def record(self) -> dict[str, Any]:
        """Everything about the model but its weights: what ``model.json`` holds."""
        record: dict[str, Any] = _config.numbers(json.loads(self._run.record()))
        return record

    @property
    def configuration(self) -> str:
        """The complete configuration, as TOML."""
        return self._run.configuration()

    def sample(
        self,
        y: Momenta,
        n: int = 1000,
        *,
        seed: int = 0,
        charges: Charges = None,
        check: bool = True,
        columns: Optional[Sequence[str]] = None,
        changes: Optional[Mapping[str, Any]] = None,
        drop_invalid: bool = False,
        progress: Progress = None,
    ) -> np.ndarray:
        """Draw positions for each event.

        Parameters
        ----------
        y
            Momenta; see the class.
        n
            Draws of each event.
        seed
            Seed of the draws; the same draws as ``cei predict --seed`` gives, to the bit.
        charges
            Charges (N) of the ions in all events, or (events, N), where the run is conditioned on them and they are not
            columns of a table.
        check
            Compare arrays of momenta with those of training, and warn if they are of another kind. Tables are always.
        columns, changes, drop_invalid
            Of tables and files: names of the momenta in the order of the run where they differ, changes of
            ``columns.KEY`` (for example ``{"columns.y_unit": "1e-22 kg m/s"}``), and whether invalid rows are left out.
        progress
            Whether progress is shown; by default in terminals and notebooks. A function is told
            ``(done, total, text)``.

        Returns
        -------
        numpy.ndarray
            Draws (events, n, columns) in bohr, or (n, columns) for one event that is given as a vector; NaN for
            events whose momenta are no measurements.
        """
        reading = _Reading(columns, changes, drop_invalid, charges)
        with Watch("sampling", progress) as watch:
            measured, single = self._measured(y, reading, check, watch)
            draws = np.zeros((len(measured.numbers), _count(n), len(self.names)))
            self._run.sample(measured, draws, _seed(seed), watch)
        return draws[0] if single else draws

    def log_prob(
        self,
        x: Any = None,
        y: Momenta = None,
        *,
        data: Any = None,
        frame: str = "file",
        charges: Charges = None,
        columns: Optional[Sequence[str]] = None,
        changes: Optional[Mapping[str, Any]] = None,
        drop_invalid: bool = False,
    ) -> np.ndarray:
        """Log-density of positions given momenta, in nats per unit volume (bohr) of the directions that vary.

        Parameters
        ----------
        x
            Positions in bohr: (events, columns), or (events, n, columns) for n of each event, as draws are.
        y
            Momenta (events, columns), an array; one vector serves all positions.
        charges
            As for :meth:`sample`.
        data
            In the place of both: a table or a file with positions and momenta, read as ``cei log-prob`` reads it.
        frame
            ``"file"`` where the positions are those of a table, in the orientation of its momenta; ``"run"`` where they
            are in the frame of the run, as draws are.

        Raises
        ------
        NotPossibleError
            The model has no exact density.
        """
        if data is not None:
            reading = _Reading(columns, changes, drop_invalid, charges)
            with Watch("reading") as watch, reading.files(data) as files:
                if files is None:
                    raise CeiValueError("`data` is no table; arrays are given as `x` and `y`")
                return self._run.log_prob_in(files, watch)
        if frame not in ("file", "run"):
            raise CeiValueError(f"`frame` is `{frame}`, but must be `file` or `run`")
        width = len(self.names)
        x = np.asarray(x, dtype=np.float64)
        y, of_all = self._condition(y, charges)
        if x.ndim == 0 or x.shape[-1] != width or x.ndim > 3:
            raise CeiValueError(
                f"positions have the shape {x.shape}, but must be (events, {width}) or (events, n, {width})"
            )
        lead = x.shape[:-1]
        events = 1 if x.ndim == 1 else lead[0]
        if y.shape[0] not in (1, events):
            raise CeiValueError(f"there are {events} rows of positions, but {y.shape[0]} of momenta")
        rows = np.ascontiguousarray(x.reshape(-1, width))
        y = np.repeat(y, rows.shape[0] // y.shape[0], axis=0) if rows.shape[0] else y[:0]
        return self._run.log_prob(rows, y, of_all, frame == "run").reshape(lead)

    def refine(
        self,
        y: Momenta,
        n: int = 1000,
        *,
        seed: int = 0,
        charges: Charges = None,
        initial_momenta: bool = False,
        check: bool = True,
        columns: Optional[Sequence[str]] = None,
        changes: Optional[Mapping[str, Any]] = None,
        drop_invalid: bool = False,
        progress: Progress = None,
    ) -> Refined:
        """Let the simulator correct the draws: importance weights with declared noise, exact roots without.

        Parameters are those of :meth:`sample`, and ``initial_momenta``: whether the momenta with which ions that move start
        are inferred too. ``charges="unknown"`` infers how probable each charge state of the simulation is.

        Raises
        ------
        NotPossibleError
            The simulation behind the run is not known, or cannot be refined with.
        """
        reading = _Reading(columns, changes, drop_invalid, charges)
        with Watch("refining", progress) as watch:
            measured, single = self._measured(y, reading, check, watch)
            found = self._run.refine(measured, _count(n), _seed(seed), initial_momenta, watch)
        fields: dict[str, Any] = {**found}
        fields["mode_outside_law"] = [np.array(law, dtype=bool) for law in found["mode_outside_law"]]
        for of, name in (("draws", "draw_charges"), ("modes", "mode_charges")):
            states = fields.pop(f"state_of_{of}")
            fields[name] = [found["charge_states"][state] for state in states] if len(found["charge_states"]) else []
        return Refined(posterior=self, single=single, **fields)

    def outside(self, y: Momenta, **reading: Any) -> list[str]:
        """Why each event is unlike those of training: ``momentum-sum``, ``kinetic-energy``, ``distance``, ``far-out``;
        empty where it is not. ``reading`` is ``charges``, ``columns``, ``changes``, ``drop_invalid`` of :meth:`sample`."""
        with Watch("judging") as watch:
            measured, _ = self._measured(y, _Reading(**reading), True, watch)
        return list(measured.outside)

    def in_frame(self, x: Any, y: Momenta) -> np.ndarray:
        """Positions (rows, columns; bohr) of a table, with its momenta, in the frame of the run: what draws are
        compared with."""
        x = _tables.as_matrix(x, len(self.names), "positions")
        momenta = self._momenta(y)
        _same_rows(x, momenta)
        return self._run.turned(x, momenta, False)

    def in_file(self, x: Any, y: Momenta) -> np.ndarray:
        """Draws (events, n, columns) or positions (events, columns) in the orientation of their momenta, where the frame
        of the run is that of the momenta; otherwise as they are."""
        x = np.asarray(x, dtype=np.float64)
        momenta = self._momenta(y)
        rows = _tables.as_matrix(x.reshape(-1, x.shape[-1]), len(self.names), "positions")
        momenta = np.repeat(momenta, len(rows) // max(len(momenta), 1), axis=0)
        _same_rows(rows, momenta)
        return self._run.turned(rows, momenta, True).reshape(x.shape)

    def bond_lengths(self, x: Any) -> np.ndarray:
        """Distances of all pairs of atoms in pm, (..., bonds) for positions (..., columns) in bohr; their names are
        :attr:`bond_names`."""
        return self._internal(x, angles=False)

    def angles(self, x: Any) -> np.ndarray:
        """Angles in degrees, (..., angles) for positions (..., columns) in bohr; their names are
        :attr:`angle_names`."""
        return self._internal(x, angles=True)

    def to_arviz(self, draws: Any, *, events: Optional[Sequence[Any]] = None) -> Any:
        """Draws as ArviZ has them: a chain of positions (bohr), bond lengths (pm) and angles (degrees).

        Parameters
        ----------
        draws
            (n, columns) of one event, or (events, n, columns): then every quantity has the dimension ``event``.
        events
            Names of the events.

        Returns
        -------
        xarray.DataTree or arviz.InferenceData
            What the installed ArviZ (1.x, or before) plots.
        """
        draws = np.asarray(draws, dtype=np.float64)
        single = draws.ndim == 2
        draws = draws[np.newaxis] if single else draws
        if draws.ndim != 3 or draws.shape[-1] != len(self.names):
            raise CeiValueError(f"draws have the shape {draws.shape}, but must be (events, n, {len(self.names)})")
        quantities = dict(zip(self.names, np.moveaxis(draws, -1, 0)))
        if self.bond_names:
            lengths = np.moveaxis(self.bond_lengths(draws), -1, 0)
            quantities.update(zip((f"{name}_pm" for name in self.bond_names), lengths))
            angles = np.moveaxis(self.angles(draws), -1, 0)
            quantities.update(zip((f"{name}_deg" for name in self.angle_names), angles))
        # ArviZ has the chain first, then the draw, then the event.
        chains = {name: values if single else values.T[np.newaxis] for name, values in quantities.items()}
        if single:
            return _arviz(chains, {}, {})
        names = list(range(len(draws)) if events is None else events)
        return _arviz(chains, {"event": names}, {name: ["event"] for name in chains})

    def _internal(self, x: Any, *, angles: bool) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        if x.ndim == 0:
            raise CeiValueError("positions must be an array of rows")
        rows = np.ascontiguousarray(x.reshape(-1, x.shape[-1]))
        found = self._run.internal(rows, angles)
        return found.reshape(*x.shape[:-1], found.shape[-1])

    def _measured(self, y: Momenta, reading: _Reading, check: bool, watch: Watch) -> tuple[_cei.Measured, bool]:
        """Momenta that were checked, and whether they are one event given as a vector."""
        with reading.files(y) as files:
            if files is not None:
                return self._run.measured_in(files, watch), False
        if not reading.says_nothing():
            raise CeiValueError(
                "`columns`, `changes` and `drop_invalid` are for tables and files, but momenta are an array"
            )
        rows, of_all = self._condition(y, reading.charges)
        return self._run.measured(rows, of_all, check, watch), np.ndim(y) == 1

    def _condition(self, y: Any, charges: Charges) -> tuple[np.ndarray, Any]:
        """Momenta, with charges behind them where each event has its own, and the charges of all events otherwise."""
        momenta, ions = len(self.momentum_names), len(self.charge_names)
        if charges is None:
            if ions and np.shape(y)[-1:] == (momenta,):
                raise CeiValueError(
                    f"the run is conditioned on the charges of the ions: {', '.join(self.charge_names)}\n"
                    f"hint: charges={[1] * ions} for all events, or one row an event"
                )
            return _tables.as_matrix(y, momenta + ions, "momenta"), None
        y = _tables.as_matrix(y, momenta, "momenta")
        if isinstance(charges, str):
            return y, charges
        of_ions = np.asarray(charges, dtype=np.float64)
        if of_ions.ndim != 2 or not ions:
            return y, of_ions.ravel().tolist()
        of_ions = _tables.as_matrix(of_ions, ions, "charges")
        _same_rows(of_ions, y, "charges")
        return np.hstack([y, of_ions]), None

    def _momenta(self, y: Any) -> np.ndarray:
        """Momenta without charges behind them."""
        momenta = len(self.momentum_names)
        if self.charge_names and np.shape(y)[-1:] == (momenta + len(self.charge_names),):
            y = np.asarray(y)[..., :momenta]
        return _tables.as_matrix(y, momenta, "momenta")


@dataclass(frozen=True)
class Refined:
    """Draws corrected by the simulator. Lists and arrays have one entry an event; what needs noise is NaN without."""

    posterior: Posterior = field(repr=False)
    #: Whether one event was given as a vector.
    single: bool
    #: Whether the momenta have noise; without it the draws are the modes.
    noise: bool
    #: Draws (n, columns) of each event in bohr, in the frame of the run; those of the network where the event is outside
    #: the model.
    draws: list[np.ndarray] = field(repr=False)
    #: Geometries (modes, columns) that explain the momenta, the most probable first.
    modes: list[np.ndarray] = field(repr=False)
    #: Posterior probability of what is nearest to each mode.
    mode_weights: list[np.ndarray] = field(repr=False)
    #: Root mean square difference of the momenta of each mode from the measured ones, in units of the noise, or in a.u.
    mode_misfits: list[np.ndarray] = field(repr=False)
    #: Whether the geometry law excludes each mode.
    mode_outside_law: list[np.ndarray] = field(repr=False)
    #: Shape of the tail of the weights.
    k_hat: np.ndarray
    #: Effective number of independent draws.
    effective_sample_size: np.ndarray
    #: ``log p(momenta)`` in nats per unit volume (a.u.).
    log_evidence: np.ndarray
    #: Why each event is not what the model describes: ``k-hat``, ``evidence``, ``outside-law``, ``no-mode``,
    #: ``search``, ``law-edge``; empty where it is.
    outside_model: list[str]
    #: The limits of the geometry law that each event is pinned to, in words.
    law_edge: list[str]
    #: Momenta (n, 3 N) in a.u. with which the ions of each draw start, in the orientation of the momenta; no columns
    #: where they are not asked for, NaN of draws of the network.
    initial_momenta: list[np.ndarray] = field(repr=False)
    #: The charge states (states, N) that an event may be in, where that is inferred; no rows otherwise.
    charge_states: np.ndarray = field(repr=False)
    #: Posterior probability (events, states) of each.
    state_probabilities: np.ndarray = field(repr=False)
    #: Charges (n, N) of each draw, and (modes, N) of each mode, where they are inferred; empty lists otherwise.
    draw_charges: list[np.ndarray] = field(repr=False)
    mode_charges: list[np.ndarray] = field(repr=False)

    @property
    def flagged(self) -> np.ndarray:
        """Whether each event is outside the model."""
        return np.array([bool(why) for why in self.outside_model])

    def stacked(self) -> np.ndarray:
        """Draws (events, n, columns), or (n, columns) of one event that was given as a vector.

        Raises
        ------
        CeiValueError
            Events with different numbers of draws: without noise they are as many as there are modes.
        """
        counts = sorted({len(draws) for draws in self.draws})
        if len(counts) > 1:
            raise CeiValueError(
                f"events have {counts[0]} to {counts[-1]} draws, which are no array\n"
                "hint: take them event by event from `draws`"
            )
        return self.draws[0] if self.single else np.stack(self.draws)

    def to_arviz(self, **options: Any) -> Any:
        """The draws as ArviZ has them; see :meth:`Posterior.to_arviz`."""
        return self.posterior.to_arviz(self.stacked(), **options)


@dataclass(frozen=True)
class _Reading:
    """How tables and files are read."""

    columns: Optional[Sequence[str]] = None
    changes: Optional[Mapping[str, Any]] = None
    drop_invalid: bool = False
    charges: Charges = None

    def says_nothing(self) -> bool:
        return not self.columns and not self.changes and not self.drop_invalid

    def files(self, data: Any) -> _FilesOf:
        return _FilesOf(self, data)


class _FilesOf:
    """The files of a table, as long as they are needed; none for an array."""

    def __init__(self, reading: _Reading, data: Any) -> None:
        self._reading, self._data = reading, data
        self._file: Any = None

    def __enter__(self) -> Optional[dict[str, Any]]:
        files = _tables.as_files(self._data)
        if files is None:
            table = _tables.as_table(self._data)
            if table is None:
                return None
            self._file = _tables.as_file(table)
            files = self._file.__enter__()
        return {
            "files": files,
            "columns": [str(name) for name in self._reading.columns or ()],
            "overrides": _config.given("", self._reading.changes)["overrides"],
            "drop_invalid": self._reading.drop_invalid,
            "charges": _charges_of_all(self._reading.charges),
        }

    def __exit__(self, *error: Any) -> None:
        if self._file is not None:
            self._file.__exit__(None, None, None)


def _arviz(chains: dict[str, np.ndarray], coords: dict[str, Any], dims: dict[str, Any]) -> Any:
    try:
        # 1.x: a tree of groups.
        from arviz_base import from_dict  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        try:
            from arviz import from_dict  # type: ignore[import-not-found,unused-ignore,no-redef]
        except ImportError:
            raise ImportError("`to_arviz` needs ArviZ\nhint: pip install arviz") from None
        return from_dict(posterior=chains, coords=coords, dims=dims)
    return from_dict({"posterior": chains}, coords=coords, dims=dims)


def _count(n: Any) -> int:
    try:
        count = int(n)
    except (TypeError, ValueError):
        count = -1
    if count < 0 or count != n:
        raise CeiValueError(f"`n` is `{n}`, but must be a number of draws")
    return count


def _seed(seed: Any) -> int:
    if int(seed) != seed or not 0 <= int(seed) < 2**64:
        raise CeiValueError(f"`seed` is `{seed}`, but must be a whole number from 0 to 2^64 - 1")
    return int(seed)


def _charges_of_all(charges: Charges) -> Any:
    """Those of all rows of a table."""
    if charges is None or isinstance(charges, str):
        return charges
    if np.ndim(charges) != 1:
        raise CeiValueError("charges that differ between the rows of a table are columns of it")
    return [float(charge) for charge in charges]


def _same_rows(x: np.ndarray, y: np.ndarray, what: str = "positions") -> None:
    if len(x) != len(y):
        raise CeiValueError(f"there are {len(x)} rows of {what}, but {len(y)} of momenta")
