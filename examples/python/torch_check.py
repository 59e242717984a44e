"""The weights of a run in torch and zuko, beside the plain-numpy script: how far they are apart.

    python torch_check.py runs/mine momenta.npy

Perceptrons and residual networks become modules of torch, the splines of a spline flow are zuko's.
"""

import math
import sys

import numpy as np
import torch
from weights import LEAST, Cvae, Run, softmax
from zuko.transforms import MonotonicRQSTransform

ACTIVATIONS = {"relu": torch.nn.ReLU, "elu": torch.nn.ELU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}


class Residual(torch.nn.Module):
    """`h += W2 a(W1 a(h))`, once a block."""

    def __init__(self, layers, activation):
        super().__init__()
        self.layers, self.activation = torch.nn.ModuleList(layers), activation

    def forward(self, x):
        h = self.layers[0](x)
        for first, second in zip(self.layers[1:-1:2], self.layers[2:-1:2]):
            h = h + second(self.activation(first(self.activation(h))))
        return self.layers[-1](h)


def module(weights, name, kind, activation):
    """The network of this name, with its weights."""
    layers = []
    for k in range(weights.depth(name)):
        matrix = torch.as_tensor(weights.arrays[f"{name}.layers.{k}.weight"])
        layer = torch.nn.Linear(*matrix.shape, dtype=torch.float64)
        bias = torch.as_tensor(weights.arrays[f"{name}.layers.{k}.bias"])
        layer.load_state_dict({"weight": matrix.T, "bias": bias})
        layers.append(layer)
    if kind == "residual":
        return Residual(layers, ACTIVATIONS[activation]())
    between = [part for layer in layers for part in (layer, ACTIVATIONS[activation]())]
    return torch.nn.Sequential(*between[:-1])


def zuko_spline(x2, output, bins, bound):
    """The spline of zuko with these knots: values, and logs of slopes."""
    raw = output.numpy().reshape(*x2.shape, 3 * bins - 1)
    spline = MonotonicRQSTransform(*(torch.zeros(*x2.shape, n, dtype=torch.float64) for n in (bins, bins, bins - 1)))
    for name, part in [("horizontal", raw[..., :bins]), ("vertical", raw[..., bins : 2 * bins])]:
        sizes = 2 * bound * (LEAST + (1 - bins * LEAST) * softmax(part))
        knots = np.concatenate([np.zeros((*x2.shape, 1)), np.cumsum(sizes, -1)], -1) - bound
        setattr(spline, name, torch.as_tensor(knots))
    slopes = LEAST + np.logaddexp(0, raw[..., 2 * bins :] + math.log(math.expm1(1 - LEAST)))
    edge = np.ones((*x2.shape, 1))
    spline.derivatives = torch.as_tensor(np.concatenate([edge, slopes, edge], -1))
    return spline.call_and_ladj(x2)


def log_prob(flow, x, y):
    """`log p` of scaled rows, with torch's networks and zuko's splines."""
    x, log_det = torch.as_tensor(x), 0.0
    y = torch.as_tensor(y)
    for layer in flow.layers:
        name, _, config = layer
        if config["layer"] not in ("affine", "spline"):
            moved, term = flow.step(layer, x.numpy(), y.numpy(), False)
            x, log_det = torch.as_tensor(moved.copy()), log_det + term
            continue
        subnet = config["subnet"]
        network = module(flow.weights, f"{name}.subnet", subnet["kind"], subnet.get("activation", "relu"))
        x1, x2 = x[:, : flow.kept], x[:, flow.kept :]
        with torch.no_grad():
            output = network(torch.hstack([x1, y]))
        if config["layer"] == "affine":
            u, t = output.tensor_split(2, 1)
            s = config["clamp"] * torch.tanh(u / config["clamp"])
            x2, slopes = x2 * s.exp() + t, s
        else:
            x2, slopes = zuko_spline(x2, output, config["bins"], config["bound"])
        x, log_det = torch.hstack([x1, x2]), log_det + slopes.sum(1)
    return log_det - 0.5 * (x**2).sum(1) - 0.5 * math.log(2 * math.pi) * flow.width


def differences(model, z, y):
    """Of one model, what torch and zuko give less what the numpy script does, and what it is."""
    x = model.decode(z, y)
    if isinstance(model, Cvae):
        decoder = module(model.weights, "decoder", "mlp", model.config["activation"])
        with torch.no_grad():
            return "decoded positions (scaled)", decoder(torch.as_tensor(np.hstack([z, y]))).numpy() - x
    # Rows that are decoded from latents, so that every bin of a spline is met.
    return "log p(x | y)", log_prob(model, x, y).numpy() - model.log_prob(x, y)


def main():
    run = Run(sys.argv[1])
    y = run.scaled_momenta(np.load(sys.argv[2]))
    rng = np.random.default_rng(0)
    worst = 0.0
    for member in run.members:
        what, apart = differences(member.model, rng.standard_normal((len(y), member.latent_width)), y)
        worst = max(worst, np.abs(apart).max())
    print(f"largest difference of {what} from plain numpy: {worst:.1e}")
    return int(not worst < 1e-5)


if __name__ == "__main__":
    sys.exit(main())
