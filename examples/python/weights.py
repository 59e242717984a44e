"""A trained run in plain numpy: from `model.safetensors` and `model.json` to `log p(x | y)` and to draws.

    python weights.py runs/mine momenta.npy

prints ten draws of the first event. Names of weights and the equations are in `docs/weights.md`.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from streams import DECODER_NOISE, DEGENERATE, DRAWS, MEMBERS, WEIGHTS, Stream

#: Least width, height and slope of a spline's bin.
LEAST = 1e-3


def read_safetensors(path, precision):
    """Arrays by their names: a length (8 bytes), a header in JSON, the numbers (in single precision)."""
    content = Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    arrays = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            numbers = np.frombuffer(content[start + begin : start + end], dtype="<f4")
            arrays[name] = numbers.reshape(entry["shape"]).astype(precision)
    return arrays


def activation(name, x):
    if name == "relu":
        return np.maximum(x, 0)
    if name == "elu":
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    if name == "tanh":
        return np.tanh(x)
    return 0.5 * x * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2)))


class Weights:
    """The arrays of a network."""

    def __init__(self, arrays):
        self.arrays = arrays

    def linear(self, name, x):
        return x @ self.arrays[f"{name}.weight"] + self.arrays[f"{name}.bias"]

    def depth(self, name):
        return sum(key.startswith(f"{name}.layers.") and key.endswith("bias") for key in self.arrays)

    def perceptron(self, name, x, kind):
        for k in range(self.depth(name)):
            x = self.linear(f"{name}.layers.{k}", activation(kind, x) if k else x)
        return x

    def residual(self, name, x, kind):
        last = self.depth(name) - 1
        h = self.linear(f"{name}.layers.0", x)
        for k in range(1, last, 2):
            inner = self.linear(f"{name}.layers.{k}", activation(kind, h))
            h = h + self.linear(f"{name}.layers.{k + 1}", activation(kind, inner))
        return self.linear(f"{name}.layers.{last}", h)


class Flow:
    """A cINN: `z = f_L(... f_1(x))`, `log p(x | y) = log N(z; 0, 1) + sum log|det|`."""

    def __init__(self, config, arrays, width):
        self.weights, self.width, self.kept = Weights(arrays), width, width // 2
        counts, self.layers = {}, []
        for place, layer in enumerate(flow_layers(config)):
            group = GROUPS[layer["layer"]]
            number = counts[group] = counts.get(group, -1) + 1
            self.layers.append((f"{group}.{number}", place, layer))

    def log_prob(self, x, y):
        log_det = np.zeros(len(x), dtype=x.dtype)
        for layer in self.layers:
            x, term = self.step(layer, x, y, False)
            log_det += term
        return log_det - 0.5 * (x**2).sum(1) - 0.5 * math.log(2 * math.pi) * self.width

    def decode(self, z, y):
        for layer in reversed(self.layers):
            z, _ = self.step(layer, z, y, True)
        return z

    def step(self, layer, x, y, inverse):
        """One layer, or its inverse, and `log|det|` of the layer."""
        name, place, config = layer
        arrays, kind = self.weights.arrays, config["layer"]
        if kind == "flip":
            return x[:, ::-1], 0.0
        if kind == "act-norm":
            scale, shift = arrays[f"{name}.log_scale"], arrays[f"{name}.shift"]
            return ((x - shift) * np.exp(-scale) if inverse else x * np.exp(scale) + shift), scale.sum()
        if kind in ("permutation", "lu-linear"):
            order = Stream(config.get("seed", 0), WEIGHTS, 1 + place).shuffled(self.width)
            if kind == "permutation":
                return x[:, np.argsort(order) if inverse else order], 0.0
            diagonal = arrays[f"{name}.log_diagonal"][0]
            lower = np.tril(arrays[f"{name}.lower"], -1) + np.eye(self.width, dtype=x.dtype)
            upper = np.triu(arrays[f"{name}.upper"], 1) + np.diag(np.exp(diagonal))
            matrix = lower @ upper
            if inverse:
                return np.linalg.solve(matrix, x.T).T[:, np.argsort(order)], diagonal.sum()
            return x[:, order] @ matrix.T, diagonal.sum()
        x1, x2 = x[:, : self.kept], x[:, self.kept :]
        network = config["subnet"]
        form = self.weights.perceptron if network["kind"] == "mlp" else self.weights.residual
        output = form(f"{name}.subnet", np.hstack([x1, y]), network.get("activation", "relu"))
        if kind == "affine":
            u, t = np.hsplit(output, 2)
            s = config["clamp"] * np.tanh(u / config["clamp"])
            x2 = (x2 - t) * np.exp(-s) if inverse else x2 * np.exp(s) + t
            return np.hstack([x1, x2]), s.sum(1)
        x2, log_slope = spline(x2, output, config["bins"], config["bound"], inverse)
        return np.hstack([x1, x2]), log_slope.sum(1)


GROUPS = {
    "affine": "couplings",
    "spline": "splines",
    "act-norm": "act_norms",
    "lu-linear": "linears",
    "flip": "flips",
    "permutation": "permutations",
}


def flow_layers(config):
    """The layers from the data to the latent: those that are listed, or what a preset stands for."""
    if config.get("layers"):
        subnet = {"kind": "residual", "width": 128, "blocks": 2}
        defaults = {"subnet": subnet, "clamp": 2.0, "bins": 10, "bound": 5.0}
        return [{**defaults, **layer} for layer in config["layers"]]
    act = config["activation"]
    if config.get("preset", "proposal") == "proposal":
        subnet = {"kind": "mlp", "hidden": config["hidden"], "activation": act}
        group = [{"layer": "affine", "subnet": subnet, "clamp": config["clamp"]}, {"layer": "flip"}]
    else:
        coupling = {"layer": "spline", "subnet": {"kind": "residual", "activation": act}}
        coupling.update(bins=config.get("bins", 10), bound=config.get("bound", 5.0))
        group = [{"layer": "act-norm"}, {"layer": "lu-linear"}, coupling]
    return group * config["couplings"]


def spline(x, output, bins, bound, inverse):
    """Rational-quadratic splines of `x` (rows, features), and the log of their slopes (Durkan et al. 2019)."""
    raw = output.reshape(*x.shape, 3 * bins - 1)
    sizes = [softmax(raw[..., k * bins : (k + 1) * bins]) for k in (0, 1)]
    widths, heights = (2 * bound * (LEAST + (1 - bins * LEAST) * size) for size in sizes)
    slopes = LEAST + np.logaddexp(0, raw[..., 2 * bins :] + math.log(math.expm1(1 - LEAST)))
    edge = np.ones((*x.shape, 1), dtype=x.dtype)
    slopes = np.concatenate([edge, slopes, edge], -1)
    x_knots, y_knots = (-bound + np.cumsum(size, -1) - size for size in (widths, heights))
    value = np.clip(x, -bound, bound)
    knots = y_knots if inverse else x_knots
    bin = (value[..., np.newaxis] >= knots[..., 1:]).sum(-1)[..., np.newaxis]
    at = lambda values, index: np.take_along_axis(values, index, -1)[..., 0]
    x0, y0, w, h = (at(values, bin) for values in (x_knots, y_knots, widths, heights))
    d0, d1, s = at(slopes, bin), at(slopes, bin + 1), h / w
    if inverse:
        rise = value - y0
        b = h * d0 - rise * (d1 + d0 - 2 * s)
        a = h * s - b
        root = np.sqrt(np.maximum(b**2 + 4 * a * s * rise, 0))
        xi = np.clip(2 * s * rise / (b + root), 0, 1)
        moved = x0 + xi * w
    else:
        xi = (value - x0) / w
    q = s + (d1 + d0 - 2 * s) * xi * (1 - xi)
    if not inverse:
        moved = y0 + h * (s * xi**2 + d0 * xi * (1 - xi)) / q
    slope = s**2 * (d1 * xi**2 + 2 * s * xi * (1 - xi) + d0 * (1 - xi) ** 2) / q**2
    inside = np.abs(x) <= bound
    return np.where(inside, moved, x), np.where(inside, np.log(slope), 0.0)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Cvae:
    """A CVAE: `x = decoder(z, y)`, with noise where its variance is learned."""

    def __init__(self, config, arrays):
        self.config, self.weights = config, Weights(arrays)

    def decode(self, z, y):
        return self.weights.perceptron("decoder", np.hstack([z, y]), self.config["activation"])

    def sd(self):
        """Standard deviation of the decoder's noise; none where its variance is not learned."""
        log_sd = self.weights.arrays.get("log_sd")
        return None if log_sd is None else np.exp(np.clip(log_sd, -10, 10))

    def prior(self, y):
        """Mean and standard deviation of `p(z | y)`; none where it is N(0, 1)."""
        if self.config.get("prior", "standard") == "standard":
            return None
        mean, log_variance = np.hsplit(self.weights.perceptron("prior", y, self.config["activation"]), 2)
        return mean, np.exp(np.clip(log_variance, -20, 20) / 2)


