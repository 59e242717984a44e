#!/usr/bin/env bash
# PyCESim 0.0.10 (PyPI, a simulator of Coulomb explosions): thermal Wigner sampling of a soft mode is too narrow.
#
# The thermal Wigner function of a harmonic mode is a Gaussian: dimensionless coordinate and momentum have the variance
# coth(h nu / 2 k T) / 2 each. `generate_pool(method="wigner", T=300)` draws the state n from the populations and then
# rejects against that state's Wigner function. For n > 0 this function is negative in places, where nothing is drawn (the
# negative parts are what makes the mixture Gaussian), and coordinates stop at `wigner_sample_max` = 3. A mode of 100 cm^-1
# at 300 K (iodine compounds have such) gets about 60 % of its variance, without a word, and 70 % with
# more states (`nmax`, 5 by default). The ground state, and a stiff mode, are right.
#
# Seen (Python 3.11, numpy 2.2.6), 4,000 samples each, whose variances scatter by 2 %:
#   2000 cm^-1,   0 K, nmax  5: variance of Q 0.517, of P 0.493, exact 0.500
#   2000 cm^-1, 300 K, nmax  5: variance of Q 0.513, of P 0.491, exact 0.500
#    100 cm^-1, 300 K, nmax  5: variance of Q 1.236, of P 1.291, exact 2.125
#    100 cm^-1, 300 K, nmax 30: variance of Q 1.473, of P 1.422, exact 2.125
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


def variances(wavenumber, temperature, states):
    np.random.seed(1)
    masses = np.array([12.0, 16.0])
    stretch = np.zeros((1, 2, 3))
    stretch[0, :, 2] = [1 / masses[0], -1 / masses[1]]
    with contextlib.redirect_stdout(io.StringIO()):
        geometry = PyCESim.Geometry(
            [[0, 0, 0], [0, 0, 1.2]], masses, nmodes=stretch, omegas=np.array([float(wavenumber)])
        )
        conditions = PyCESim.StartingConditions(geometry)
        conditions.generate_pool(4000, method="wigner", T=temperature, nmax=states, p_sample=True)
    # h c / k = 1.4387769 cm K
    exact = 0.5 / np.tanh(1.4387769 * wavenumber / 2 / temperature) if temperature else 0.5
    q, p = np.var(conditions.samp_q_list), np.var(conditions.samp_p_list)
    print(
        f"{wavenumber:5} cm^-1, {temperature:3} K, nmax {states:2}: "
        f"variance of Q {q:.3f}, of P {p:.3f}, exact {exact:.3f}"
    )
    return q / exact, p / exact


for right in (variances(2000, 0, 5), variances(2000, 300, 5)):
    assert all(abs(ratio - 1) < 0.08 for ratio in right), right
for narrow in (variances(100, 300, 5), variances(100, 300, 30)):
    assert all(ratio < 0.8 for ratio in narrow), narrow
PYTHON
