"""HRNetW48_seg of MindSpore's models (research/cv)."""

from typing import Any

from .hrnet import SHARED, WORDS, local
from .table import Original, answer, to

TASKS = {"seg": "segmentation", "cls": "classification"}
BASES = {"lip": "hrnet_w48_seg_lip_mindspore.yaml"}


def task_of(value: Any) -> Any:
    """Its eval.py knows a task by another name."""
    return TASKS.get(value, value) if isinstance(value, str) else value


def is_task(value: Any) -> bool:
    return isinstance(value, str) and value in TASKS


HRNET_SEG = Original(
    name="HRNetW48_seg",
    title="HRNetW48_seg of MindSpore's models (research/cv)",
    task="segmentation",
    base=lambda values: BASES.get(str(values.get("dataset")), "hrnet_w48_seg_cityscapes_mindspore.yaml"),
    words=WORDS,
    table=SHARED
    | {
        "data_path": local("data_path", "train_dataset", "val_dataset"),
        "data_url": local("data_url", "train_dataset", "val_dataset"),
        "task": to("task", change=task_of, when=is_task),
        "dataset": to("dataset"),
        "train_path": answer("preprocess.py --result_path is its folder; train_outputs that of a training"),
        "eval": to("run_eval"),
        "eval_start": to("eval_start"),
        "interval": to("eval_every"),
        "lr_min": to("min_lr"),
        "lr_power": to("lr_power"),
        "checkpoint_file": to("checkpoint_path"),
        "pth_path": to("pt_path"),
        "ckpt_path": to("ckpt_path"),
        "data_lst": answer("val_dataset is the folder with val.lst, or the list itself"),
        "label_dir": answer("val.lst names the labels"),
        "infer_result_path": answer("--result_path is the folder of deploy/mindx/main.py"),
        "pipeline": answer("deploy/mindx/main.py has this option"),
        "root": answer("python -m src.data.cityscapes_lst_maker and lip_lst_maker make the lists"),
        "label_path": answer("postprocess.py reads the labels of val_dataset"),
        "result_path": answer("preprocess.py and postprocess.py have this option"),
    },
)
