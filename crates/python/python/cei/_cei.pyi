"""The compiled part of the package, which its modules call."""

import os
from collections.abc import Sequence
from typing import Any, Optional, TypedDict, Union, final

import numpy as np
from numpy.typing import NDArray

from cei._watch import Watch

__all__ = [
    "Measured",
    "Posterior",
    "Table",
    "__version__",
    "calibrate",
    "column_names",
    "command",
    "evaluate",
    "explode",
    "presets",
    "simulate",
    "train",
]
__version__: str

_Matrix = NDArray[np.float64]
_Charges = Union[list[float], str, None]
_Path = Union[str, os.PathLike[str]]

class _Events(TypedDict):
    positions: _Matrix
    momenta: _Matrix
    nuisances: _Matrix
    charges: _Matrix
    initial_momenta: _Matrix
    position_names: list[str]
    momentum_names: list[str]
    nuisance_names: list[str]
    charge_names: list[str]
    simulation: str

class _Refined(TypedDict):
    noise: bool
    draws: list[_Matrix]
    modes: list[_Matrix]
    mode_weights: list[_Matrix]
    mode_misfits: list[_Matrix]
    mode_outside_law: list[list[bool]]
    k_hat: _Matrix
    effective_sample_size: _Matrix
    log_evidence: _Matrix
    outside_model: list[str]
    law_edge: list[str]
    initial_momenta: list[_Matrix]
    charge_states: _Matrix
    state_probabilities: _Matrix
    state_of_draws: list[list[int]]
    state_of_modes: list[list[int]]

@final
class Table:
    def __new__(cls, columns: Sequence[tuple[str, Any]]) -> Table: ...
    @staticmethod
    def of_stream(capsule: Any) -> Table: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def left_out(self) -> list[tuple[str, str]]: ...
    def write(self, path: _Path) -> None: ...

@final
class Measured:
    @property
    def outside(self) -> list[str]: ...
    @property
    def numbers(self) -> list[int]: ...

@final
class Posterior:
    def __new__(cls, path: _Path, device: str) -> Posterior: ...
    def remarks(self) -> list[str]: ...
    def record(self) -> str: ...
    def configuration(self) -> str: ...
    def name(self) -> str: ...
    def x_names(self) -> list[str]: ...
    def y_names(self) -> tuple[list[str], list[str]]: ...
    def y_unit(self) -> str: ...
    def frame(self) -> str: ...
    def internal_names(self) -> tuple[list[str], list[str]]: ...
    def measured(self, y: _Matrix, charges: _Charges, judge: bool, watch: Watch) -> Measured: ...
    def measured_in(self, files: dict[str, Any], watch: Watch) -> Measured: ...
    def sample(self, measured: Measured, out: _Matrix, seed: int, watch: Watch) -> None: ...
    def log_prob(self, x: _Matrix, y: _Matrix, charges: _Charges, in_run: bool) -> _Matrix: ...
    def log_prob_in(self, files: dict[str, Any], watch: Watch) -> _Matrix: ...
    def turned(self, x: _Matrix, y: _Matrix, back: bool) -> _Matrix: ...
    def internal(self, x: _Matrix, angles: bool) -> _Matrix: ...
    def refine(self, measured: Measured, draws: int, seed: int, initial_momenta: bool, watch: Watch) -> _Refined: ...

def simulate(
    config: dict[str, Any],
    n: Optional[int],
    seed: Optional[int],
    positions: Optional[_Matrix],
    watch: Watch,
) -> _Events: ...
def explode(
    positions: _Matrix,
    molecule: Optional[list[tuple[Any, ...]]],
    config: Optional[dict[str, Any]],
    initial: Optional[_Matrix],
) -> _Matrix: ...
def train(config: dict[str, Any], given: dict[str, Any], table: Optional[Table], watch: Watch) -> str: ...
def column_names(config: dict[str, Any]) -> tuple[list[str], list[str]]: ...
def presets() -> tuple[list[str], list[str]]: ...
def evaluate(
    run: _Path,
    files: Optional[dict[str, Any]],
    all: bool,
    draws: Optional[int],
    seed: int,
    device: str,
    watch: Watch,
) -> str: ...
def calibrate(
    run: _Path,
    events: int,
    draws: int,
    seed: int,
    level: float,
    refine: bool,
    charges_known: bool,
    out: Optional[_Path],
    device: str,
    watch: Watch,
) -> str: ...
def command(arguments: list[str]) -> int: ...
