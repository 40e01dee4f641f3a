"""Rules that tie several configuration keys together."""

from collections import Counter
from collections.abc import Iterator

from src.config_schema import BACKGROUND, Config


def broken_rules(cfg: Config) -> Iterator[tuple[str, str]]:
    """(dotted key, message that gives the value and what would be right) for every rule that `cfg` breaks."""
    for rules in (_classes, _image_size, _unused, _assigners, _stages, _schedule, _devices):
        yield from rules(cfg)


def _classes(cfg: Config) -> Iterator[tuple[str, str]]:
    names = cfg.coco_classes
    if names[0] != BACKGROUND:
        yield "coco_classes", f"starts with '{names[0]}': the first name must be '{BACKGROUND}'"
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        yield "coco_classes", f"names {', '.join(map(repr, repeated))} more than once: each class must have its own name"
    if not all(name.strip() for name in names):
        yield "coco_classes", f"has an empty name at position {[bool(name.strip()) for name in names].index(False)}"
    if cfg.num_classes != len(names):
        yield (
            "num_classes",
            f"{cfg.num_classes}: must be {len(names)}, the length of coco_classes ('{BACKGROUND}' counts)",
        )


def _image_size(cfg: Config) -> Iterator[tuple[str, str]]:
    for name in ("img_width", "img_height"):
        size = getattr(cfg, name)
        if size % cfg.divider:
            lower = size - size % cfg.divider
            near = " or ".join(str(fit) for fit in (lower, lower + cfg.divider) if fit > 0)
            yield name, f"{size}: must be a multiple of divider ({cfg.divider}), such as {near}"
        if size % 8:
            yield name, f"{size}: must be a multiple of 8, because masks are packed eight pixels to a byte"


def _unused(cfg: Config) -> Iterator[tuple[str, str]]:
    if cfg.mask_divider != 1.0:
        yield "mask_divider", f"{cfg.mask_divider:g}: must be 1.0; ground-truth masks keep the images' size"
    if cfg.datasink:
        yield "datasink", "1: must be 0; data sinking is not used, batches already have fixed shapes"


def _assigners(cfg: Config) -> Iterator[tuple[str, str]]:
    for part in ("rpn", "rcnn"):
        assigner = getattr(cfg.train_cfg, part).assigner
        if assigner.neg_iou_thr > assigner.pos_iou_thr:
            yield (
                f"train_cfg.{part}.assigner.neg_iou_thr",
                f"{assigner.neg_iou_thr:g}: must not exceed pos_iou_thr ({assigner.pos_iou_thr:g})",
            )


def _stages(cfg: Config) -> Iterator[tuple[str, str]]:
    for number in range(1, 5):
        stage = getattr(cfg.backbone.extra, f"stage{number}")
        for name in ("num_blocks", "num_channels"):
            values = getattr(stage, name)
            if len(values) != stage.num_branches:
                yield (
                    f"backbone.extra.stage{number}.{name}",
                    f"{values}: must have {stage.num_branches} entries, one for each of num_branches",
                )


def _schedule(cfg: Config) -> Iterator[tuple[str, str]]:
    if any(later <= earlier for earlier, later in zip(cfg.lr_steps, cfg.lr_steps[1:], strict=False)):
        yield "lr_steps", f"{cfg.lr_steps}: the epochs must rise"
    if cfg.min_lr > cfg.lr:
        yield "min_lr", f"{cfg.min_lr:g}: must not exceed lr ({cfg.lr:g})"


def _devices(cfg: Config) -> Iterator[tuple[str, str]]:
    if cfg.rank_id >= cfg.device_num:
        yield "rank_id", f"{cfg.rank_id}: must be below device_num ({cfg.device_num})"
