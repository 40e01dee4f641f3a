"""Random numbers inside a graph as a pure function of a seed, so that a step can be repeated and resumed."""

from mindspore import Tensor, ops
from mindspore import dtype as mstype

PRIME = 2147483647  # 2**31 - 1: products of two residues fit into int64


def hashed_uniform(seed: Tensor, count: int, stream: int) -> Tensor:
    """(B,) int32 seeds -> (B, count) float32, as good as uniform in [0, 1).

    stream: another number gives independent numbers from the same seed. The integers i = 0..count-1 are hashed by
    rounds of modular squaring and multiplication; stateful random operators would not survive a resume. MindSpore's
    FloorMod on the CPU rounds what lies above 2**53; ops/sample.cc repeats that.
    """
    s = seed.astype(mstype.int64).reshape(-1, 1) + 1 + 7919 * stream
    x = ops.arange(0, count).astype(mstype.int64).reshape(1, -1)
    x = ops.floor_mod(x * 2654435 + s * 40503 + 12345, PRIME)
    x = ops.floor_mod(x * x + s, PRIME)
    x = ops.floor_mod(x * 48271, PRIME)
    x = ops.floor_mod(x * x + 7919, PRIME)
    x = ops.floor_mod(x * 16807, PRIME)
    return x.astype(mstype.float32) / PRIME