class Member:
    """The trained model of a folder, alone or one of an ensemble (at the place `place`, from 0)."""

    def __init__(self, folder, place, precision):
        record = json.loads((folder / "model.json").read_text())
        config, self.latent, self.place = record["model"], record["latent"], place
        arrays = read_safetensors(folder / "model.safetensors", precision)
        width = len(record["preprocessing"]["x_scaler"]["scales"])
        self.model = Flow(config, arrays, width) if config["kind"] == "cinn" else Cvae(config, arrays)
        self.latent_width = width if config["kind"] == "cinn" else config["latent"]

    def draw(self, y, draws, seed, event, source):
        """What the network gives for the scaled momenta `y` of one event (draws, columns)."""
        rows = np.tile(y, (draws, 1))
        prior = self.model.prior(rows) if isinstance(self.model, Cvae) else None
        z = Stream(seed, DRAWS, event, self.place).normals(draws, self.latent_width).astype(y.dtype)
        if prior is not None:
            z = prior[0] + prior[1] * z
        elif source == "train-latents":
            z = np.array(self.latent["mean"], y.dtype) + np.array(self.latent["sd"], y.dtype) * z
        x = self.model.decode(z, rows)
        if isinstance(self.model, Cvae) and self.model.sd() is not None:
            stream = Stream(seed, DECODER_NOISE, event, self.place)
            x = x + self.model.sd() * stream.normals(draws, x.shape[1]).astype(y.dtype)
        return x


