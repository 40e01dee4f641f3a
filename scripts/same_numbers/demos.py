"""The six demos and the small drawn data that both commits train and evaluate on."""

from dataclasses import dataclass
from pathlib import Path

IMAGES, VAL_IMAGES, SEED = 24, 6, 3
DETECTION, CLASSIFICATION, SEGMENTATION = "detection", "classification", "segmentation"


@dataclass(frozen=True)
class Demo:
    """One configuration of configs/demo with its data; train and val are folders below the drawn data."""

    name: str
    task: str
    train: str
    val: str

    @property
    def config(self) -> str:
        return f"configs/demo/{self.name}_shapes.yaml"

    def train_data(self, data: Path) -> list[str]:
        return ["--train_dataset", str(data / self.train)]

    def val_data(self, data: Path) -> list[str]:
        return ["--val_dataset", str(data / self.val)]


_COCO = (DETECTION, "coco/train", "coco/validation")
DEMOS = {
    demo.name: demo
    for demo in (
        Demo("mask_rcnn_hrnet", *_COCO),
        Demo("mask_rcnn_spinenet", *_COCO),
        Demo("pointrend_hrnet", *_COCO),
        Demo("hrnet_cls", CLASSIFICATION, "imagenet/train", "imagenet/val"),
        Demo("hrnet_seg_cityscapes", SEGMENTATION, "cityscapes", "cityscapes"),
        Demo("hrnet_seg_lip", SEGMENTATION, "lip", "lip"),
    )
}

# python -m src.data.synthetic LAYOUT: longest side in pixels
LAYOUTS = {"coco": 128, "imagenet": 64, "cityscapes": 128, "lip": 128}

# Twenty steps: images of each step few, the warm-up short so that the weights move, an evaluation at the end.
TRAINING = (
    "--max_steps 20 --log_every 1 --batch_size 2 --test_batch_size 3 --num_parallel_workers 1 --warmup_step 5 "
    "--warmup_epochs 0 --eval_every 100 --brief numbers"
)

# Batches also with every augmentation switched on, and from MindRecord: {task: {name: keys}}.
BATCHES = {
    DETECTION: {
        "plain": "",
        "expanded": "--expand_ratio 0.7",
        "stretched": "--keep_ratio 0 --flip_ratio 1 --to_rgb 0",
        "mindrecord": "--train_data_type mindrecord --train_dataset {data}/mindrecord/train",
    },
    CLASSIFICATION: {
        "plain": "",
        "jittered": "--color_jitter 0.4 --rand_augment 2",
        "mixed": "--mixup 0.8 --cutmix 1.0",
    },
    SEGMENTATION: {
        "plain": "",
        "jittered": "--color_jitter 0.4",
        "stretched": "--keep_ratio 0 --flip_ratio 1 --to_rgb 0",
    },
}

_SHAPES = "--config_path configs/demo/mask_rcnn_hrnet_shapes.yaml"
WRONG = (  # command lines that end with one line of an error
    "train.py",
    "train.py --config_path nowhere.yaml",
    f"train.py {_SHAPES}",
    f"train.py {_SHAPES} --train_dataset nowhere",
    f"train.py {_SHAPES} --train_dataset nowhere --lrr 1",
    f"train.py {_SHAPES} --train_dataset nowhere --lr much",
    f"train.py {_SHAPES} --train_dataset nowhere --bbox_head.fc_out_chanels 1",
    f"train.py {_SHAPES} --train_dataset nowhere --mode slow",
    f"eval.py {_SHAPES} --val_dataset nowhere",
    f"export.py {_SHAPES}",
    f"infer.py {_SHAPES}",
    f"convert_from_pt.py {_SHAPES}",
    "draw_predictions.py --pred_file nowhere.json --out_dir nowhere",
    "-m src.check",
    f"-m src.data.mindrecord {_SHAPES}",
    "-m src.data.lip_lst_maker --root nowhere",
    "-m src.data.synthetic coco nowhere --images 0",
)
