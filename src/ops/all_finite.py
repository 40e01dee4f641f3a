"""Whether every number of many tensors is finite."""

import mindspore as ms
from mindspore import Tensor, get_context, nn
from mindspore import dtype as mstype

from .library import custom_op, why_no_library


class AllFinite(nn.Cell):
    """portable: use MindSpore's operators, several for each tensor (always so on devices other than the CPU, and where
    the compiled operators are not there). The compiled one (all_finite.cc) is a single node of the graph.
    """

    def __init__(self, portable: bool = False):
        super().__init__()
        on_cpu = get_context("device_target") == "CPU"
        self.use_custom = on_cpu and not portable and not why_no_library()
        if self.use_custom:
            self.run = custom_op("AllFiniteForward", lambda *_: [1], mstype.bool_, "all")

    def construct(self, tensors: tuple[Tensor, ...]) -> Tensor:
        """Tensors of float32 or float16, any shapes -> scalar bool."""
        if self.use_custom:
            return self.run(*tensors).reshape(())
        return ms.amp.all_finite(tensors)
