"""The weights outside of cei: `examples/python/weights.py`, in plain numpy, gives the same draws and densities.

cei computes in single precision, the script in double: draws agree to 1e-5 bohr, densities to 1e-5 of themselves.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import cei
from conftest import ROOT, SMALL, in_folder

AFFINE = {"model": {"couplings": 4, "hidden": [32, 32]}, "training": SMALL["training"]}
VAE = {"model": {"encoder_hidden": [32], "decoder_hidden": [32, 32], "latent": 4}, "training": SMALL["training"]}
EVERY_KIND = [
    {"layer": "act-norm"},
    {"layer": "permutation", "seed": 3},
    {"layer": "affine", "subnet": {"kind": "mlp", "hidden": [16], "activation": "tanh"}},
    {"layer": "lu-linear", "seed": 5},
    {"layer": "flip"},
    {"layer": "spline", "bins": 5, "subnet": {"kind": "residual", "width": 16, "blocks": 1, "activation": "gelu"}},
    {"layer": "affine"},
]
LISTED = {"model": {"kind": "cinn", "layers": EVERY_KIND}, "training": SMALL["training"]}
PRIOR = {"model": {**VAE["model"], "prior": "conditional", "prior_hidden": [16]}, "training": SMALL["training"]}


@pytest.fixture(scope="module")
def weights() -> ModuleType:
    folder = ROOT / "examples" / "python"
    sys.path.insert(0, str(folder))
    try:
        import weights
    finally:
        sys.path.remove(str(folder))
    return weights


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("wide-cinn", AFFINE),
        ("wide-spline", SMALL),
        ("wide-cinn", LISTED),
        ("gauge-fixed-cinn", AFFINE),
        ("wide-cvae", VAE),
        ("wide-sigma-vae", VAE),
        ("wide-sigma-vae", PRIOR),
    ],
)
def test_draws_and_densities(
    weights: ModuleType, preset: str, changes: dict[str, Any], events: cei.Events, measured: cei.Events, tmp_path: Path
) -> None:
    run = cei.train(preset, data=events, out=tmp_path / "run", changes=changes)
    mine = weights.Run(run.path)
    source = tomllib.loads(run.configuration)["evaluation"]["latent"]
    draws = mine.sample(measured.momenta, 30, seed=4, source=source)
    assert np.abs(draws - run.sample(measured.momenta, 30, seed=4, check=False)).max() < 1e-5
    if "cvae" not in preset and "vae" not in preset:
        expected = run.log_prob(measured.positions, measured.momenta)
        found = mine.log_prob(measured.positions, measured.momenta)
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize(
    ("preset", "changes"), [("wide-cinn", AFFINE), ("wide-spline", SMALL), ("wide-sigma-vae", VAE)]
)
def test_torch_and_zuko_agree(
    preset: str, changes: dict[str, Any], events: cei.Events, measured: cei.Events, tmp_path: Path
) -> None:
    """Needs torch and zuko (`crates/python/tests/large.sh`)."""
    pytest.importorskip("torch"), pytest.importorskip("zuko")
    run = cei.train(preset, data=events, out=tmp_path / "run", changes=changes)
    np.save(tmp_path / "momenta.npy", measured.momenta)
    script = ROOT / "examples" / "python" / "torch_check.py"
    told = in_folder(str(script), tmp_path, run.path, "momenta.npy")
    assert told.returncode == 0, told.stdout + told.stderr
