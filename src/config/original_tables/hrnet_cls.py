"""HRNetW48_cls of MindSpore's models (research/cv)."""

from typing import Any

from .hrnet import SHARED, WORDS, local, stages
from .literal import plain
from .places import SINKING
from .table import Original, Values, answer, fixed, to, together


def smoothing(values: Values) -> dict[str, Any]:
    """Its factor is the share of the wrong classes, PyTorch's is spread over all of them: a file says how many."""
    factor, classes = (plain(values.get(name)) for name in ("label_smooth_factor", "num_classes"))
    is_used = plain(values["use_label_smooth"])
    if not isinstance(is_used, bool | int):
        return {"label_smoothing": is_used}  # which says what that key may be
    if not is_used:
        factor = 0
    elif type(classes) is int and classes > 1 and type(factor) in (int, float):
        factor = factor * classes / (classes - 1)
    return {"label_smoothing": factor}


def model(values: Values) -> dict[str, Any]:
    """{name: cls_hrnet_w48, extra: {FINAL_CONV_KERNEL: 1, STAGE1: {NUM_MODULES: 1, ...}, ...}}."""
    value = values["model"]
    if not isinstance(value, dict):
        return {"backbone.extra": value}
    return stages(value.get("extra", value))


HRNET_CLS = Original(
    name="HRNetW48_cls",
    title="HRNetW48_cls of MindSpore's models (research/cv)",
    task="classification",
    base=lambda values: "hrnet_w48_cls_mindspore.yaml",
    words=WORDS,
    table=SHARED
    | {
        "data_path": local("data_path", "train_dataset"),
        "data_url": local("data_url", "train_dataset"),
        "train_path": to("train_outputs"),
        "eval_data_path": to("val_dataset"),
        "eval_interval": to("eval_every"),
        "dataset": answer("a classifier reads folders of classes", when=lambda value: value == "imagenet"),
        "num_classes": to("num_classes"),
        "input_size": to("input_size"),
        "width": to("img_width"),
        "height": to("img_height"),
        "lr_init": to("lr_init"),
        "lr_end": to("min_lr"),
        "warmup_epochs": to("warmup_epochs"),
        "use_label_smooth": together(smoothing, True),
        "label_smooth_factor": together(smoothing, 0.1),
        "conv_init": to("cls_head.conv_init"),
        "dense_init": to("cls_head.dense_init"),
        "save_ckpt": fixed(True, says="checkpoints are always written: a stopped run goes on from the last one"),
        "sink_mode": answer(SINKING),
        "model": together(model),
    },
)
