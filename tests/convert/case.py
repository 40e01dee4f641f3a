"""Shared by the conversion tests: random weights for PyTorch networks, a conversion in one call."""

from pathlib import Path

import numpy as np
import torch

from src.commands.convert import convert_file
from src.config import load_config
from src.tasks import TASKS, build_model
from tests.models.detection.mmdet_case import BASE, CONFIG, mmdet_name
from tests.reference.recipe import make_parameter

CONFIGS = Path(__file__).parents[2] / "configs"
HRNET_CLS = CONFIGS / "hrnet_w18_cls.yaml"
HRNET_DETECTOR = CONFIGS / "mask_rcnn_hrnetv2p_w18_1x_coco.yaml"
RESNET_DETECTOR = CONFIGS / "mask_rcnn_r50_fpn_1x_coco.yaml"
NARROW_DETECTOR = (  # a detector whose heads are small, for backbones of any width
    "--img_width", "128", "--img_height", "128", "--neck.fpn.out_channels", "16", "--rpn.in_channels", "16",
    "--rpn.feat_channels", "16", "--bbox_head.in_channels", "16", "--bbox_head.fc_out_channels", "24",
    "--mask_head.in_channels", "16", "--mask_head.conv_out_channels", "16", "--roi.out_channels", "16",
    "--mask_roi.out_channels", "16", "--num_classes", "4", "--coco_classes", "[background, a, b, c]",
)  # fmt: skip

DETECTRON2 = [
    *NARROW_DETECTOR, "--backbone.base_channels", "8", "--backbone.style", "caffe",
    "--neck.fpn.in_channels", "[32,64,128,256]", "--to_rgb", "0",
    "--img_mean", "[103.53,116.28,123.675]", "--img_std", "[1,1,1]",
]  # fmt: skip


@torch.no_grad()
def randomise(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights and statistics that keep activations of order one; in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        kind = name.rpartition(".")[2]
        if kind == "num_batches_tracked":
            continue
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim > 1:
            noise *= (1.5 / np.prod(value.shape[1:])) ** 0.5
        elif kind in ("weight", "running_var"):
            noise = 1 + 0.3 * noise.clamp(-2, 2)
        else:
            noise *= 0.1
        value.copy_(noise)
    return module.eval()


def convert(config: Path, pt_path: Path, *overrides: str):
    """(our model in evaluation mode as loaded from the written checkpoint, the conversion's account)."""
    ckpt_path = pt_path.with_suffix(".ckpt")
    ours = ["--cls_head.conv_init", "HeNormal", "--device_target", "CPU", "--fold_batchnorm", "0", *overrides]
    cfg = load_config(str(config), [*ours, "--pt_path", str(pt_path), "--ckpt_path", str(ckpt_path)])
    done = convert_file(cfg)
    if done.unset or done.dropped:
        return None, done
    return TASKS[cfg.task].load_network(cfg, str(ckpt_path), cfg.fold_batchnorm), done


def mmdetection_state() -> dict[str, torch.Tensor]:
    """The narrow Mask R-CNN of the MMDetection comparison under MMDetection's names."""
    model = build_model(load_config(str(CONFIG), BASE))
    names = [(mmdet_name(parameter.name), tuple(parameter.shape)) for parameter in model.get_parameters()]
    state = {name: torch.tensor(make_parameter(name, shape)) for name, shape in names}
    state |= {
        name.replace("running_var", "num_batches_tracked"): torch.tensor(7) for name in state if "running_var" in name
    }
    return state


def image(height: int = 64, width: int = 96, count: int = 2) -> np.ndarray:
    return np.random.RandomState(1).randn(count, 3, height, width).astype(np.float32)


def assert_equal(ours, theirs) -> None:
    """Equal within 1e-4 of the largest number."""
    expected = theirs.detach().numpy()
    np.testing.assert_allclose(ours.asnumpy(), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
