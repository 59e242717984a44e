#!/usr/bin/env bash
# PyCESim 0.0.10 (PyPI, a simulator of Coulomb explosions): `read_traj_xyz` stops at 2,000 frames.
#
# A trajectory of 2,500 frames, each with its time in the comment line as that reader wants it, comes back as
# 2,000 geometries, without an error or a warning; it prints `Finished reading at time point 1999`, as it does of
# a file that ends there. Expected: 2,500 geometries, or a message. (The loop runs over `range(0, 2000)`;
# `read_traj_xyz2` has the same loop.)
#
# Also there: a `Geometry` made with atomic numbers, as `read_log` makes it, names every element `?`, because the
# numbers are looked up in a dictionary whose keys are the symbols.
#
# Seen (Python 3.11, numpy 2.2.6):
#   frames in the file 2500, geometries returned 2000, last time 1999.0
#   elements of atomic numbers 8, 6, 16: ['?', '?', '?']
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check PyCESim==0.0.10 numpy==2.2.6
cd "$work"
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/env/bin/python" - <<'PYTHON'
import contextlib
import io

import numpy as np
from PyCESim import PyCESim

frames = 2500
with open("trajectory.xyz", "w") as file:
    for time in range(frames):
        file.write(f"3\ntime = {time}\nO 0 0 -1.16\nC 0 0 0\nS 0 0 {1.56 + 1e-3 * time}\n")
with contextlib.redirect_stdout(io.StringIO()):
    geometries, times = PyCESim.read_traj_xyz("trajectory.xyz")
print(f"frames in the file {frames}, geometries returned {len(geometries)}, last time {times[-1]}")
assert len(geometries) == 2000 and times[-1] == 1999.0

positions = [[0, 0, -1.16], [0, 0, 0], [0, 0, 1.56]]
geometry = PyCESim.Geometry(positions, [16.0, 12.0, 32.0], atom_nos=np.array([8, 6, 16]))
print(f"elements of atomic numbers 8, 6, 16: {geometry.element_list}")
assert geometry.element_list == ["?", "?", "?"]
PYTHON
