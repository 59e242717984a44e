"""How far the plain-numpy script is from cei: draws and densities of a run, beside those of the command `cei`.

    python compare.py runs/mine events.parquet

The table holds positions and momenta with the names of the run's columns, in bohr and atomic units. Needs pyarrow, and `cei` on the
path or named by the variable CEI.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from weights import Flow, Run

EVENTS, DRAWS, SEED = 20, 50, 3


def matrix(table, names):
    return np.stack([table[name].to_numpy() for name in names], axis=1)


def main():
    folder, table = sys.argv[1], parquet.read_table(sys.argv[2]).slice(0, EVENTS)
    run, cei = Run(folder), os.environ.get("CEI", "cei")
    x_names, y_names = (run.steps[side]["names"] for side in "xy")
    x, y = matrix(table, x_names), matrix(table, y_names)
    source = tomllib.loads((Path(folder) / "config.toml").read_text())["evaluation"]["latent"]
    with tempfile.TemporaryDirectory() as work:
        few, draws = f"{work}/events.parquet", f"{work}/draws.parquet"
        parquet.write_table(table, few)
        call = [cei, "predict", folder, few, "-n", str(DRAWS), "--seed", str(SEED), "-o", draws, "--quiet"]
        subprocess.run(call, check=True)
        expected = matrix(parquet.read_table(draws), x_names).reshape(len(y), DRAWS, -1)
        apart = np.abs(run.sample(y, DRAWS, SEED, source) - expected).max()
        print(f"draws: largest difference {apart:.1e} bohr")
        if not isinstance(run.model, Flow):
            return int(not apart < 1e-5)
        told = subprocess.run([cei, "log-prob", folder, few], check=True, capture_output=True, text=True)
    expected = np.array([float(line.split(",")[1]) for line in told.stdout.splitlines()[1:]])
    off = np.abs(run.log_prob(x, y) - expected)
    print(f"log p(x | y): largest difference {off.max():.1e} nats, of {np.abs(expected).max():.3g}")
    return int(not (apart < 1e-5 and (off < 1e-5 * np.maximum(1, np.abs(expected))).all()))


if __name__ == "__main__":
    sys.exit(main())
