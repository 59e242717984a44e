#!/usr/bin/env bash
# ASE 3.29.0 reads an extended XYZ file with velocities, and the atoms are at rest; with masses, and they are not used.
#
# Programs that write extended XYZ call the columns `velo` (velocities; QUIP, OVITO) and `mass`. ASE takes both into
# `Atoms.arrays` under these names and says nothing; `get_velocities()` and `get_momenta()` are zero and `get_masses()` are those
# of the elements, because ASE's own columns are called `momenta` and `masses`. What follows from momenta (kinetic
# energy, temperature, the start of an explosion) is then that of a molecule at rest, without a warning. Expected:
# velocities, or a message that the columns are not understood.
#
# Seen (Python 3.11, numpy 2.2.6):
#   velo, mass:      kinetic energy 0.0, masses [1.008, 15.999]
#   momenta, masses: kinetic energy 3.913..., masses [2.014, 15.995]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check ase==3.29.0 numpy==2.2.6
cd "$work"
MPLCONFIGDIR="$work" "$work/env/bin/python" - <<'PYTHON'
from ase.io import read

for motion, mass in [("velo", "mass"), ("momenta", "masses")]:
    with open("moving.xyz", "w") as file:
        file.write(
            f"2\nProperties=species:S:1:pos:R:3:{motion}:R:3:{mass}:R:1\n"
            "H 0.0 0.0 0.00 1.0 2.0 3.0 2.014\n"
            "O 0.0 0.0 0.97 1.0 2.0 3.0 15.995\n"
        )
    atoms = read("moving.xyz")
    assert motion in atoms.arrays and mass in atoms.arrays
    energy, masses = atoms.get_kinetic_energy(), atoms.get_masses().tolist()
    print(f"{motion}, {mass}: kinetic energy {energy}, masses {masses}")
    if motion == "velo":
        assert energy == 0.0 and masses == [1.008, 15.999]
    else:
        assert energy > 3.0 and masses == [2.014, 15.995]
PYTHON
