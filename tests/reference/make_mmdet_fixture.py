"""Write tests/data_files/mmdet_mask_rcnn_hrnet.npz with MMDetection: python tests/reference/make_mmdet_fixture.py

Needs torch, mmcv 2.1 (its nms and roi_align) and mmdet 3.3; the tests need only the file. See README.md here.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.reference.recipe import (  # noqa: E402
    BATCH_SHAPE,
    IMAGE_SHAPES,
    ORIGINAL_SHAPES,
    SCALE_FACTORS,
    make_images,
    make_parameter,
)

OUTPUT = Path(__file__).parents[1] / "data_files" / "mmdet_mask_rcnn_hrnet.npz"
LOSS_NAMES = ("loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox", "loss_mask")
GRADIENT_HEAD = 8
PASTED_PER_IMAGE = 10
FULL_GRADIENTS = (
    "backbone.conv1.weight",
    "backbone.bn1.weight",
    "backbone.bn1.bias",
    "backbone.stage2.0.branches.0.0.conv1.weight",
    "backbone.stage4.0.fuse_layers.3.0.0.0.weight",
    "backbone.stage4.0.branches.3.0.bn2.weight",
    "neck.reduction_conv.conv.weight",
    "neck.fpn_convs.4.conv.bias",
    "rpn_head.rpn_cls.weight",
    "rpn_head.rpn_reg.weight",
    "roi_head.bbox_head.fc_cls.weight",
    "roi_head.bbox_head.fc_reg.weight",
    "roi_head.mask_head.upsample.bias",
    "roi_head.mask_head.conv_logits.weight",
)
RUNNING_STATISTICS = ("backbone.bn1", "backbone.stage4.0.branches.3.0.bn2")
# xyxy, label, exponent of the superellipse that is the mask (1 diamond, 2 ellipse, 6 rounded rectangle)
OBJECTS = (
    (
        (11.3, 8.7, 47.9, 41.2, 0, 2),
        (52.6, 14.1, 83.4, 46.8, 1, 6),
        (88.2, 63.5, 143.7, 121.9, 2, 2),
        (15.8, 58.4, 71.1, 117.6, 0, 1),
        (97.4, 5.9, 133.3, 44.5, 1, 2),
        (60.7, 71.2, 78.9, 96.3, 2, 6),
        (9.4, 6.2, 141.8, 121.5, 0, 2),
    ),
    (
        (6.4, 10.9, 68.8, 71.3, 1, 2),
        (64.1, 33.7, 99.6, 68.2, 2, 6),
        (81.5, 3.2, 118.9, 27.4, 0, 1),
        (72.3, 66.6, 121.2, 87.1, 1, 2),
    ),
)


def model_config() -> dict:
    """mask-rcnn_hrnetv2p-w18-1x_coco with every width, depth and sampler made small."""
    widths = (4, 8, 16, 32)
    channels = 32

    def stage(branches: int) -> dict:
        return {
            "num_modules": 1,
            "num_branches": branches,
            "block": "BASIC",
            "num_blocks": (1,) * branches,
            "num_channels": widths[:branches],
        }

    stem_stage = {"num_modules": 1, "num_branches": 1, "block": "BOTTLENECK", "num_blocks": (1,), "num_channels": (64,)}
    extra = {"stage1": stem_stage, "stage2": stage(2), "stage3": stage(3), "stage4": stage(4)}
    train_cfg, test_cfg = run_settings()
    return {
        "type": "MaskRCNN",
        "data_preprocessor": {"type": "DetDataPreprocessor", "pad_mask": True, "pad_size_divisor": 32},
        "backbone": {"type": "HRNet", "extra": extra},
        "neck": {"type": "HRFPN", "in_channels": list(widths), "out_channels": channels},
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": channels,
            "feat_channels": channels,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": [8],
                "ratios": [0.5, 1.0, 2.0],
                "strides": [4, 8, 16, 32, 64],
            },
            "bbox_coder": box_coder(1.0, 1.0),
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
        "roi_head": roi_head(channels),
        "train_cfg": train_cfg,
        "test_cfg": test_cfg,
    }


def box_coder(centre_std: float, size_std: float) -> dict:
    stds = [centre_std, centre_std, size_std, size_std]
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": stds}


def roi_extractor(size: int, channels: int) -> dict:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": size, "sampling_ratio": 0},
        "out_channels": channels,
        "featmap_strides": [4, 8, 16, 32],
    }


def roi_head(channels: int, classes: int = 3) -> dict:
    return {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": roi_extractor(7, channels),
        "bbox_head": {
            "type": "Shared2FCBBoxHead",
            "in_channels": channels,
            "fc_out_channels": 64,
            "roi_feat_size": 7,
            "num_classes": classes,
            "bbox_coder": box_coder(0.1, 0.2),
            "reg_class_agnostic": False,
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
        "mask_roi_extractor": roi_extractor(14, channels),
        "mask_head": {
            "type": "FCNMaskHead",
            "num_convs": 4,
            "in_channels": channels,
            "conv_out_channels": channels,
            "num_classes": classes,
            "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
        },
    }


def run_settings() -> tuple[dict, dict]:
    """train_cfg and test_cfg of the published config; only the samplers' sizes differ (so that their limits bind)."""

    def assigner(positive: float, negative: float, minimum: float) -> dict:
        return {
            "type": "MaxIoUAssigner",
            "pos_iou_thr": positive,
            "neg_iou_thr": negative,
            "min_pos_iou": minimum,
            "match_low_quality": True,
            "ignore_iof_thr": -1,
        }

    def sampler(fraction: float, add_gt: bool) -> dict:
        return {
            "type": "RandomSampler",
            "num": 64,
            "pos_fraction": fraction,
            "neg_pos_ub": -1,
            "add_gt_as_proposals": add_gt,
        }

    def proposals(nms_pre: int) -> dict:
        nms = {"type": "nms", "iou_threshold": 0.7}
        return {"nms_pre": nms_pre, "max_per_img": 1000, "nms": nms, "min_bbox_size": 0}

    rpn = {"assigner": assigner(0.7, 0.3, 0.3), "sampler": sampler(0.5, False), "allowed_border": -1, "pos_weight": -1}
    rcnn = {"assigner": assigner(0.5, 0.5, 0.5), "sampler": sampler(0.25, True), "mask_size": 28, "pos_weight": -1}
    test_rcnn = {
        "score_thr": 0.05,
        "nms": {"type": "nms", "iou_threshold": 0.5},
        "max_per_img": 100,
        "mask_thr_binary": 0.5,
    }
    train_cfg = {"rpn": {**rpn, "debug": False}, "rpn_proposal": proposals(2000), "rcnn": {**rcnn, "debug": False}}
    return train_cfg, {"rpn": proposals(1000), "rcnn": test_rcnn}


