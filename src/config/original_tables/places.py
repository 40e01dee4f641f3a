"""Keys of runs, places and ModelArts that several originals have, with what stands in their place."""

from .table import Entry, answer, fixed, to

SINKING = "batches are fed from Python here, step by step, as they are made in Python: nothing is sunk into the device"

# A configuration file of each original has them; those of the same name here mean the same.
MODELARTS: dict[str, Entry] = {
    "enable_modelarts": to("enable_modelarts"),
    "data_url": to("data_url", kept=("",)),
    "train_url": to("train_url", kept=("",)),
    "checkpoint_url": to("checkpoint_url", kept=("",)),
    "data_path": to("data_path", kept=("",)),
    "output_path": to("output_path", kept=("",)),
    "load_path": to("load_path", kept=("",)),
    "modelarts_dataset_unzip_name": answer("data are copied from data_url as they are: a folder, unpacked"),
    "need_modelarts_dataset_unzip": answer("data are copied from data_url as they are: a folder, unpacked"),
}
RUNS: dict[str, Entry] = {
    "device_target": to("device_target"),
    "device_id": to("device_id"),
    "device_num": to("device_num"),
    "rank_id": answer("the launcher tells each process its rank"),
    "run_distribute": to("run_distribute"),
    "enable_profiling": to("enable_profiling"),
    "only_create_dataset": fixed(False, says="python -m src.data.mindrecord makes MindRecord"),
    "do_train": answer("train.py trains, eval.py evaluates"),
    "do_eval": answer("train.py trains, eval.py evaluates"),
    "pre_trained": to("pre_trained", kept=("/cache/data",)),
    "checkpoint_path": to("checkpoint_path", kept=("./checkpoint/",)),
    "checkpoint_file": to("checkpoint_path", kept=("", "./checkpoint/mask_rcnn-12_7393.ckpt")),
    "ckpt_file": to("checkpoint_path", kept=("", "/cache/data/cocodataset/ckpt_maskrcnn/mask_rcnn-12_7393.ckpt")),
    "file_name": to("file_name", kept=("maskrcnn",)),
    "file_format": to("file_format"),
    "img_path": answer("eval.py and infer.py read images themselves: val_dataset, pred_input"),
    "result_path": answer("eval.py scores what the network gives, or prediction_path"),
    "save_checkpoint": fixed(True, says="checkpoints are always written: a stopped run goes on from the last one"),
    "save_checkpoint_epochs": to("save_every_epochs"),
    "save_checkpoint_path": to("train_outputs", kept=("./",)),
}
