"""How the museum was made: `python tests/museum/make.py FOLDER [FAMILY...]`, on the commit that README.md names.

Documentation, not a tool to run again: what lies here is never changed. Every command runs in FOLDER with relative
paths, so that no file holds a path of the machine. MindSpore commands of one family share a process, but for training.
"""

import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

HRNET = [
    "--backbone.extra.stage1.num_blocks=[1]", "--backbone.extra.stage1.num_channels=[4]",
    "--backbone.extra.stage2.num_blocks=[1,1]", "--backbone.extra.stage2.num_channels=[4,4]",
    "--backbone.extra.stage3.num_blocks=[1,1,1]", "--backbone.extra.stage3.num_channels=[4,4,6]",
    "--backbone.extra.stage4.num_blocks=[1,1,1,1]", "--backbone.extra.stage4.num_channels=[4,4,6,8]",
]  # fmt: skip
WIDTH = 8  # of the pyramid
DETECTION = [
    "--train_dataset=data/shapes/train", "--val_dataset=data/shapes/train", "--num_gts=8",
    f"--neck.fpn.out_channels={WIDTH}", f"--rpn.in_channels={WIDTH}", f"--rpn.feat_channels={WIDTH}",
    f"--roi.out_channels={WIDTH}", f"--mask_roi.out_channels={WIDTH}", f"--bbox_head.in_channels={WIDTH}",
    "--bbox_head.fc_out_channels=16", f"--mask_head.in_channels={WIDTH}", f"--mask_head.conv_out_channels={WIDTH}",
    "--mask_head.num_convs=2",
    "--train_cfg.rpn.sampler.num=32", "--train_cfg.rpn_proposal.nms_pre=100",
    "--train_cfg.rpn_proposal.max_per_img=32", "--train_cfg.rcnn.sampler.num=32", "--test_cfg.rpn.nms_pre=100",
    "--test_cfg.rpn.max_per_img=32", "--test_cfg.rcnn.max_per_img=8", "--batch_size=2", "--test_batch_size=2",
    "--warmup_step=10", "--grad_clip=10",
]  # fmt: skip
SMALL_IMAGE = ["--img_width=64", "--img_height=64"]
HRNET_DETECTOR = [*DETECTION, *SMALL_IMAGE, *HRNET, "--neck.fpn.in_channels=[4,4,6,8]"]
COMMON = [
    "--device_target=CPU", "--num_parallel_workers=1", "--python_multiprocessing=0", "--log_every=1", "--brief=museum",
    "--save_every=STEP", "--keep_checkpoint_max=1", "--keep_best_checkpoints_max=1", "--eval_every=EPOCH",
    "--epoch_size=160", "--train_outputs=OUTPUTS",
]  # fmt: skip

MORE = 6  # steps from the stored state to the end of the run

