"""Inference on the CPU with oneDNN's convolutions in the place of the framework's."""

from mindspore import nn

from ..ops.conv_inference import InferenceConv2D, InferenceConvSum2D, give_back
from .detection.roi_conv import RoIConv
from .fold import replace_with_parameters
from .fused import follower
from .layers import AddReLU


def use_fast_inference(network: nn.Cell) -> int:
    """Let the convolutions of a network be oneDNN's, each with the ReLU or the sum and ReLU after it; how many are.

    For a network that will not be trained or loaded any more, best after `fold_batchnorm`: what stands between a
    convolution and its ReLU must be gone. Only where `why_not_fast` has nothing against it.
    """
    count = 0
    for _, parent in list(network.cells_and_names()):
        children = parent.name_cells()
        for name, conv in list(children.items()):
            if type(conv) is not nn.Conv2d:
                continue
            place, then = _what_follows(parent, name)
            if isinstance(then, AddReLU):
                replace_with_parameters(parent, place, InferenceConvSum2D(conv, relu=True))
                replace_with_parameters(parent, name, nn.Identity())
            else:
                replace_with_parameters(parent, name, InferenceConv2D(conv, relu=then is not None))
                if then is not None:
                    replace_with_parameters(parent, place, nn.Identity())
            count += 1
    give_back()
    return count


def _what_follows(parent: nn.Cell, name: str) -> tuple[str, nn.Cell | None]:
    """Name and cell of the ReLU, or of the sum and ReLU, that takes what the convolution `name` gives: `follower`'s
    rule, with the place of the normalisation empty.
    """
    children = parent.name_cells()
    if isinstance(parent, nn.SequentialCell):
        names = list(children)
        after = [other for other in names[names.index(name) + 1 :] if not isinstance(children[other], nn.Identity)]
        found = (after[0], children[after[0]]) if after else ("", None)
        return found if isinstance(found[1], nn.ReLU) else ("", None)
    if isinstance(parent, RoIConv):
        return ("relu", parent.relu) if isinstance(children.get("bn", nn.Identity()), nn.Identity) else ("", None)
    norm = name.replace("conv", "bn", 1)
    return follower(parent, norm) if isinstance(children.get(norm), nn.Identity) else ("", None)
