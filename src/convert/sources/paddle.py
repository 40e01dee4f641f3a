"""PaddleSeg's FCN with HRNet, and the trunks of PaddleDetection's HRNet and ResNet. Paddle counts its layers from 1."""

from ..table import Expects, Rule, Source

B = r"(?:backbone\.)?"
UNCONVERTED = "PaddleDetection's neck and heads, which are not converted: the backbone alone is"


def hrnet(conv: str, norm: str, first_block: str) -> tuple[Rule, ...]:
    """The trunk's rules. conv, norm: what the two parts of a layer are called; first_block: of the first stage."""
    rules: list[Rule] = []

    def layer(source: str, our_conv: str, our_norm: str) -> None:
        rules.append(Rule(rf"{source}\.{conv}", our_conv))
        rules.append(Rule(rf"{source}\.{norm}", our_norm))

    layer(rf"{B}conv_layer1_(\d)", "backbone.conv<1>", "backbone.bn<1>")
    for source, cell in (
        (rf"{B}la1\.{first_block}_layer2_(\d+)()()()", "backbone.layer1.<1-1>"),
        (
            rf"{B}st(\d)\.stage_st\1_(\d+)\.branches_func\.bb_st\1_\2_branch_layer_(\d)_(\d+)",
            "backbone.stage<1>.<2-1>.branches.<3-1>.<4-1>",
        ),
    ):
        layer(rf"{source}\.conv(\d)", f"{cell}.conv<5>", f"{cell}.bn<5>")
        layer(rf"{source}\.conv_down", f"{cell}.downsample.0", f"{cell}.downsample.1")
    for number in (1, 2, 3):  # the branch that a transition adds has a row of strided convolutions, of one
        added = f"backbone.transition{number}.{number}.0"
        layer(rf"{B}tr{number}\.transition_tr{number}_layer_{number + 1}", f"{added}.0", f"{added}.1")
    kept = "backbone.transition<1>.<2-1>"
    layer(rf"{B}tr(\d)\.transition_tr\1_layer_(\d)", f"{kept}.0", f"{kept}.1")
    fusion = rf"{B}st(\d)\.stage_st\1_(\d+)\.fuse_func\.residual_st\1_\2_layer_(\d)_(\d)"
    ours = "backbone.stage<1>.<2-1>.fuse_layers.<3-1>.<4-1>"
    layer(fusion, f"{ours}.0", f"{ours}.1")
    layer(rf"{fusion}_(\d)", f"{ours}.<5-1>.0", f"{ours}.<5-1>.1")
    return tuple(rules)


HALF = Expects(img_mean=(127.5,) * 3, img_std=(127.5,) * 3)

PADDLESEG = Source(
    name="paddleseg",
    title="PaddleSeg's FCN with HRNet, or its HRNet alone",
    framework="paddle",
    marks=(rf"{B}conv_layer1_1\._conv\.weight", rf"{B}st4\..*"),
    rules=(
        *hrnet("_conv", "_batch_norm", "bb"),
        Rule(r"head\.conv_1\._conv", "last_layer.0", optional=True),
        Rule(r"head\.conv_1\._batch_norm", "last_layer.1", optional=True),
        Rule(r"head\.cls", "last_layer.3", optional=True),
    ),
    expects=HALF,
    segments=True,
    definition=(("backbone.conv_padding", "same"),),
    ready=("configs/hrnet_w18_seg_cityscapes_paddleseg.yaml", "configs/hrnet_w48_seg_cityscapes_paddleseg.yaml"),
)
PADDLEDET_HRNET = Source(
    name="paddledet-hrnet",
    title="PaddleDetection's HRNet (the backbone alone)",
    framework="paddle",
    marks=(rf"{B}conv_layer1_1\.conv\.weight", rf"{B}st4\..*"),
    rules=hrnet("conv", "norm", "block"),
    ignored=((r"(neck|.*head)\..*", UNCONVERTED),),
)

BLOCK = rf"{B}res([2-5])\.(\d+)\."
OURS = "backbone.layer<1-1>.<2>."

PADDLEDET_RESNET = Source(
    name="paddledet-resnet",
    title="PaddleDetection's ResNet (the backbone alone)",
    framework="paddle",
    marks=(rf"{B}conv1\.conv1\.conv\.weight", rf"{B}res5\.res5a\..*"),
    spelling=(
        (r"(^|\.)res4\.res4b(\d+)\.", r"\1res4.\2."),  # of more than ten blocks: a, b1, b2, ...
        *((rf"(^|\.)res(\d)\.res\2{'abcdefgh'[k]}\.", rf"\1res\2.{k}.") for k in range(8)),
    ),
    rules=(
        Rule(rf"{B}conv1\.conv1\.conv", "backbone.conv1"),
        Rule(rf"{B}conv1\.conv1\.norm", "backbone.bn1"),
        *(
            rule
            for branch, conv, norm in (
                ("short", "downsample.0", "downsample.1"),
                ("branch2a", "conv1", "bn1"),
                ("branch2b", "conv2", "bn2"),
                ("branch2c", "conv3", "bn3"),
            )
            for rule in (
                Rule(rf"{BLOCK}{branch}\.conv", OURS + conv),
                Rule(rf"{BLOCK}{branch}\.norm", OURS + norm),
            )
        ),
    ),
    ignored=((r"(neck|.*head)\..*", UNCONVERTED),),
)
SOURCES = (PADDLESEG, PADDLEDET_HRNET, PADDLEDET_RESNET)