# family: (configuration, keys); STOPS below says where the state is taken
FAMILIES = {
    "mask_rcnn_hrnet": ("demo/mask_rcnn_hrnet_shapes.yaml", [*HRNET_DETECTOR, "--lr=0.01", "--batch_size=4"]),
    "mask_rcnn_spinenet": (
        "demo/mask_rcnn_spinenet_shapes.yaml",
        [
            *DETECTION, "--backbone.scaling.width=0.04", f"--backbone.scaling.endpoint_channels={WIDTH}",
            "--bbox_head.num_shared_convs=1", f"--bbox_head.conv_out_channels={WIDTH}", "--batch_size=3",
            "--opt_type=momentum", "--lr=0.05", "--lr_type=linear",
        ],
    ),
    "mask_rcnn_resnet": (
        "demo/mask_rcnn_hrnet_shapes.yaml",
        [
            *DETECTION, *SMALL_IMAGE, "--backbone.type=resnet", "--backbone.depth=18", "--backbone.base_channels=4",
            "--neck.type=fpn", "--neck.fpn.in_channels=[4,8,16,32]", "--opt_type=momentum", "--lr=0.05",
            "--lr_type=multistep", "--lr_steps=[100,150]", "--accumulate_step=2", "--batch_size=4",
        ],
    ),
    "pointrend_hrnet": (
        "demo/pointrend_hrnet_shapes.yaml",
        [
            *HRNET_DETECTOR, "--lr=0.01", "--batch_size=4", "--mask_head.fc_out_channels=16",
            f"--point_head.in_channels={WIDTH}", "--point_head.fc_channels=16",
            "--train_cfg.rcnn.num_points=49", "--test_cfg.rcnn.subdivision_steps=3", "--backbone.frozen_stages=0",
        ],
    ),
    "hrnet_cls": (
        "demo/hrnet_cls_shapes.yaml",
        [
            *HRNET, "--train_dataset=data/classes/train", "--val_dataset=data/classes/val", "--num_classes=8",
            "--input_size=32", "--eval_resize=32", "--cls_head.head_channels=[4,4,4,8]",
            "--cls_head.final_channels=32", "--batch_size=4", "--test_batch_size=8", "--label_smoothing=0.1",
            "--opt_type=rmsprop", "--opt_eps=0.001", "--lr=0.003", "--ema_decay=0.9", "--lr_type=linear",
        ],
    ),
    "hrnet_seg_cityscapes": (
        "demo/hrnet_seg_cityscapes_shapes.yaml",
        [
            *HRNET, "--train_dataset=data/streets", "--val_dataset=data/streets", "--img_width=64", "--img_height=32",
            "--base_size=64", "--eval_width=64", "--eval_height=32", "--batch_size=3", "--ohem=1",
            "--ohem_min_kept=500", "--warmup_step=10", "--lr=0.01",
        ],
    ),
    "hrnet_seg_lip": (
        "demo/hrnet_seg_lip_shapes.yaml",
        [
            *HRNET, "--train_dataset=data/persons", "--val_dataset=data/persons", "--img_width=48", "--img_height=48",
            "--base_size=48", "--batch_size=3", "--opt_type=sgd", "--momentum=0.9", "--lr=0.2", "--lr_type=poly",
            "--warmup_step=10",
        ],
    ),
}  # fmt: skip
# family: (steps of an epoch, epoch that is evaluated, step of the next epoch whose state is stored)
STOPS = dict.fromkeys(FAMILIES, (4, 60, 2)) | {
    "mask_rcnn_hrnet": (2, 110, 1), "mask_rcnn_spinenet": (3, 60, 2), "mask_rcnn_resnet": (2, 130, 1),
    "pointrend_hrnet": (2, 110, 1),
}  # fmt: skip
DETECTORS = [name for name in FAMILIES if name.startswith(("mask_rcnn", "pointrend"))]
DATA = {
    "shapes": ("coco", 10, 1, 64), "classes": ("imagenet", 16, 8, 40),
    "streets": ("cityscapes", 12, 3, 64), "persons": ("lip", 12, 3, 56),
}  # fmt: skip
IMAGES = {
    "hrnet_cls": "data/classes/val/star", "hrnet_seg_cityscapes": "data/streets/leftImg8bit/val/corvallis",
    "hrnet_seg_lip": "data/persons/TrainVal_images/val_images",
}  # fmt: skip


