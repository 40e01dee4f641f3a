"""MMSegmentation's FCN head on HRNet, 0.x and 1.x."""

from ..table import Rule, Source

FCN_HRNET = Source(
    name="mmseg",
    title="MMSegmentation's FCN with HRNet",
    marks=(r"backbone\.stage4\..*", r"decode_head\.conv_seg\.weight", r"decode_head\.convs\.0\.conv\.weight"),
    rules=(
        Rule(r"(backbone(?:\..*)?)", "<1>"),
        Rule(r"decode_head\.convs\.0\.conv", "last_layer.0", optional=True),
        Rule(r"decode_head\.convs\.0\.bn", "last_layer.1", optional=True),
        Rule(r"decode_head\.conv_seg", "last_layer.3", optional=True),
    ),
    ignored=(
        (r"auxiliary_head\..*", "the head of an auxiliary loss"),
        (r"ema_.*|steps", "moving averages beside the weights"),
        (r"data_preprocessor\..*", "normalisation constants"),
    ),
    zero_biases=(r"(last_layer|aux_head)\.0\.bias",),
    segments=True,
    definition=(("seg_head.fusion_steps", 2),),
    ready=tuple(f"configs/hrnet_{width}_seg_cityscapes_mmseg.yaml" for width in ("w48", "w18", "w18_small_v2")),
)
SOURCES = (FCN_HRNET,)