class Run:
    """A run folder: preprocessing, and a model or the members of an ensemble, computed in this precision."""

    def __init__(self, folder, precision=np.float64):
        folder, self.precision = Path(folder), precision
        record = json.loads((folder / "model.json").read_text())
        if record["preprocessing"].get("indicated"):
            raise SystemExit(f"{folder}: ions may be missing in its events, which this script does not know\n"
                             "hint: `cei.load` of the Python package and `cei predict` do")
        if record["preprocessing"].get("alike"):
            raise SystemExit(f"{folder}: it calls ions alike by their momenta, which this script does not\n"
                             "hint: `cei.load` of the Python package and `cei predict` do")
        self.steps, count = record["preprocessing"], record.get("ensemble")
        folders = [folder / f"member-{k + 1}" for k in range(count)] if count else [folder]
        self.members = [Member(folder, place, precision) for place, folder in enumerate(folders)]
        self.model, self.latent_width = self.members[0].model, self.members[0].latent_width

    def log_prob(self, x, y):
        """`log p(x | y)` in nats per bohr^d of positions (rows, columns; bohr) and momenta (a.u.), as in a table; of an
        ensemble that of the mixture in equal parts."""
        scaled, log_det = self.scaled_positions(x, y)
        return self.scaled_log_prob(scaled, self.scaled_momenta(y)) - log_det

    def scaled_log_prob(self, x, y):
        """The same of rows that the network sees, per scaled unit."""
        values = np.array([member.model.log_prob(x, y) for member in self.members], dtype=np.float64)
        return np.logaddexp.reduce(values) - math.log(len(values))

    def sample(self, y, draws, seed=0, source="train-latents"):
        """Draws (events, draws, columns; bohr), in the frame of the run, for momenta (events, columns; a.u.): those of
        `cei predict`. `source` is `evaluation.latent` of `config.toml`."""
        found = []
        for event, row in enumerate(self.scaled_momenta(y)):
            chosen = np.zeros(draws, dtype=int)
            if len(self.members) > 1:
                stream = Stream(seed, MEMBERS, event)
                chosen = np.array([stream.below(len(self.members)) for _ in range(draws)])
            x = np.zeros((draws, len(self.steps["x_scaler"]["scales"])))
            for member in self.members:
                own = chosen == member.place
                x[own] = member.draw(row, own.sum(), seed, event, source)
            found.append(self.positions(x))
        return np.array(found)

    def scaled_positions(self, x, y):
        """What the network sees of positions (rows, columns; bohr), and `log|det d raw / d scaled|` of each row."""
        steps = self.steps
        gauged = gauge_positions(steps["gauge"], x, y)
        log_det = np.full(len(gauged), np.log(steps["x_scaler"]["scales"]).sum())
        for bound in steps.get("bounds", []):
            low, width = bound["low"], bound["high"] - bound["low"]
            part = np.clip((gauged[:, bound["index"]] - low) / width, 1e-9, 1 - 1e-9)
            gauged[:, bound["index"]] = np.log(part / (1 - part))
            log_det = log_det + np.log(part * (1 - part) * width)
        noise = steps["noise"]
        u = gauged if noise else gauged[:, steps["x"]["alive"]]
        if steps["subspace"] is not None:
            u = (u - steps["subspace"]["mean"]) @ np.array(steps["subspace"]["basis"])
        scaled = (u - steps["x_scaler"]["offsets"]) / steps["x_scaler"]["scales"]
        if noise and noise["directions"]:
            normals = Stream(0, DEGENERATE, 0).normals(len(scaled), len(noise["directions"]))
            scaled = scaled + noise["sd"] * normals @ np.array(noise["directions"])
        return scaled.astype(self.precision), log_det

    def scaled_momenta(self, y):
        """What the network sees of momenta (events, columns; a.u.)."""
        steps, momenta = self.steps, np.array(y, dtype=np.float64)
        config = steps["gauge"]["config"]
        if config["momenta"] == "body-frame" or config["frame"] == "momentum":
            momenta = turned(momenta, rotations(steps["gauge"], momenta))
        scaled = (momenta[:, steps["y"]["alive"]] - steps["y_scaler"]["offsets"]) / steps["y_scaler"]["scales"]
        return scaled.astype(self.precision)

    def positions(self, scaled):
        """Positions (rows, columns; bohr) in the frame of the run of what the network gives."""
        steps, noise = self.steps, self.steps["noise"]
        for direction, centre in zip(noise["directions"], noise["centres"]) if noise else []:
            scaled = scaled - np.outer(scaled @ np.array(direction) - centre, direction)
        u = scaled * steps["x_scaler"]["scales"] + steps["x_scaler"]["offsets"]
        if steps["subspace"] is not None:
            u = steps["subspace"]["mean"] + u @ np.array(steps["subspace"]["basis"]).T
        x = np.zeros((len(u), len(steps["x"]["names"])))
        x[:, slice(None) if noise else steps["x"]["alive"]] = u
        for dead in steps["x"]["dead"]:
            x[:, dead["index"]] = dead["constant"]
        for bound in steps.get("bounds", []):
            width = bound["high"] - bound["low"]
            x[:, bound["index"]] = bound["low"] + width / (1 + np.exp(-x[:, bound["index"]]))
        return x


