"""What a file of weights may say of the configuration it is run with, and what stays with whoever runs it.

A configuration inside a file comes from outside. What makes the network and its scores is taken, and where the data
lie that it was trained and evaluated on; nothing of what it would write, send, look for or raise a limit by.
"""

import dataclasses
from typing import Any

from .checks import check_together
from .config import Config
from .load import with_typed
from .schema import nested_kind

CLASSES = ("class_names",)
PLACES = (  # which are read, if they are there at all
    "train_dataset", "val_dataset", "train_annotations", "train_images", "val_annotations", "val_images",
    "train_data_type", "val_data_type", "mindrecord_dir",
)  # fmt: skip
DEVICE = ("device_target", "mode")
WAYS = ("test_batch_size", "infer_score_thr", "log_style")  # harmless, and as it was run
TAKEN = frozenset((*CLASSES, *PLACES, *DEVICE, *WAYS))


def only_portable(cfg: Config) -> Config:
    """A configuration out of a file of weights in which every key that is not taken from there, and that nobody has
    typed, has its default. UserError where the rest does not fit together.
    """
    own = {item.name: item for item in dataclasses.fields(cfg) if not _is_taken(item)}
    usual = type(cfg)()
    values = {name: getattr(usual, name) for name in own if name not in cfg.typed}
    if "infer_score_thr" not in cfg.typed and isinstance(cfg.infer_score_thr, str):  # a file's name
        values["infer_score_thr"] = usual.infer_score_thr
    if "backbone.pretrained" not in cfg.typed:
        values["backbone"] = dataclasses.replace(cfg.backbone, pretrained="")
    return replaced(cfg, **values)


def portable_values(cfg: Config) -> dict[str, Any]:
    """What a file of weights tells of a configuration to whoever gets it: nothing of machines and places."""
    values = dataclasses.asdict(cfg)
    kept = {item.name for item in dataclasses.fields(cfg) if _is_taken(item)} - {*PLACES, *DEVICE}
    values["backbone"] = values["backbone"] | {"pretrained": ""}
    kept -= {"infer_score_thr"} if isinstance(cfg.infer_score_thr, str) else set()
    return {name: value for name, value in values.items() if name in kept}


def replaced(cfg: Config, **values: Any) -> Config:
    """The configuration with other values, checked, and all that it knows of where it comes from."""
    new = dataclasses.replace(cfg, **values)
    check_together(new)
    for name in ("origin", "weight_words"):
        object.__setattr__(new, name, getattr(cfg, name))
    return with_typed(new, cfg.typed)


def _is_taken(item: dataclasses.Field) -> bool:
    return bool(nested_kind(item.type)) or item.metadata["matters"] != "never" or item.name in TAKEN
