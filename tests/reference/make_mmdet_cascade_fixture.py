"""Write tests/data_files/mmdet_cascade.npz with MMDetection: cascades, and Faster R-CNN, on the HRNet fixture's inputs.

ResNet-18 and FPN, whose graphs compile sooner; every candidate is taken in training. Needs what make_mmdet_fixture.py
needs.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.reference import make_mmdet_fixture as hrnet  # noqa: E402
from tests.reference.recipe import make_images, make_parameter  # noqa: E402

OUTPUT = hrnet.OUTPUT.with_name("mmdet_cascade.npz")
MASKS = 20  # of the best detections of an image
STDS = ((0.1, 0.2), (0.05, 0.1), (0.033, 0.067))
FULL_GRADIENTS = {
    "cascade": (
        "backbone.conv1.weight",
        "rpn_head.rpn_reg.weight",
        *(f"roi_head.bbox_head.{stage}.{layer}.weight" for stage in range(3) for layer in ("fc_cls", "fc_reg")),
        *(f"roi_head.mask_head.{stage}.conv_logits.weight" for stage in range(3)),
    ),
    "classwise": ("backbone.conv1.weight", "roi_head.bbox_head.0.fc_reg.weight", "roi_head.bbox_head.1.fc_reg.weight"),
    "faster": ("backbone.conv1.weight", "rpn_head.rpn_reg.weight", "roi_head.bbox_head.fc_reg.weight"),
}
CASES = tuple(FULL_GRADIENTS)


def smooth_l1(beta: float) -> dict:
    return {"type": "SmoothL1Loss", "beta": beta, "loss_weight": 1.0}


def narrow_config() -> dict:
    config = copy.deepcopy(hrnet.model_config())
    channels = config["neck"]["out_channels"]
    config["backbone"] = {"type": "ResNet", "depth": 18, "base_channels": 4, "stem_channels": 64, "norm_eval": True}
    config["neck"] = {"type": "FPN", "in_channels": [4, 8, 16, 32], "out_channels": channels, "num_outs": 5}
    return config


def without_masks(config: dict) -> dict:
    for name in ("mask_roi_extractor", "mask_head"):
        del config["roi_head"][name]
    return config


def faster_config() -> dict:
    config = without_masks(narrow_config()) | {"type": "FasterRCNN"}
    config["train_cfg"]["rcnn"]["assigner"]["match_low_quality"] = False
    return config


def cascade_config(thresholds: tuple[float, ...], weights: tuple[float, ...], agnostic: bool) -> dict:
    """The cascade of as many stages, after MMDetection's cascade-mask-rcnn base configuration."""
    config = narrow_config() | {"type": "CascadeRCNN"}
    config["rpn_head"]["loss_bbox"] = smooth_l1(1 / 9)
    head = config["roi_head"]
    own = [
        head["bbox_head"]
        | {"bbox_coder": hrnet.box_coder(*stds), "reg_class_agnostic": agnostic, "loss_bbox": smooth_l1(1.0)}
        for stds in STDS[: len(thresholds)]
    ]
    head |= {"type": "CascadeRoIHead", "num_stages": len(own), "stage_loss_weights": list(weights), "bbox_head": own}
    train = config["train_cfg"]
    stages = []
    for threshold in thresholds:
        stage = copy.deepcopy(train["rcnn"])
        stage["assigner"] |= dict.fromkeys(("pos_iou_thr", "neg_iou_thr", "min_pos_iou"), threshold)
        stage["assigner"]["match_low_quality"] = False
        stages.append(stage)
    train["rcnn"] = stages
    train["rpn"]["allowed_border"] = 0
    train["rpn_proposal"]["max_per_img"] = 2000
    return config | {"roi_head": head}


def make_config(case: str) -> dict:
    if case == "faster":
        config = faster_config()
    elif case == "cascade":
        config = cascade_config((0.5, 0.6, 0.7), (1, 0.5, 0.25), agnostic=True)
    else:
        config = without_masks(cascade_config((0.5, 0.65), (1, 0.4), agnostic=False))
    train = config["train_cfg"]
    train["rpn"]["sampler"]["num"] = 8192
    for stage in train["rcnn"] if isinstance(train["rcnn"], list) else [train["rcnn"]]:
        stage["sampler"]["num"] = 1024
    return config


def make_model(case: str) -> torch.nn.Module:
    model = MODELS.build(ConfigDict(make_config(case)))
    state = model.state_dict()
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            state[name] = torch.from_numpy(make_parameter(name, tuple(value.shape)))
    model.load_state_dict(state)
    return model


