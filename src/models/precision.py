"""Half precision for a network that is built: one pass over its layers, which leaves its parameters in float32."""

import mindspore as ms
from mindspore import Tensor, nn
from mindspore import dtype as mstype

from ..ops.half_precision import as_type
from .layers import MatrixProduct

PRODUCTS = {nn.Conv2d: "conv2d", nn.Conv2dTranspose: "conv2d_transpose", nn.Dense: "matmul"}  # where each has its own


class HalfProduct(nn.Cell):
    """Takes the place of `product`, a layer's convolution or matrix product of features and weights.

    Both are cast to `dtype` for it, which also makes its gradients be of that type; the result is cast to `result`.
    """

    def __init__(self, product, dtype: ms.Type, result: ms.Type):
        super().__init__(auto_prefix=False)
        self.product = product
        self.dtype, self.result = dtype, result

    def construct(self, x: Tensor, weight: Tensor, *others) -> Tensor:
        """others: what else the product takes (a transposed convolution's size, the rows that are used)."""
        y = self.product(as_type(x, self.dtype), as_type(weight, self.dtype), *others)
        return as_type(y, self.result)


class CastBias(nn.Cell):
    """Takes the place of `add`, a layer's sum of its product and its bias, which is cast to the product's type."""

    def __init__(self, add):
        super().__init__(auto_prefix=False)
        self.add = add

    def construct(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.add(x, as_type(bias, x.dtype))


def use_half_precision(network: nn.Cell, level: str, dtype: ms.Type) -> int:
    """Let `network` compute its convolutions and matrix products in `dtype`; how many layers do.

    level: 'O1' gives every layer's result back in float32, so that all else is computed as before. 'O2' leaves it in
    half precision, and with it the network's features, but for layers of predictions: those that a cell names in
    `class_layers` or `prediction_layers`. 'O0' changes nothing.
    What stays in float32 is so by its own layers, whatever they are given: normalisation, resizing by a compiled
    operator, the sampling of RoIs and points, losses and box arithmetic; predictions, boxes and parameters are float32
    themselves. Matrix products that are no layers stay as well: `resize_bilinear` (interpolation, in the type of what
    it resizes), the sums of `BatchStatistics`, the targets of the portable `MaskCrop`.
    Comes after everything else that exchanges layers: `fold_batchnorm`, `use_fast_gradients`, `fuse_for_training`.
    """
    if level == "O0":
        return 0
    predictions = prediction_layers(network)
    count = 0
    for name, cell in list(network.cells_and_names()):
        features = mstype.float32 if level == "O1" or _is_in(name, predictions) else dtype
        place = next((place for kind, place in PRODUCTS.items() if isinstance(cell, kind)), "")
        if isinstance(cell, MatrixProduct):
            cell.half = dtype
            count += 1
        elif place and not isinstance(getattr(cell, place), HalfProduct):
            setattr(cell, place, HalfProduct(getattr(cell, place), dtype, features))
            if cell.has_bias:
                cell.bias_add = CastBias(cell.bias_add)
            count += 1
        elif getattr(cell, "rows_conv", None) and not isinstance(cell.rows_conv, HalfProduct):
            cell.convolve_used_rows(HalfProduct(cell.rows_conv, dtype, features))
    return count


def prediction_layers(network: nn.Cell) -> tuple[str, ...]:
    """What the names of its layers begin with whose outputs are predictions: logits, box deltas."""
    found = set()
    for name, cell in network.cells_and_names():
        own = (*getattr(cell, "class_layers", ()), *getattr(cell, "prediction_layers", ()))
        found |= {f"{name}.{layer}" if name else layer for layer in own}
    return tuple(sorted(found))


def _is_in(name: str, layers: tuple[str, ...]) -> bool:
    return f"{name}.".startswith(layers)
