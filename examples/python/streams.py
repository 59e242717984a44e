"""The random numbers of cei in plain numpy: ChaCha8 streams, normal numbers, orders of features.

A stream is keyed by seed, purpose and index (`docs/weights.md`). With these a program that has nothing but the weights gets the
very draws of `cei predict`, and the order of the features in the layers of a spline flow.
"""

import math

import numpy as np

WEIGHTS, DEGENERATE, DRAWS, DECODER_NOISE, MEMBERS = 0, 4, 5, 7, 11

CONSTANTS = np.frombuffer(b"expand 32-byte k", dtype="<u4")
#: Blocks that are made at once.
BLOCKS = 64
#: The edge of the tail of the ziggurat of Doornik (2005) with 256 boxes, and their area.
EDGE = 3.654152885361008796
AREA = EDGE * math.exp(-(EDGE**2) / 2) + math.sqrt(math.pi / 2) * math.erfc(EDGE / math.sqrt(2))


class Stream:
    """The stream number `index` for `purpose` under `seed`; of a member of an ensemble, that of its place."""

    def __init__(self, seed, purpose, index, place=0):
        self.key = np.array([seed, purpose, index, 0], dtype="<u8").view("<u4")
        self.nonce = np.array([place], dtype="<u8").view("<u4")
        self.block, self.words, self.next = 0, [], 0

    def u32(self):
        if self.next == len(self.words):
            self.words, self.next = self._more().tolist(), 0
        self.next += 1
        return self.words[self.next - 1]

    def u64(self):
        low = self.u32()
        return self.u32() << 32 | low

    def below(self, bound):
        """A whole number from 0 to `bound` - 1 (Canon's method with one correction)."""
        value, rest = divmod(self.u32() * bound, 1 << 32)
        if rest > (1 << 32) - bound:
            value += rest + (self.u32() * bound >> 32) >= 1 << 32
        return value

    def open01(self):
        """A number in (0, 1)."""
        return ((self.u64() >> 12) + 0.5) * 2.0**-52

    def normal(self):
        """A standard normal number, as double precision."""
        while True:
            bits = self.u64()
            box, u = bits & 0xFF, (bits >> 12) * 2.0**-51 - 1.0
            x = u * EDGES[box]
            if abs(x) < EDGES[box + 1]:
                return x
            if box == 0:
                return self._tail(u)
            height = HEIGHTS[box + 1] + (HEIGHTS[box] - HEIGHTS[box + 1]) * (self.u64() >> 11) * 2.0**-53
            if height < math.exp(-x * x / 2):
                return x

    def normals(self, rows, columns):
        values = [self.normal() for _ in range(rows * columns)]
        return np.array(values, dtype=np.float32).reshape(rows, columns)

    def shuffled(self, count):
        """The numbers 0 to `count` - 1 in random order (Durstenfeld; several choices of each random number)."""
        order, chunk, left = list(range(count)), 0, 1
        for n in range(count):
            if left == 0:
                bound, left = n + 1, 1
                while bound * (n + 1 + left) < 1 << 32:
                    bound *= n + 1 + left
                    left += 1
                chunk = self.below(bound)
            left -= 1
            chunk, choice = divmod(chunk, n + 1) if left else (0, chunk)
            order[n], order[choice] = order[choice], order[n]
        return order

    def _tail(self, u):
        x, y = 1.0, 0.0
        while -2.0 * y < x * x:
            x = math.log(self.open01()) / EDGE
            y = math.log(self.open01())
        return x - EDGE if u < 0 else EDGE - x

    def _more(self):
        """The next blocks: 4 double rounds (Bernstein 2008), a 64-bit counter, a 64-bit nonce."""
        counter = (self.block + np.arange(BLOCKS, dtype="<u8")).view("<u4").reshape(BLOCKS, 2).T
        self.block += BLOCKS
        fixed = np.concatenate([CONSTANTS, self.key])[:, np.newaxis].repeat(BLOCKS, axis=1)
        first = np.concatenate([fixed, counter, self.nonce[:, np.newaxis].repeat(BLOCKS, axis=1)])
        words = first.copy()
        for _ in range(4):
            for a in range(4):
                quarter(words, a, 4 + a, 8 + a, 12 + a)
            for a in range(4):
                quarter(words, a, 4 + (a + 1) % 4, 8 + (a + 2) % 4, 12 + (a + 3) % 4)
        return (words + first).T.reshape(-1)


def quarter(words, a, b, c, d):
    for to, other, turned, by in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
        words[to] += words[other]
        mixed = words[turned] ^ words[to]
        words[turned] = mixed << np.uint32(by) | mixed >> np.uint32(32 - by)


def boxes():
    """The edges of the boxes of the ziggurat, the widest first."""
    edges = [AREA / math.exp(-(EDGE**2) / 2), EDGE]
    while len(edges) < 256:
        edges.append(math.sqrt(-2 * math.log(AREA / edges[-1] + math.exp(-(edges[-1] ** 2) / 2))))
    return edges + [0.0]


EDGES = boxes()
HEIGHTS = [math.exp(-x * x / 2) for x in EDGES]