def make_model() -> torch.nn.Module:
    """The narrow detector with every parameter and buffer from the recipe."""
    model = MODELS.build(ConfigDict(copy.deepcopy(model_config())))
    state = model.state_dict()
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            state[name] = torch.from_numpy(make_parameter(name, tuple(value.shape)))
    model.load_state_dict(state)
    return model


def object_mask(box: tuple[float, ...], exponent: float) -> np.ndarray:
    """(128, 160) uint8: the superellipse inscribed in the box, sampled at pixel centres."""
    height, width = BATCH_SHAPE[2:]
    y, x = np.mgrid[:height, :width] + 0.5
    x1, y1, x2, y2 = box
    u = np.abs(2 * (x - x1) / (x2 - x1) - 1)
    v = np.abs(2 * (y - y1) / (y2 - y1) - 1)
    return (u**exponent + v**exponent <= 1).astype(np.uint8)


def make_samples() -> list[DetDataSample]:
    """One annotated sample an image."""
    samples = []
    for objects, shape, original, scale in zip(OBJECTS, IMAGE_SHAPES, ORIGINAL_SHAPES, SCALE_FACTORS):
        instances = InstanceData()
        instances.bboxes = torch.tensor([row[:4] for row in objects], dtype=torch.float32)
        instances.labels = torch.tensor([row[4] for row in objects])
        instances.masks = BitmapMasks(np.stack([object_mask(row[:4], row[5]) for row in objects]), *BATCH_SHAPE[2:])
        ignored = InstanceData()
        ignored.bboxes = torch.zeros(0, 4)
        sample = DetDataSample(gt_instances=instances, ignored_instances=ignored)
        pad_shape = tuple(-(-side // 32) * 32 for side in shape)
        sample.set_metainfo(
            {
                "img_shape": shape,
                "ori_shape": original,
                "scale_factor": scale,
                "pad_shape": pad_shape,
                "batch_input_shape": BATCH_SHAPE[2:],
            }
        )
        samples.append(sample)
    return samples


def record_calls(owner: object, method: str, calls: list) -> None:
    """Make `owner.method` append its result to `calls`, copied since mmdet changes some of them in place."""
    original = getattr(owner, method)

    def recording(*args, **kwargs):
        result = original(*args, **kwargs)
        on_graph = isinstance(result, tuple) and all(isinstance(part, torch.Tensor) for part in result)
        calls.append(tuple(part.detach().clone() for part in result) if on_graph else copy.deepcopy(result))
        return result

    setattr(owner, method, recording)


def pad_rows(rows: list[np.ndarray]) -> np.ndarray:
    """Arrays of unequal length stacked, missing rows zero."""
    length = max(len(row) for row in rows)
    return np.stack([np.pad(row, [(0, length - len(row))] + [(0, 0)] * (row.ndim - 1)) for row in rows])


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def save_inference(model: torch.nn.Module, images: torch.Tensor, out: dict) -> None:
    """Pyramid, RPN outputs, proposals, detections and masks of the test-time path."""
    model.eval()
    proposals, masks, detections = [], [], []
    record_calls(model.rpn_head, "predict_by_feat", proposals)
    record_calls(model.roi_head, "_mask_forward", masks)
    record_calls(model.roi_head, "predict_bbox", detections)
    with torch.no_grad():
        backbone = model.backbone(images)
        pyramid = model.neck(backbone)
        scores, deltas = model.rpn_head(pyramid)
        results = model.predict(images, make_samples(), rescale=True)
    for prefix, levels in (("backbone", backbone), ("neck", pyramid), ("rpn_cls", scores), ("rpn_reg", deltas)):
        out.update({f"{prefix}_{i}": to_numpy(level) for i, level in enumerate(levels)})
    out["proposal_count"] = np.array([len(p) for p in proposals[0]])
    out["proposal_boxes"] = pad_rows([to_numpy(p.bboxes) for p in proposals[0]])
    out["proposal_scores"] = pad_rows([to_numpy(p.scores) for p in proposals[0]])
    labels = torch.cat([d.labels for d in detections[0]])
    own_class = masks[0]["mask_preds"].sigmoid()[torch.arange(len(labels)), labels]
    counts = [len(d) for d in detections[0]]
    out["detection_count"] = np.array(counts)
    out["detection_boxes"] = pad_rows([to_numpy(d.bboxes) for d in detections[0]])
    out["detection_scores"] = pad_rows([to_numpy(d.scores) for d in detections[0]])
    out["detection_labels"] = pad_rows([to_numpy(d.labels).astype(np.int32) for d in detections[0]])
    rounded = [np.rint(to_numpy(m) * 65535).astype(np.uint16) for m in own_class.split(counts)]
    out["detection_masks_u16"] = pad_rows(rounded)
    for i, result in enumerate(results):
        found = result.pred_instances
        largest = np.sort(to_numpy(found.masks.sum((1, 2))).argsort(kind="stable")[-PASTED_PER_IMAGE:])
        out[f"pasted_index_{i}"] = largest
        out[f"original_boxes_{i}"] = to_numpy(found.bboxes)
        out[f"pasted_masks_{i}"] = np.packbits(to_numpy(found.masks)[largest], axis=-1)


def train_once(model: torch.nn.Module, images: torch.Tensor, prefix: str, out: dict) -> None:
    """Losses and gradients of one step; the model must be in the wanted training mode."""
    model.zero_grad()
    losses = model.loss(images, make_samples())
    scalars = [sum(losses[name]) if isinstance(losses[name], list) else losses[name].sum() for name in LOSS_NAMES]
    torch.stack(scalars).sum().backward()
    gradients = {name: to_numpy(parameter.grad) for name, parameter in model.named_parameters()}
    out[f"{prefix}_losses"] = np.array([scalar.item() for scalar in scalars], np.float32)
    out[f"{prefix}_grad_norms"] = np.array([np.linalg.norm(g.astype(np.float64)) for g in gradients.values()])
    heads = [np.resize(g.ravel()[:GRADIENT_HEAD], min(g.size, GRADIENT_HEAD)) for g in gradients.values()]
    out[f"{prefix}_grad_heads"] = np.stack([np.pad(h, (0, GRADIENT_HEAD - len(h))) for h in heads])
    out["parameter_names"] = np.array(list(gradients))
    for name in FULL_GRADIENTS:
        out[f"{prefix}_grad/{name}"] = gradients[name]


def save_training(images: torch.Tensor, case: str, out: dict) -> None:
    """One training step with the samplers in order.

    "train": frozen statistics, 64 samples an image, with the targets; "batchnorm": the same on batch statistics;
    "every": frozen statistics and samplers large enough for every candidate.
    """
    model = make_model()
    model.backbone.norm_eval = case != "batchnorm"
    if case == "every":
        model.rpn_head.sampler.num, model.roi_head.bbox_sampler.num = 8192, 1024
    model.train()
    calls = record_training(model)
    train_once(model, images, case, out)
    out[f"{case}_positive_count"] = np.array([len(s.pos_inds) for s in calls["samples"]])
    out[f"{case}_sample_count"] = np.array([len(s.priors) for s in calls["samples"]])
    out[f"{case}_rpn_avg_factor"] = np.array(calls["rpn_targets"][0][-1])
    if case == "train":
        save_targets(calls, case, out)
    if case == "batchnorm":
        state = model.state_dict()
        for name in RUNNING_STATISTICS:
            for kind in ("running_mean", "running_var"):
                out[f"{case}_after/{name}.{kind}"] = to_numpy(state[f"{name}.{kind}"])


def record_training(model: torch.nn.Module) -> dict[str, list]:
    """Lists that the next training step fills with what its parts return."""
    parts = {
        "proposals": (model.rpn_head, "predict_by_feat"),
        "rpn_targets": (model.rpn_head, "get_targets"),
        "box_targets": (model.roi_head.bbox_head, "get_targets"),
        "mask_targets": (model.roi_head.mask_head, "get_targets"),
        "samples": (model.roi_head.bbox_sampler, "sample"),
        "box_outputs": (model.roi_head.bbox_head, "forward"),
    }
    calls = {key: [] for key in parts}
    for key, (owner, method) in parts.items():
        record_calls(owner, method, calls[key])
    return calls


def save_targets(calls: dict, prefix: str, out: dict) -> None:
    """Proposals, sampled anchors and RoIs, and their targets."""
    proposals = calls["proposals"][0]
    out[f"{prefix}_proposal_count"] = np.array([len(p) for p in proposals])
    out[f"{prefix}_proposal_boxes"] = pad_rows([to_numpy(p.bboxes) for p in proposals])
    out[f"{prefix}_proposal_scores"] = pad_rows([to_numpy(p.scores) for p in proposals])
    labels, weights, targets, _, _ = calls["rpn_targets"][0]
    rpn_labels = torch.cat(labels, dim=1)
    out[f"{prefix}_rpn_labels"] = to_numpy(rpn_labels).astype(np.int8)
    out[f"{prefix}_rpn_label_weights"] = to_numpy(torch.cat(weights, dim=1)).astype(np.uint8)
    out[f"{prefix}_rpn_positive_targets"] = to_numpy(torch.cat(targets, dim=1)[rpn_labels == 0])
    samples = calls["samples"]
    out[f"{prefix}_rois"] = to_numpy(bbox2roi([s.priors for s in samples]))
    out[f"{prefix}_roi_cls_score"], out[f"{prefix}_roi_bbox_pred"] = map(to_numpy, calls["box_outputs"][0])
    box_labels, _, box_targets, box_weights = calls["box_targets"][0]
    out[f"{prefix}_roi_labels"] = to_numpy(box_labels).astype(np.int32)
    out[f"{prefix}_roi_bbox_targets"] = to_numpy(box_targets)
    out[f"{prefix}_roi_bbox_weights"] = to_numpy(box_weights)
    out[f"{prefix}_positive_gt_index"] = to_numpy(torch.cat([s.pos_assigned_gt_inds for s in samples]))
    out[f"{prefix}_mask_targets"] = np.packbits(to_numpy(calls["mask_targets"][0]).astype(np.uint8), axis=-1)


def main() -> None:
    register_all_modules()
    RandomSampler.random_choice = lambda self, gallery, num: gallery[:num]
    images = torch.from_numpy(make_images())
    samples = [sample.gt_instances for sample in make_samples()]
    out = {
        "gt_count": np.array([len(s) for s in samples]),
        "gt_boxes": pad_rows([to_numpy(s.bboxes) for s in samples]),
        "gt_labels": pad_rows([to_numpy(s.labels).astype(np.int32) for s in samples]),
        "gt_masks": pad_rows([np.packbits(s.masks.masks, axis=-1) for s in samples]),
    }
    save_inference(make_model(), images, out)
    for case in ("train", "batchnorm", "every"):
        save_training(images, case, out)
    np.savez_compressed(OUTPUT, **out)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes, {len(out)} arrays")


if __name__ == "__main__":
    main()
