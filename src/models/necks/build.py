"""The neck that a configuration names: where the keys of `neck` meet constructor arguments."""

from typing import NamedTuple

from mindspore import nn

from ...config import Config
from ...config.choices import DEFAULT_NECKS
from ...errors import UserError
from ..build_helpers import choose
from .fpn import FPN, NoNeck
from .hrfpn import HRFPN


class Width(NamedTuple):
    """Channels of the pyramid, and the key that sets them (for messages)."""

    channels: int
    key: str


def build_neck(cfg: Config, backbone: nn.Cell) -> tuple[nn.Cell, Width]:
    """The neck that `cfg.neck.type` (by default the backbone's usual one) names, and the width of its pyramid."""
    name = cfg.neck.type or DEFAULT_NECKS.get(cfg.backbone.type, "fpn")
    neck = choose(NECKS, name, "neck.type")(cfg, backbone)
    key = "neck.fpn.out_channels" if name != "none" else f"the width of backbone.type {cfg.backbone.type}"
    strides = tuple(cfg.rpn.anchor_generator.strides)
    wanted = tuple(backbone.strides[0] * 2**level for level in range(neck.num_outs))
    if strides != wanted:
        raise UserError(
            f"rpn.anchor_generator.strides {list(strides)} do not fit the pyramid of backbone.type "
            f"{cfg.backbone.type} with {neck.num_outs} levels, whose strides are {list(wanted)}"
        )
    return neck, Width(neck.out_channels, key)


def _fpn_sizes(cfg: Config, backbone: nn.Cell) -> tuple[list[int], int, int]:
    """in_channels, out_channels, num_outs of a neck that takes the backbone's maps."""
    fpn = cfg.neck.fpn
    if tuple(fpn.in_channels) != tuple(backbone.out_channels):
        raise UserError(
            f"neck.fpn.in_channels {list(fpn.in_channels)} does not fit backbone.type {cfg.backbone.type}, "
            f"whose outputs have {list(backbone.out_channels)} channels"
        )
    return fpn.in_channels, fpn.out_channels, fpn.num_outs


def _hrfpn(cfg: Config, backbone: nn.Cell) -> HRFPN:
    return HRFPN(*_fpn_sizes(cfg, backbone))


def _fpn(cfg: Config, backbone: nn.Cell) -> FPN:
    sizes = _fpn_sizes(cfg, backbone)
    if cfg.neck.fpn.num_outs < len(backbone.out_channels):
        raise UserError(
            f"neck.fpn.num_outs is {cfg.neck.fpn.num_outs}, less than the {len(backbone.out_channels)} maps it gets"
        )
    return FPN(*sizes, cfg.neck.upsampling)


def _no_neck(cfg: Config, backbone: nn.Cell) -> NoNeck:
    """neck.fpn is not looked at."""
    if len(set(backbone.out_channels)) != 1:
        raise UserError(
            f"neck.type none needs maps of one width; those of backbone.type {cfg.backbone.type} have "
            f"{list(backbone.out_channels)} channels"
        )
    return NoNeck(backbone.out_channels[0], len(backbone.out_channels))


NECKS = {"hrfpn": _hrfpn, "fpn": _fpn, "none": _no_neck}