def record_stages(model: torch.nn.Module) -> list[list]:
    """For each stage what its box head gives; its RoIs follow from `record_rois`."""
    heads = model.roi_head.bbox_head
    calls = [[] for _ in (heads if isinstance(heads, torch.nn.ModuleList) else [heads])]
    for head, own in zip(heads if len(calls) > 1 else [heads], calls):
        hrnet.record_calls(head, "forward", own)
    return calls


def record_rois(model: torch.nn.Module) -> list[torch.Tensor]:
    """The RoIs that features for the box heads are pooled from, call by call."""
    rois, heads = [], model.roi_head.bbox_roi_extractor
    for extractor in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        extractor.register_forward_pre_hook(lambda module, inputs: rois.append(inputs[1].detach().clone()))
    return rois


def save_stages(calls: list[list], rois: list[torch.Tensor], prefix: str, out: dict) -> None:
    for stage, (own, boxes) in enumerate(zip(calls, rois) if len(calls) > 1 else ()):
        out[f"{prefix}_rois_{stage}"] = hrnet.to_numpy(boxes)
        out[f"{prefix}_cls_{stage}"], out[f"{prefix}_reg_{stage}"] = map(hrnet.to_numpy, own[0])


def save_inference(case: str, images: torch.Tensor, out: dict) -> None:
    """Stages, and detections in pixels of the network's input (with masks) and of the original image."""
    model = make_model(case)
    model.eval()
    calls, rois, masks = record_stages(model), record_rois(model), []
    has_masks = case == "cascade"
    if has_masks:
        hrnet.record_calls(model.roi_head, "_mask_forward", masks)
    with torch.no_grad():
        scaled = model.predict(images, hrnet.make_samples(), rescale=True)
    save_stages(calls, rois, f"{case}_test", out)
    with torch.no_grad():
        plain = model.predict(images, hrnet.make_samples(), rescale=False)
    for prefix, results in (("original", scaled), ("detection", plain)):
        found = [result.pred_instances for result in results]
        out[f"{case}_{prefix}_count"] = np.array([len(f) for f in found])
        out[f"{case}_{prefix}_boxes"] = hrnet.pad_rows([hrnet.to_numpy(f.bboxes) for f in found])
        out[f"{case}_{prefix}_scores"] = hrnet.pad_rows([hrnet.to_numpy(f.scores) for f in found])
        out[f"{case}_{prefix}_labels"] = hrnet.pad_rows([hrnet.to_numpy(f.labels).astype(np.int32) for f in found])
    if has_masks:
        labels = torch.cat([result.pred_instances.labels for result in scaled])
        rows = torch.arange(len(labels))
        mean = sum(call["mask_preds"].sigmoid()[rows, labels] for call in masks[:3]) / 3
        own = [hrnet.to_numpy(m)[:MASKS] for m in mean.split([*out[f"{case}_original_count"]])]
        out[f"{case}_masks_u16"] = hrnet.pad_rows([np.rint(m * 65535).astype(np.uint16) for m in own])


def save_training(case: str, images: torch.Tensor, out: dict) -> None:
    model = make_model(case)
    model.train()
    calls, rois = record_stages(model), record_rois(model)
    losses = model.loss(images, hrnet.make_samples())
    names = [name for name in losses if "loss" in name]
    scalars = [sum(losses[name]) if isinstance(losses[name], list) else losses[name].sum() for name in names]
    torch.stack(scalars).sum().backward()
    save_stages(calls, rois, f"{case}_train", out)
    gradients = {name: hrnet.to_numpy(parameter.grad) for name, parameter in model.named_parameters()}
    out[f"{case}_loss_names"] = np.array(names)
    out[f"{case}_losses"] = np.array([scalar.item() for scalar in scalars], np.float32)
    out[f"{case}_parameter_names"] = np.array(list(gradients))
    out[f"{case}_grad_norms"] = np.array([np.linalg.norm(g.astype(np.float64)) for g in gradients.values()])
    out.update({f"{case}_grad/{name}": gradients[name] for name in FULL_GRADIENTS[case]})


def main() -> None:
    register_all_modules()
    RandomSampler.random_choice = lambda self, gallery, num: gallery[:num]
    images = torch.from_numpy(make_images())
    out: dict[str, np.ndarray] = {}
    for case in CASES:
        save_inference(case, images, out)
        save_training(case, images, out)
    np.savez_compressed(OUTPUT, **out)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes, {len(out)} arrays")


if __name__ == "__main__":
    main()
