"""The HRNet authors' checkpoints (classification, segmentation), and timm's HRNets, which keep their names."""

from ..table import NO_OUTPUT, Rule, Source

BACKBONE = Rule(r"(?:backbone\.)?((?:conv[12]|bn[12]|layer1|transition[123]|stage[234])(?:\..*)?)", "backbone.<1>")
# One branch brought to another: the original's module ends with the upsampling, ours is done outside of the cell.
FUSION = Rule(r"(?:backbone\.)?(stage\d\.\d+\.fuse_layers\.\d\.\d)", "backbone.<1>", output=NO_OUTPUT)
MARKS = (r"(backbone\.)?stage4\..*",)

CLASSIFICATION = Source(
    name="hrnet-cls",
    title="HRNet authors' and timm's ImageNet classification, or its backbone alone",
    marks=MARKS,
    never=(r"last_layer\..*", r"aux_head\..*", r"rpn_head\..*", r"decode_head\..*"),
    rules=(
        FUSION,
        BACKBONE,
        Rule(r"((?:incre_modules|downsamp_modules|final_layer|classifier)(?:\..*)?)", "<1>", optional=True),
    ),
    ignored=((r"(neck|head)\..*", "MMPretrain's classification head"),),
)

SEGMENTATION = Source(
    name="hrnet-seg",
    title="HRNet authors' semantic segmentation (Cityscapes, LIP)",
    marks=(*MARKS, r"last_layer\..*"),
    rules=(FUSION, BACKBONE, Rule(r"(last_layer(?:\..*)?)", "<1>", optional=True)),
    ignored=((r"loss\..*", "class weights of the trainer's loss"),),
    segments=True,
)
