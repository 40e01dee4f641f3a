"""PointRend's classifier of single points (Detectron2 `StandardPointHead`)."""

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal, Normal


class PointHead(nn.Cell):
    """A multi-layer perceptron shared by all points, on fine features and the coarse prediction.

    coarse_pred_each_layer: the coarse prediction is an input of every layer instead of the first one alone.
    """

    class_layers = ("fcs.", "predictor.")  # all of it: the classes are inputs too

    def __init__(
        self,
        in_channels: int,
        num_fcs: int,
        fc_channels: int,
        num_classes: int,
        coarse_pred_each_layer: bool = True,
    ):
        super().__init__()
        extra = num_classes if coarse_pred_each_layer else 0
        inputs = [in_channels + num_classes] + [fc_channels + extra] * num_fcs
        self.fcs = nn.CellList(
            [
                nn.Dense(width, fc_channels, weight_init=HeNormal(mode="fan_out", nonlinearity="relu"), bias_init=0)
                for width in inputs[:-1]
            ]
        )
        self.predictor = nn.Dense(inputs[-1], num_classes, weight_init=Normal(0.001), bias_init="zeros")
        self.relu = nn.ReLU()
        self.coarse_pred_each_layer = coarse_pred_each_layer

    def construct(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """fine (N, P, in_channels), coarse (N, P, num_classes) -> logits (N, P, num_classes)."""
        x = ops.concat((fine, coarse), -1)
        for layer in self.fcs:
            x = self.relu(layer(x))
            if self.coarse_pred_each_layer:
                x = ops.concat((x, coarse), -1)
        return self.predictor(x)
