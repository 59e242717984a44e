"""Runs and simulators where sbi expects its own; needs sbi and torch (`crates/python/tests/large.sh`)."""

from __future__ import annotations

import numpy as np
import pytest

import cei

torch = pytest.importorskip("torch")
pytest.importorskip("sbi")

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def wrapped(posterior: cei.Posterior) -> "cei.sbi.Posterior":
    return cei.sbi.Posterior(posterior, seed=1)


def test_shapes_are_those_of_sbi(wrapped: "cei.sbi.Posterior", measured: cei.Events) -> None:
    x = torch.as_tensor(measured.momenta, dtype=torch.float32)
    columns = len(wrapped.names)
    assert wrapped.sample((7,), x=x[0]).shape == (7, columns)
    assert wrapped.set_default_x(x[:1]).sample((2, 3)).shape == (2, 3, columns)
    theta = wrapped.sample_batched((7,), x=x)
    assert theta.shape == (7, 40, columns)
    assert wrapped.log_prob(theta[:, 0], x=x[0]).shape == (7,)
    batched = wrapped.log_prob_batched(theta, x)
    assert batched.shape == (7, 40)
    assert torch.allclose(batched[:, 5], wrapped.log_prob(theta[:, 5], x=x[5]))
    assert not torch.equal(wrapped.sample((7,), x=x[0]), wrapped.sample((7,), x=x[0]))


def test_sbc_and_tarp_run(wrapped: "cei.sbi.Posterior", measured: cei.Events) -> None:
    from sbi.diagnostics import check_sbc, check_tarp, run_sbc, run_tarp

    theta = wrapped.theta(measured.positions, measured.momenta)
    x = torch.as_tensor(measured.momenta, dtype=torch.float32)
    ranks, uniform = run_sbc(theta, x, wrapped, num_posterior_samples=50)
    assert ranks.shape == (40, len(wrapped.names)) and ranks.max() <= 50
    check_sbc(ranks, theta, uniform, num_posterior_samples=50)
    coverage, alpha = run_tarp(theta, x, wrapped, num_posterior_samples=50)
    check_tarp(coverage, alpha)


def test_the_simulator_is_one_of_sbi() -> None:
    """`simulate_for_sbi` draws theta from a prior and calls it."""
    from sbi.inference import simulate_for_sbi
    from sbi.utils import BoxUniform
    from sbi.utils.user_input_checks import check_sbi_inputs, process_prior, process_simulator

    law = {"molecule": {"atoms": [{"element": name, "charge": 1.0} for name in ("C", "O")]}}
    low = torch.tensor([0, 0, 0, 2, -0.5, -0.5])
    prior, _, returns_numpy = process_prior(BoxUniform(low, low + 1.0))
    simulator = process_simulator(cei.sbi.simulator(law), prior, returns_numpy)
    check_sbi_inputs(simulator, prior)
    theta, x = simulate_for_sbi(simulator, prior, num_simulations=20)
    expected = cei.explode(theta.numpy(), law)
    assert x.shape == (20, 6) and np.allclose(x.numpy(), expected, rtol=1e-5, atol=1e-4)
