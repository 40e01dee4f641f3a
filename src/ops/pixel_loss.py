"""The log-softmax at each pixel's label, in training on the CPU (pixel_loss.cc)."""

from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype

from .conv_gradient import LIBRARY
from .library import custom_op, file_of


class FusedLabelLogProbability(nn.Cell):
    """Of float32 logits (B, C, H, W) and labels (B, H, W) int32; one pass forward and one back, which keep nothing."""

    def __init__(self):
        super().__init__(auto_prefix=False)

        def like_labels(logits, labels):
            return labels

        def like_logits(grad, logits, labels):
            return logits

        library = str(file_of(LIBRARY))
        self.run = custom_op("LabelLogProbabilityForward", like_labels, mstype.float32, "", library=library)
        self.differentiate = custom_op("LabelLogProbabilityBackward", like_logits, mstype.float32, "", library=library)

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, H, W). Where the label is none of the C classes, it is as for the most likely one."""
        return self.run(logits, labels)

    def bprop(self, logits: Tensor, labels: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        return self.differentiate(grad, logits, labels), ops.zeros_like(labels)
