"""Neural posterior estimation by sbi with its defaults (NPE, neural spline flow, CPU) on a table of cei: seconds until it stops."""

import argparse, json, time

ap = argparse.ArgumentParser()
ap.add_argument("table", help="Parquet: nine positions (bohr) of three atoms, centre of mass at rest at the origin, and momenta")
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--epochs", type=int, default=2**31 - 1, help="most epochs, if sbi does not stop before")
a = ap.parse_args()
import numpy as np, pyarrow.parquet as pq, torch
from sbi.inference import NPE

torch.set_num_threads(a.threads)
torch.manual_seed(1)
table = pq.read_table(a.table)
columns = {name: table[name].to_numpy() for name in table.column_names}
momenta = np.column_stack([values for name, values in columns.items() if name.startswith("p")])
positions = np.column_stack([columns[atom + axis] for atom in "cos" for axis in "xyz"])
# Components that the frame makes zero say nothing, and the third atom is where the centre of mass says.
momenta = momenta[:, momenta.std(0) > 1e-9]
free = positions[:, :6]
embedding = np.linalg.lstsq(free, positions, rcond=None)[0]
assert np.abs(free @ embedding - positions).max() < 1e-6, "the third atom does not follow from the others"
# From a density of the first two atoms to one per unit volume of orthonormal coordinates of the plane that positions are in.
volume = 0.5 * np.linalg.slogdet(embedding @ embedding.T)[1]

inference = NPE(density_estimator="nsf", device="cpu", show_progress_bars=False)
inference.append_simulations(torch.tensor(free, dtype=torch.float32), torch.tensor(momenta, dtype=torch.float32))
begin = time.time()
inference.train(max_num_epochs=a.epochs)
seconds = time.time() - begin
summary = inference.summary
print(json.dumps({
    "quality_loss": float(np.min(summary["validation_loss"])) + volume,
    "seconds": seconds,
    "epochs": int(summary["epochs_trained"][-1]),
}))