def run(*words: object) -> str:
    """A command in a process of its own, in the working folder; what it printed."""
    script, *rest = map(str, words)
    place = ["-m", script] if script.startswith("src.") else [str(ROOT / script)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GLOG_v": "3"}
    done = subprocess.run([sys.executable, *place, *rest], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


def call(script: str, *words: object) -> str:
    """A top-level command in this process; what it printed."""
    printed, arguments = io.StringIO(), sys.argv
    sys.argv = [script, *map(str, words)]
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    finally:
        sys.argv = arguments
    return printed.getvalue()


def make_data() -> None:
    for name, (layout, train, val, size) in DATA.items():
        counts = ("--images", train, "--val-images", val, "--size", size, "--seed", 3)
        run("src.data.synthetic", layout, f"data/{name}", *counts)
    shutil.rmtree("data/shapes/validation")
    config, keys = FAMILIES["mask_rcnn_hrnet"]
    records = ("--mindrecord_dir", "data/records", "--mindrecord_shards", 2)
    run("src.data.mindrecord", "--config_path", ROOT / "configs" / config, *keys, *records)


def make_family(name: str) -> None:
    folder = Path(name)
    experiment, rows = train(name, folder)
    with open(folder / "losses_to_the_end.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows[-MORE:])
    expected = {"last_step": len(rows)} | evaluate(name, folder, experiment)
    expected |= make_foreign(name, folder, experiment)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(name, json.dumps(expected), flush=True)
    pack(folder)


def pack(folder: Path) -> None:
    """Compress checkpoints, exported and foreign files, which are most of the bytes."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".ckpt", ".onnx", ".mindir", ".pth", ".safetensors"):
            content = gzip.compress(path.read_bytes(), 9, mtime=0)
            path.with_name(f"{path.name}.gz").write_bytes(content)
            path.unlink()


def train(name: str, folder: Path) -> tuple[Path, list[dict]]:
    """Train without a stop; the run's folder as a kill after the stored step would have left it, and all losses."""
    config, keys = FAMILIES[name]
    steps_per_epoch, epoch, step = STOPS[name]
    steps = epoch * steps_per_epoch + step
    outputs = folder / "run"
    settings = [word.replace("OUTPUTS", str(outputs)).replace("STEP", str(step)) for word in COMMON]
    settings = [word.replace("EPOCH", str(epoch)) for word in settings]
    words = ["--config_path", ROOT / "configs" / config, *settings, *keys, "--max_steps", steps + MORE]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GLOG_v": "3"}
    process = subprocess.Popen(
        [sys.executable, ROOT / "train.py", *map(str, words)], stdout=subprocess.DEVNULL, env=environment
    )
    state = f"ckpt/epoch_{epoch + 1:04d}_step_{step:07d}.ckpt"
    while not list(outputs.glob(f"*/{state}")):
        assert process.poll() is None, f"{name}: training ended with {process.returncode}"
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    (experiment,) = outputs.iterdir()
    killed = folder / "killed"
    shutil.copytree(experiment, killed, ignore=shutil.ignore_patterns("*.png", ".*"))
    process.send_signal(signal.SIGCONT)
    assert process.wait() == 0
    with open(experiment / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    shutil.rmtree(experiment)
    killed.rename(experiment)
    for older in sorted((experiment / "ckpt").iterdir())[:-1]:  # stopped before train.py has deleted it
        older.unlink()
    assert (experiment / state).exists() and len(rows) == steps + MORE, len(rows)
    return experiment, rows


def evaluate(name: str, folder: Path, experiment: Path) -> dict:
    (best,) = (experiment / "best_ckpt").iterdir()
    config = ("--config_path", experiment / "config.yaml")
    checkpoint = (*config, "--checkpoint_path", best)
    expected = {}
    if name in DETECTORS:
        saved = ("--prediction_path", folder / "predictions.json")
        expected["eval"] = scores(call("eval.py", *checkpoint, *saved))
        assert scores(call("eval.py", *config, *saved)) == expected["eval"]
    else:
        expected["eval"] = scores(call("eval.py", *checkpoint))
    images = IMAGES.get(name, "data/shapes/train/data")
    if name.startswith("hrnet_seg"):
        call("infer.py", *checkpoint, "--pred_input", images, "--pred_output", folder / "pictures")
        for picture in (folder / "pictures").iterdir():
            if not picture.name.endswith("_index.png"):
                picture.unlink()
    else:
        call("infer.py", *checkpoint, "--pred_input", images, "--pred_output", folder / "inference.json")
    for kind in ("onnx", "mindir"):
        exported = folder / f"model.{kind}"
        portable = ("--portable", int(name in DETECTORS and kind == "mindir"))
        call("export.py", *checkpoint, "--file_name", exported, "--file_format", kind.upper(), *portable)
        expected[f"eval_{kind}"] = scores(
            call("eval.py", *config, "--checkpoint_path", exported, "--backend", kind)
        )
    if name == "pointrend_hrnet":  # equal scores of several proposals: onnxruntime keeps others of them
        onnx = ("--checkpoint_path", folder / "model.onnx", "--backend", "onnx")
        call("infer.py", *config, *onnx, "--pred_input", images, "--pred_output", folder / "inference_onnx.json")
    return expected


def scores(printed: str) -> dict[str, float]:
    """What eval.py prints, by name."""
    found = dict(re.findall(r"^(bbox_mAP|segm_mAP|mIoU): (-?\d+\.\d+)$", printed, re.MULTILINE))
    found |= dict(re.findall(r"'(Loss|Top_1_Acc|Top_5_Acc)': (\d+\.\d+)", printed))
    found |= dict(re.findall(r"(pixel accuracy|mean class accuracy): (\d+\.\d+)", printed))
    assert found, printed
    return {key: float(value) for key, value in found.items()}


# ------------------------------------------------------------------------------------------- another project's weights

SUFFIXES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
HEADS = {
    r"mask_head\.coarse_head\.reduce_spatial_dim_conv\.": "roi_head.mask_head.downsample_conv.conv.",
    r"mask_head\.coarse_head\.fcs\.": "roi_head.mask_head.fcs.",
    r"mask_head\.coarse_head\.prediction\.": "roi_head.mask_head.fc_logits.",
    r"mask_head\.point_head\.fcs\.(\d+)\.": r"roi_head.point_head.fcs.\1.conv.",
    r"mask_head\.point_head\.predictor\.": "roi_head.point_head.fc_logits.",
    r"(bbox_head|mask_head)\.": r"roi_head.\1.",
}


def make_foreign(name: str, folder: Path, experiment: Path) -> dict:
    """The trained weights under the names of the project they could be of; what the conversion makes of them."""
    import mindspore as ms
    import torch
    from safetensors.torch import save_file

    (best,) = (experiment / "best_ckpt").iterdir()
    own = {key: value.asnumpy() for key, value in ms.load_checkpoint(str(best)).items()}
    state = {}
    for key, value in own.items():
        # Changed a little in ways that no training does, so that no two tensors are the same.
        value = value + 0.001 * len(state) * (1 if value.ndim == 1 else 0)
        stem, _, kind = foreign_name(name, key).rpartition(".")
        tensor = torch.tensor(value.astype("float32"))
        if "point_head" in key and kind == "weight":
            tensor = tensor[..., None]
        state[f"{stem}.{SUFFIXES.get(kind, kind)}"] = tensor
        if kind == "moving_variance":
            state[f"{stem}.num_batches_tracked"] = torch.tensor(303)
    if name in ("pointrend_hrnet", "hrnet_seg_lip"):
        state = {key: value.half() if value.dtype == torch.float32 else value for key, value in state.items()}
    path, content = folder / "foreign.pth", {"meta": {"epoch": 12}, "state_dict": state}
    if name == "hrnet_cls":
        path = folder / "foreign.safetensors"
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    elif name == "mask_rcnn_spinenet":
        torch.save(content, path, _use_new_zipfile_serialization=False)
    else:
        torch.save(state if name == "hrnet_seg_lip" else content, path)
    converted = folder / "converted.ckpt"
    call("convert_from_pt.py", "--config_path", experiment / "config.yaml", "--pt_path", path, "--ckpt_path", converted)
    values = {key: value.asnumpy() for key, value in ms.load_checkpoint(str(converted)).items()}
    converted.unlink()
    assert set(values) == set(own), set(values) ^ set(own)
    return {"converted": {"file": path.name, "parameters": len(values), "sha256": digest(values)}}


def foreign_name(family: str, name: str) -> str:
    """MMDetection's, the HRNet authors' or the SpineNet port's name of one of our parameters, but for its last word."""
    if family == "hrnet_cls":
        return name.removeprefix("backbone.")
    if family.startswith("hrnet_seg"):
        bare = name.removeprefix("backbone.")
        return f"model.{bare}" if family == "hrnet_seg_cityscapes" else bare
    if family == "mask_rcnn_spinenet":
        name = re.sub(r"(endpoint_convs)\.(\d)", lambda found: f"{found[1]}.{int(found[2]) + 3}", name)
    for pattern, theirs in HEADS.items():
        if re.match(pattern, name):
            return re.sub(pattern, theirs, name, count=1)
    return name


def digest(values: dict) -> str:
    """sha256 over names, shapes and float32 values in the names' order."""
    found = hashlib.sha256()
    for name in sorted(values):
        found.update(f"{name} {list(values[name].shape)}".encode())
        found.update(values[name].astype("<f4").tobytes())
    return found.hexdigest()


def main() -> None:
    folder, *families = sys.argv[1:]
    sys.path.remove(str(Path(__file__).resolve().parent))
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.environ.setdefault("GLOG_v", "3")
    if not Path("data").exists():
        make_data()
    if len(families) == 1:
        make_family(families[0])
    else:
        for name in families or FAMILIES:
            subprocess.run([sys.executable, __file__, ".", name], check=True)


if __name__ == "__main__":
    main()
