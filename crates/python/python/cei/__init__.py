"""Coulomb explosion imaging, run backwards: from the momenta of ions to the geometry of the molecule.

===================  ================================================================================
``load``             a trained run as a posterior: ``sample``, ``log_prob``, ``refine``
``train``            a model, on a table, on arrays or on a simulator, into a run folder
``simulate``         events of a geometry law, with their momenta
``explode``          momenta of given positions
``evaluate``         errors, coverage, baselines and floors of a run
``calibrate``        whether its posterior is as wide as it says
``presets``          the configurations that come with the package
``cei.sbi``          runs and simulators for the package ``sbi``
===================  ================================================================================

Positions are in bohr, momenta in the unit of the run's table (atomic units unless it says otherwise), bond lengths in
pm, angles in degrees, densities in nats. Every number is that of the command ``cei``, to the bit. The guide is
``docs/python.md`` of the repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cei._cei import __version__
from cei.errors import (
    CeiError,
    CeiValueError,
    CeiWarning,
    ConfigError,
    DataError,
    NotPossibleError,
    RunFolderError,
)

if TYPE_CHECKING:
    from cei._pipelines import Events, calibrate, evaluate, explode, presets, simulate, train
    from cei._posterior import Posterior, Refined, load

__all__ = [
    "CeiError",
    "CeiValueError",
    "CeiWarning",
    "ConfigError",
    "DataError",
    "Events",
    "NotPossibleError",
    "Posterior",
    "Refined",
    "RunFolderError",
    "__version__",
    "calibrate",
    "evaluate",
    "explode",
    "load",
    "presets",
    "simulate",
    "train",
]


def __getattr__(name: str) -> object:
    # The command `cei` needs neither numpy nor these modules: it begins at once, and before it no other library begins
    # threads, which would take the signals that the command waits for.
    from importlib import import_module

    if name == "sbi":
        return import_module("cei.sbi")
    if name in __all__:
        for module in ("cei._posterior", "cei._pipelines"):
            found = getattr(import_module(module), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module 'cei' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
