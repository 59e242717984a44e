#!/usr/bin/env bash
# sbi 0.27.0 (PyPI, simulation-based inference): `NPE.train(max_num_epochs=N)` trains N + 1 epochs.
#
# The documentation calls it the maximum number of epochs to run. The loop of `trainers/base.py` goes on while
# `epoch <= max_num_epochs`, and `epoch` starts at 0; the warning at the end says `max_num_epochs=1 reached` after
# two. Who compares the time of N epochs with that of another program gives sbi one epoch more, and who trains
# one epoch to try a script waits twice as long. Expected: N epochs.
#
# Seen (Python 3.11, torch 2.15.0, numpy 2.4.6):
#   max_num_epochs=1: epochs trained 2, validation losses 2
#   max_num_epochs=2: epochs trained 3, validation losses 3
#   max_num_epochs=5: epochs trained 6, validation losses 6
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check sbi==0.27.0 torch==2.15.0 numpy==2.4.6
cd "$work"
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/env/bin/python" - <<'PYTHON'
import warnings

import torch
from sbi.inference import NPE

warnings.filterwarnings("ignore")
torch.manual_seed(0)
theta = torch.randn(200, 2)
x = theta + 0.1 * torch.randn(200, 2)
for most in (1, 2, 5):
    npe = NPE(show_progress_bars=False)
    npe.append_simulations(theta, x).train(max_num_epochs=most)
    trained = npe.summary["epochs_trained"][-1]
    losses = len(npe.summary["validation_loss"])
    print(f"max_num_epochs={most}: epochs trained {trained}, validation losses {losses}")
    assert trained == losses == most + 1
PYTHON
