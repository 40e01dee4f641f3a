"""The keys that HRNetW48_cls and HRNetW48_seg share."""

from collections.abc import Callable
from typing import Any

from .literal import plain
from .places import MODELARTS
from .table import Entry, Values, never, to, together

# Places as each command means them, where a command line names them.
WORDS = ("data_path", "data_url", "eval_data_url", "train_url", "checkpoint_path", "checkpoint_url")
STAGES = ("STAGE1", "STAGE2", "STAGE3", "STAGE4")
PARTS = ("NUM_MODULES", "NUM_BRANCHES", "BLOCK", "NUM_BLOCKS", "NUM_CHANNELS")
FUSION = "FUSE_METHOD"  # the authors' code knows no other than SUM


def stage(name: str, value: Any) -> dict[str, Any]:
    """{NUM_MODULES: 1, NUM_BRANCHES: 2, ...} -> keys of backbone.extra.stageN."""
    section = f"backbone.extra.{name.lower()}"
    if not isinstance(value, dict):
        return {section: value}
    known = {part: part.lower() for part in PARTS}
    own = {f"{section}.{known.get(part, part)}": one for part, one in value.items() if part != FUSION}
    if value.get(FUSION, "SUM") != "SUM":
        own[f"{section}.{FUSION}"] = value[FUSION]
    return own


def stages(extra: Any) -> dict[str, Any]:
    """{FINAL_CONV_KERNEL: 1, STAGE1: {...}, ...} -> keys of backbone.extra and seg_head."""
    if not isinstance(extra, dict):
        return {"backbone.extra": extra}
    own: dict[str, Any] = {}
    for name, value in extra.items():
        if name in STAGES:
            own |= stage(name, value)
        elif name != "...":  # which stands for all of it in a README
            own["seg_head.final_conv_kernel" if name == "FINAL_CONV_KERNEL" else f"backbone.extra.{name}"] = value
    return own


def of(name: str) -> Callable[[Values], dict[str, Any]]:
    return lambda values: stages({name: values[name]})


def is_on_modelarts(values: Values) -> bool:
    return any(plain(values.get(name)) is True for name in ("modelarts", "enable_modelarts"))


def local(word: str, *keys: str) -> Entry:
    """A place that a file names: these keys, unless it is ModelArts that is told of it."""
    return together(lambda values: dict.fromkeys([word] if is_on_modelarts(values) else keys, values[word]), when=never)


SHARED: dict[str, Entry] = {
    **MODELARTS,
    "modelarts": to("enable_modelarts"),
    "eval_data_url": local("eval_data_url", "val_dataset"),
    "train_url": local("train_url", "train_outputs"),
    "checkpoint_path": to("checkpoint_path"),
    "device_target": to("device_target"),
    "device_id": to("device_id"),
    "run_distribute": to("run_distribute"),
    "begin_epoch": to("begin_epoch"),
    "end_epoch": to("end_epoch"),
    "total_epoch": to("epoch_size"),
    "batchsize": to("batch_size"),
    "lr": to("lr"),
    "lr_scheme": to("lr_type"),
    "optimizer": to("opt_type"),
    "opt_momentum": to("momentum"),
    "wd": to("weight_decay"),
    "eps": to("opt_eps"),
    "loss_scale": to("loss_scale"),
    "save_checkpoint_epochs": to("save_every_epochs"),
    "keep_checkpoint_max": to("keep_checkpoint_max"),
    "file_name": to("file_name"),
    "file_format": to("file_format"),
    **{name: together(of(name)) for name in STAGES},
    "FINAL_CONV_KERNEL": to("seg_head.final_conv_kernel"),
    "extra": together(lambda values: stages(values["extra"])),
}
