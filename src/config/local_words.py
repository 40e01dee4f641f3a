"""The originals' words for data, weights and results, typed where nothing is copied from ModelArts: local paths.

HRNetW48_cls and HRNetW48_seg call them data_path or data_url, checkpoint_path or checkpoint_url, and train_url.
"""

import logging
import os
from dataclasses import replace

from ..errors import UserError, short
from .config import Config
from .load import with_typed

logger = logging.getLogger(__name__)

TRAINING = {"data_path": "train_dataset", "data_url": "train_dataset", "eval_data_url": "val_dataset"}
SCORING = {name: "val_dataset" for name in TRAINING}
WEIGHTS = {"checkpoint_url": "checkpoint_path"}
# By command: word -> the key that it stands for there.
WORDS = {
    "train.py": TRAINING
    | {"checkpoint_path": "pre_trained", "checkpoint_url": "pre_trained", "train_url": "train_outputs"},
    "check": TRAINING | {"checkpoint_url": "checkpoint_path"},
    "eval.py": SCORING | WEIGHTS,
    "infer.py": WEIGHTS | {"data_path": "pred_input", "data_url": "pred_input"},
    "export.py": WEIGHTS,
    "preprocess.py": SCORING,
    "postprocess.py": SCORING,
    "main.py": SCORING,
    "mindrecord": TRAINING,
    "browse": TRAINING,
}
# Files of a data set's root that holds what is evaluated as well: segmentation's list, COCO's labels.
VALIDATION = (("val.lst",), ("annotations", "instances_val2017.json"))
START_WEIGHTS = {"checkpoint_path", "checkpoint_url"}  # which a network takes as far as they fit


def act_locally(cfg: Config, command: str) -> tuple[Config, set[str]]:
    """The configuration in which what the command line says in these words stands under this project's keys, and the
    words that were used.

    What a file says in them is for ModelArts (but for the weights that an original's file names), as is everything with
    enable_modelarts. UserError for a key that is given twice in different words.
    """
    if cfg.enable_modelarts:
        return cfg, set()
    used = {word: key for word, key in WORDS.get(command, {}).items() if word in cfg.typed and getattr(cfg, word)}
    values: dict[str, str] = {}
    named = {key: key for key in used.values() if key in cfg.typed and getattr(cfg, key)}
    for word, key in used.items():
        value, other = getattr(cfg, word), named.get(key)
        if other and (values.get(key) or getattr(cfg, key)) != value:
            raise UserError(
                f"command line: --{word} {short(value)} says what --{other} says otherwise; give one of them"
            )
        values[key], named[key] = value, word
    for word in cfg.weight_words:
        key = WORDS.get(command, {}).get(word)
        if key and key not in {*values, *cfg.typed} and getattr(cfg, word):
            used[word], values[key] = key, getattr(cfg, word)
    if not values:
        return cfg, set()
    if "train_dataset" in values and "val_dataset" not in {*values, *cfg.typed}:
        values |= _validation_beside(cfg, values["train_dataset"])
    unsaid = {word: type(cfg).__dataclass_fields__[word].default for word in used}
    return with_typed(replace(cfg, **unsaid | values), {*cfg.typed, *values, *used}), set(used)


def _validation_beside(cfg: Config, data: str) -> dict:
    """What is evaluated in a training on the data set `data`, where the command line does not say it."""
    if any(os.path.isfile(os.path.join(data, *name)) for name in VALIDATION):
        return {"val_dataset": data}
    if not cfg.run_eval or "run_eval" in cfg.typed or os.path.isdir(cfg.val_dataset):
        return {}
    logger.warning(
        "no evaluation while training: no --val_dataset (or --eval_data_path), and val_dataset %s of the file is not "
        "there",
        short(cfg.val_dataset),
    )
    return {"run_eval": False}
