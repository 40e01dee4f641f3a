"""The PyTorch ports of SpineNet: lucifer443's (RetinaNet) and yan-roo's (Mask R-CNN), both on MMDetection 1.x.

Their outputs are numbered by level (3 to 7), ours from 0. Heads of an MMDetection 2.x port fit as well.
"""

from ..table import Expects, Rule, Source
from .mmdet import BOXES_1X, HEADS, HEADS_1X

SPINENET = Source(
    name="spinenet",
    title="SpineNet-Pytorch of yan-roo and lucifer443: Mask R-CNN, or the backbone alone",
    marks=(r"(backbone\.)?endpoint_convs\..*", r"(backbone\.)?merge_ops\..*"),
    rules=(
        Rule(r"(?:backbone\.)?endpoint_convs\.(\d+)((?:\..*)?)", "backbone.endpoint_convs.<1-3><2>"),
        Rule(r"(?:backbone\.)?((?:conv1|init_block[12]|merge_ops|scale_permuted_blocks)(?:\..*)?)", "backbone.<1>"),
        Rule(r"(rpn_head(?:\..*)?)", "<1>"),
        *HEADS,
        *HEADS_1X,
    ),
    ignored=((r"bbox_head\.(retina_|cls_convs|reg_convs).*", "RetinaNet's head"),),
    expects=Expects(note=f"for a whole detector: {BOXES_1X}"),
)
