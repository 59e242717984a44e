"""What ArviZ is given."""

from __future__ import annotations

import numpy as np
import pytest

import cei

pytest.importorskip("arviz")


def test_draws_are_a_chain_of_named_quantities(posterior: cei.Posterior, measured: cei.Events) -> None:
    draws = posterior.sample(measured.momenta[:3], 50)
    tree = posterior.to_arviz(draws, events=["a", "b", "c"])
    group = tree["posterior"]
    assert group["cx"].dims == ("chain", "draw", "event") and group["cx"].shape == (1, 50, 3)
    assert list(group["event"].values) == ["a", "b", "c"]
    assert np.array_equal(group["cx"].values[0], draws[..., 0].T)
    lengths = posterior.bond_lengths(draws)
    assert np.array_equal(group["C-S_pm"].values[0, :, 2], lengths[2, :, posterior.bond_names.index("C-S")])
    assert {"O-C-S_deg", "pcx"} - set(group.data_vars) == {"pcx"}


def test_refined_draws_of_one_event_have_no_event(posterior: cei.Posterior, measured: cei.Events) -> None:
    refined = posterior.refine(measured.momenta[0], 60)
    group = refined.to_arviz()["posterior"]
    assert group["cx"].dims == ("chain", "draw") and group["cx"].shape == (1, 60)
