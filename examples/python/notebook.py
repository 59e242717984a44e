"""From a simulation to a posterior of OCS: two minutes on two cores."""

import arviz as az
import matplotlib.pyplot as plt

import cei

# 20,000 explosions of wide geometries, as a detector with 1 a.u. of noise sees them: bohr, a.u.
events = cei.simulate("ocs-wide", n=20_000, seed=1)

# A small spline flow; the folder can be used by the command `cei` too.
small = {"couplings": 4, "hidden": [64, 64]}
training = {"max_epochs": 15, "patience": 15}
posterior = cei.train("wide-spline", data=events, out="runs/ocs", changes={"model": small, "training": training})

# Events that it has not seen, and what the network and the simulator infer from the first of them.
measured = cei.simulate("ocs-wide", n=5, seed=2)
draws = posterior.sample(measured.momenta, n=1000)
refined = posterior.refine(measured.momenta[0], n=1000)
print("bond lengths (pm):", dict(zip(posterior.bond_names, posterior.bond_lengths(refined.stacked()).mean(0).round(1))))
print("truth (pm):", posterior.bond_lengths(measured.positions[0]).round(1), "k-hat:", refined.k_hat.round(2))
az.plot_pair(refined.to_arviz(), var_names=["C-O_pm", "C-S_pm", "O-C-S_deg"])
plt.savefig("posterior.png")
