"""HRNet with object-contextual representations: the HRNet authors' branch HRNet-OCR, and MMSegmentation's OCRNet."""

from ..table import Rule, Source
from .hrnet import BACKBONE, FUSION, MARKS
from .hrnet import SEGMENTATION as PLAIN
from .mmseg import FCN_HRNET

ATTENTION = r"ocr_distri_head\.object_context_block\.(f_(?:pixel|object|down|up))"
OURS = "ocr_head.object_context_block"

AUTHORS = Source(
    name="hrnet-ocr",
    title="HRNet authors' HRNet + OCR",
    marks=(*MARKS, r"aux_head\..*", r"ocr_distri_head\..*"),
    rules=(  # the originals' normalisation and ReLU are a module of their own within a row
        FUSION,
        BACKBONE,
        Rule(r"aux_head\.(\d)", "aux_head.<1>", optional=True),
        Rule(r"conv3x3_ocr\.(\d)", "ocr_head.conv3x3_ocr.<1>", optional=True),
        Rule(ATTENTION + r"\.0", f"{OURS}.<1>.0", optional=True),
        Rule(ATTENTION + r"\.1\.0", f"{OURS}.<1>.1", optional=True),
        Rule(ATTENTION + r"\.2", f"{OURS}.<1>.3", optional=True),
        Rule(ATTENTION + r"\.3\.0", f"{OURS}.<1>.4", optional=True),
        Rule(r"ocr_distri_head\.conv_bn_dropout\.0", "ocr_head.conv_bn_dropout.0", optional=True),
        Rule(r"ocr_distri_head\.conv_bn_dropout\.1\.0", "ocr_head.conv_bn_dropout.1", optional=True),
        Rule(r"cls_head", "ocr_head.cls_head", optional=True),
    ),
    ignored=PLAIN.ignored,
    segments=True,
    definition=(("seg_head.bilinear", "align_corners"),),
    ready=("configs/hrnet_w48_ocr_cityscapes.yaml",),
)

BLOCK = r"decode_head\.1\.object_context_block\."
PARTS = {"conv": "0", "bn": "1"}  # of a ConvModule, and of the first of two


def _rows() -> tuple[Rule, ...]:
    """MMSegmentation's convolutions with their normalisations."""
    rules = []
    for part, number in PARTS.items():
        rules += [
            Rule(rf"decode_head\.0\.convs\.0\.{part}", f"aux_head.{number}", optional=True),
            Rule(rf"decode_head\.1\.bottleneck\.{part}", f"ocr_head.conv3x3_ocr.{number}", optional=True),
            Rule(rf"{BLOCK}bottleneck\.{part}", f"ocr_head.conv_bn_dropout.{number}", optional=True),
            Rule(rf"{BLOCK}value_project\.{part}", f"{OURS}.f_down.{number}", optional=True),
            Rule(rf"{BLOCK}out_project\.{part}", f"{OURS}.f_up.{number}", optional=True),
        ]
        for project, ours in (("query_project", "f_pixel"), ("key_project", "f_object")):
            for place in (0, 1):
                target = f"{OURS}.{ours}.{int(number) + 3 * place}"
                rules.append(Rule(rf"{BLOCK}{project}\.{place}\.{part}", target, optional=True))
    return tuple(rules)


MMSEG = Source(
    name="mmseg-ocr",
    title="MMSegmentation's OCRNet with HRNet",
    marks=(r"backbone\.stage4\..*", r"decode_head\.0\.conv_seg\.weight", BLOCK + r".*"),
    rules=(
        Rule(r"(backbone(?:\..*)?)", "<1>"),
        *_rows(),
        Rule(r"decode_head\.0\.conv_seg", "aux_head.3", optional=True),
        Rule(r"decode_head\.1\.conv_seg", "ocr_head.cls_head", optional=True),
    ),
    ignored=FCN_HRNET.ignored,
    zero_biases=(r"aux_head\.0\.bias", r"ocr_head\.conv3x3_ocr\.0\.bias"),
    segments=True,
    definition=FCN_HRNET.definition,
    ready=("configs/hrnet_w48_ocr_cityscapes_mmseg.yaml", "configs/hrnet_w18_ocr_cityscapes_mmseg.yaml"),
)
SOURCES = (AUTHORS, MMSEG)
