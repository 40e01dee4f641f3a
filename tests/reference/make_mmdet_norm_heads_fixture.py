"""Write tests/data_files/mmdet_norm_heads.npz with MMDetection: the parts that the HRNet fixture does not have.

ResNet-18 and FPN, a box head of four normalised convolutions and one linear layer, a normalised mask head, smooth L1:
the heads of the SpineNet configurations. One training step; needs what make_mmdet_fixture.py needs.
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

OUTPUT = hrnet.OUTPUT.with_name("mmdet_norm_heads.npz")
NORM = {"type": "BN", "momentum": 0.01, "eps": 1e-3}
FULL_GRADIENTS = (
    "backbone.conv1.weight",
    "backbone.layer4.1.bn2.bias",
    "neck.lateral_convs.0.conv.weight",
    "roi_head.bbox_head.shared_convs.0.conv.weight",
    "roi_head.bbox_head.shared_convs.3.bn.weight",
    "roi_head.bbox_head.fc_reg.weight",
    "roi_head.mask_head.convs.0.conv.weight",
    "roi_head.mask_head.convs.3.bn.bias",
    "roi_head.mask_head.conv_logits.weight",
)
RUNNING_STATISTICS = (
    "roi_head.bbox_head.shared_convs.0.bn",
    "roi_head.bbox_head.shared_convs.3.bn",
    "roi_head.mask_head.convs.0.bn",
    "roi_head.mask_head.convs.3.bn",
)


def norm_heads_config() -> dict:
    config = copy.deepcopy(hrnet.model_config())
    channels = config["neck"]["out_channels"]
    config["backbone"] = {
        "type": "ResNet",
        "depth": 18,
        "base_channels": 4,
        "stem_channels": 64,
        "norm_eval": True,
    }
    config["neck"] = {"type": "FPN", "in_channels": [4, 8, 16, 32], "out_channels": channels, "num_outs": 5}
    config["rpn_head"]["loss_bbox"] = {"type": "SmoothL1Loss", "beta": 1 / 9, "loss_weight": 1.0}
    config["rpn_head"]["anchor_generator"]["scales"] = [6]
    box_head = config["roi_head"]["bbox_head"]
    box_head.update(type="Shared4Conv1FCBBoxHead", conv_out_channels=channels, norm_cfg=NORM)
    box_head["loss_bbox"] = {"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0}
    config["roi_head"]["mask_head"]["norm_cfg"] = NORM
    for extractor in ("bbox_roi_extractor", "mask_roi_extractor"):
        config["roi_head"][extractor]["roi_layer"]["sampling_ratio"] = 2
    return config


def main() -> None:
    register_all_modules()
    RandomSampler.random_choice = lambda self, gallery, num: gallery[:num]
    hrnet.FULL_GRADIENTS = FULL_GRADIENTS
    model = MODELS.build(ConfigDict(norm_heads_config()))
    state = model.state_dict()
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            state[name] = torch.from_numpy(make_parameter(name, tuple(value.shape)))
    model.load_state_dict(state)
    model.train()
    out: dict[str, np.ndarray] = {}
    samples = []
    hrnet.record_calls(model.roi_head.bbox_sampler, "sample", samples)
    hrnet.train_once(model, torch.from_numpy(make_images()), "train", out)
    out["positive_count"] = np.array([len(s.pos_inds) for s in samples])
    out["sample_count"] = np.array([len(s.priors) for s in samples])
    state = model.state_dict()
    for name in RUNNING_STATISTICS:
        for kind in ("running_mean", "running_var"):
            out[f"after/{name}.{kind}"] = hrnet.to_numpy(state[f"{name}.{kind}"])
    np.savez_compressed(OUTPUT, **out)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes, {len(out)} arrays")


if __name__ == "__main__":
    main()
