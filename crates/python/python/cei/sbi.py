"""Runs and simulators for the package ``sbi``: simulation-based calibration, coverage and training there.

sbi calls what is inferred ``theta`` and what is measured ``x``; here these are positions (bohr) and momenta. Tensors come
in and go out; torch is needed only once one of these functions is called.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np

from cei._config import Config
from cei._pipelines import Run, simulate
from cei._posterior import Posterior as _Posterior
from cei.errors import CeiValueError

__all__ = ["Posterior", "simulator"]


class Posterior:
    """A trained run where sbi's diagnostics expect a posterior, as ``run_sbc``, ``run_tarp`` and
    ``get_nltp`` do.

    Parameters
    ----------
    run
        The run, or its folder. ``theta`` are its positions in its frame (:meth:`theta` turns those of a table), ``x`` its
        momenta.
    seed
        Seed of the draws. Each call draws anew.
    columns
        Names of the positions that ``theta`` consists of; by default those that vary. A density needs all that vary.
    """

    def __init__(
        self,
        run: Run,
        seed: int = 0,
        columns: Optional[Sequence[str]] = None,
    ) -> None:
        self.run = run if isinstance(run, _Posterior) else _Posterior(run)
        self.default_x: Any = None
        self._seeds = np.random.SeedSequence(seed)
        dead = _dead(self.run.record)
        self._alive = [index for index in range(len(self.run.names)) if index not in dead]
        self._columns = self._alive if columns is None else [self.run.names.index(c) for c in columns]
        self._constants = np.array([dead.get(i, np.nan) for i in range(len(self.run.names))])

    @property
    def names(self) -> list[str]:
        """Names of the components of ``theta``."""
        return [self.run.names[index] for index in self._columns]

    def set_default_x(self, x: Any) -> Posterior:
        """Momenta that are meant where none are given."""
        self.default_x = x
        return self

    def theta(self, positions: Any, momenta: Any) -> Any:
        """Positions of a table (rows, columns of the run; bohr), with its momenta, as ``theta``: what a test is given as
        the truth."""
        rows = self.run.in_frame(_numpy(positions), _numpy(momenta))
        return _tensor(rows[:, self._columns])

    def sample(self, sample_shape: Union[Sequence[int], int] = (), x: Any = None, **_: Any) -> Any:
        """Draws (*sample_shape, columns) for one row of momenta."""
        shape = _shape(sample_shape)
        momenta = self._momenta(x)
        if len(momenta) != 1:
            raise CeiValueError(
                f"`x` holds {len(momenta)} events, but `sample` takes one\nhint: `sample_batched` takes several"
            )
        draws = self._draws(momenta, int(np.prod(shape)))[0]
        return _tensor(draws.reshape(*shape, len(self._columns)))

    def sample_batched(self, sample_shape: Union[Sequence[int], int], x: Any, **_: Any) -> Any:
        """Draws (*sample_shape, events, columns) for several rows of momenta."""
        shape = _shape(sample_shape)
        momenta = self._momenta(x)
        draws = np.swapaxes(self._draws(momenta, int(np.prod(shape))), 0, 1)
        return _tensor(draws.reshape(*shape, len(momenta), len(self._columns)))

    def log_prob(self, theta: Any, x: Any = None, **_: Any) -> Any:
        """Log-density (rows) of ``theta`` (rows, columns) for one row of momenta, or for one each."""
        rows = np.atleast_2d(_numpy(theta))
        return _tensor(self.run.log_prob(self._positions(rows), self._momenta(x), frame="run"))

    def log_prob_batched(self, theta: Any, x: Any, **_: Any) -> Any:
        """Log-density (draws, events) of ``theta`` (draws, events, columns) for several rows of momenta."""
        values = np.swapaxes(_numpy(theta), 0, 1)
        found = self.run.log_prob(self._positions(values), self._momenta(x), frame="run")
        return _tensor(found.T)

    def _draws(self, momenta: np.ndarray, count: int) -> np.ndarray:
        seed = int(self._seeds.spawn(1)[0].generate_state(1, np.uint64)[0])
        draws = self.run.sample(momenta, count, seed=seed, check=False, progress=False)
        return draws[..., self._columns]

    def _positions(self, theta: np.ndarray) -> np.ndarray:
        """All positions of the run; those that never vary are what they always are."""
        missing = [self.run.names[i] for i in self._alive if i not in self._columns]
        if missing:
            raise CeiValueError(f"a density needs all positions that vary; `columns` lacks {', '.join(missing)}")
        rows = np.broadcast_to(self._constants, (*theta.shape[:-1], len(self._constants))).copy()
        rows[..., self._columns] = theta
        return rows

    def _momenta(self, x: Any) -> np.ndarray:
        x = self.default_x if x is None else x
        if x is None:
            raise CeiValueError("no `x` is given\nhint: give the momenta, or call `set_default_x`")
        return np.atleast_2d(_numpy(x))


def simulator(config: Config, *, seed: int = 0, changes: Optional[Mapping[str, Any]] = None) -> Any:
    """The explosion, with its orientation, detector noise and frame, as a simulator of sbi.

    Parameters
    ----------
    config
        A simulation; its geometry law is not used.
    seed
        Seed of the noise. Each call draws anew.

    Returns
    -------
    callable
        From positions ``theta`` (events, 3 N; bohr) to momenta ``x`` (events, 3 N; a.u.).
    """
    seeds = np.random.SeedSequence(seed)

    def explode(theta: Any) -> Any:
        rows = np.atleast_2d(_numpy(theta))
        # TOML keeps seeds with a sign.
        number = int(seeds.spawn(1)[0].generate_state(1, np.uint64)[0] >> np.uint64(1))
        made = simulate(config, seed=number, positions=rows, changes=changes, progress=False)
        return _tensor(made.momenta.reshape(*np.shape(theta)[:-1], -1))

    return explode


def _dead(record: Mapping[str, Any]) -> dict[int, float]:
    """Positions that never vary in the frame of the run, by their place, with their value."""
    dead = record["preprocessing"]["x"]["dead"]
    return {column["index"]: column["constant"] for column in dead}


def _shape(sample_shape: Union[Sequence[int], int]) -> tuple[int, ...]:
    return (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)


def _numpy(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values, dtype=np.float64)


def _tensor(values: np.ndarray) -> Any:
    import torch  # type: ignore[import-not-found,unused-ignore]

    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)