def gauge_positions(gauge, x, y):
    """Positions (rows, columns) in the frame of the run; numbers behind those of the atoms stay as they are."""
    config, x = gauge["config"], np.array(x, dtype=np.float64)
    atoms = x[:, : 3 * len(gauge["labels"])]
    if config["positions"] != "as-given":
        masses = np.array(gauge["masses"]) / np.sum(gauge["masses"])
        centre = np.einsum("a,rac->rc", masses, atoms.reshape(len(x), -1, 3))
        atoms = (atoms.reshape(len(x), -1, 3) - centre[:, np.newaxis]).reshape(len(x), -1)
    if config["positions"] == "body-frame":
        atoms = turned(atoms, rotations(gauge, atoms))
    elif config["frame"] == "momentum":
        atoms = turned(atoms, rotations(gauge, np.array(y, dtype=np.float64)))
    return np.hstack([atoms, x[:, atoms.shape[1] :]])


def rotations(gauge, rows):
    """The rotation of each row (3 N numbers) that puts one atom's vector on +x, and another's in the xy half-plane y > 0.
    Rows whose vectors are parallel or zero are beyond this example."""
    vectors = rows.reshape(len(rows), -1, 3)
    x = vectors[:, gauge["x_axis"]]
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    y = vectors[:, gauge["xy_plane"]]
    for _ in range(2):
        y = y - (x * y).sum(1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def turned(rows, rotations):
    vectors = rows.reshape(len(rows), -1, 3)
    return np.einsum("rij,raj->rai", rotations, vectors).reshape(len(rows), -1)


if __name__ == "__main__":
    run = Run(sys.argv[1])
    print(run.sample(np.load(sys.argv[2])[:1], 10)[0])
