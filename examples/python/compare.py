"""How far the plain-numpy script is from cei: draws and densities of a run, beside those of the command `cei`.

    python compare.py runs/mine events.csv

The table holds positions and momenta with the names of the run's columns, in bohr and atomic units. `cei` is the one on the
path, or that of the variable CEI.

cei computes in single precision, the script in double. What single precision does to a density is measured beside it, by the
script itself: all of it in single precision, and in double precision but with rows that are rounded as the network gets them.
"""

import csv
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from weights import Flow, Run

EVENTS, DRAWS, SEED = 100, 20, 3
#: Draws (bohr) and densities (as a part of their logarithm) agree so ...
CLOSE = 1e-5
#: ... or, where a map is steep, within so many times what the script in single precision is off at most: cei takes its sums in
#: another order.
ROUND_OFF = 4


def read(path):
    """Columns of a CSV file by their names."""
    with open(path, newline="") as file:
        names, *rows = csv.reader(file)
    return dict(zip(names, np.array(rows, dtype=np.float64).T))


def matrix(table, names):
    return np.stack([table[name] for name in names], axis=1)


def cei(*arguments):
    call = [os.environ.get("CEI", "cei"), *map(str, arguments)]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout


def draws_apart(folder, run, y, few):
    """The largest difference of draws from the script in double precision, bohr: those of cei, and of the script in single
    precision."""
    source = tomllib.loads((Path(folder) / "config.toml").read_text())["evaluation"]["latent"]
    with tempfile.TemporaryDirectory() as work:
        cei("predict", folder, few, "-n", DRAWS, "--seed", SEED, "-o", f"{work}/draws.csv", "--quiet")
        expected = matrix(read(f"{work}/draws.csv"), run.steps["x"]["names"])
    double, single = (run.sample(y, DRAWS, SEED, source) for run in (run, Run(folder, np.float32)))
    return np.abs(double - expected.reshape(double.shape)).max(), np.abs(double - single).max()


def densities(folder, run, x, y, few):
    """`log p(x | y)` by the script in double precision, and by others, with their names."""
    single = Run(folder, np.float32)
    (scaled, log_det), momenta = single.scaled_positions(x, y), single.scaled_momenta(y)
    told = cei("log-prob", folder, few).splitlines()[1:]
    return run.log_prob(x, y), {
        "cei": np.array([float(line.split(",")[1]) for line in told]),
        "script in single precision": single.log_prob(x, y),
        "script, rows rounded": run.scaled_log_prob(scaled.astype(float), momenta.astype(float)) - log_det,
    }


def main():
    folder, path = sys.argv[1:3]
    run, table = Run(folder), {name: column[:EVENTS] for name, column in read(path).items()}
    x, y = (matrix(table, run.steps[side]["names"]) for side in "xy")
    with tempfile.TemporaryDirectory() as work:
        few = f"{work}/events.csv"
        lines = Path(path).read_text().splitlines(keepends=True)
        Path(few).write_text("".join(lines[: EVENTS + 1]))
        apart, single = draws_apart(folder, run, y, few)
        print(f"draws: largest difference {apart:.1e} bohr; of the script in single precision {single:.1e}")
        agree = apart <= max(CLOSE, ROUND_OFF * single)
        if not all(isinstance(member.model, Flow) for member in run.members):
            return int(not agree)
        double, others = densities(folder, run, x, y, few)
    scale, off = np.maximum(1, np.abs(double)), {name: np.abs(values - double) for name, values in others.items()}
    print(f"log p(x | y) from {double.min():.3g} to {double.max():.3g} nats; from the script in double precision are off")
    for name, far in off.items():
        parts = f"of the logarithm {np.median(far / scale):.1e}, at most {(far / scale).max():.1e}"
        print(f"  {name}: median {np.median(far):.1e}, at most {far.max():.1e} nats; {parts}")
    allowed = np.maximum(CLOSE * scale, ROUND_OFF * off["script in single precision"].max())
    return int(not (agree and (off["cei"] <= allowed).all()))


if __name__ == "__main__":
    sys.exit(main())
