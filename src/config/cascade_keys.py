"""Keys of cascades: what differs from stage to stage."""

from .schema import key, keys

MOST_STAGES = 16


@keys(matters="training", on_resume="same")
class Cascade:
    stage_loss_weights: list[float] = key(
        [1.0, 0.5, 0.25],
        "a cascade's stages: the factor of each stage's losses",
        low=0,
        high=1e6,
        least=1,
        most=MOST_STAGES,
    )
    pos_iou_thr: list[float] = key(
        [0.5, 0.6, 0.7],
        "IoU from which on a box is positive in each stage, and below which it is background (in the place of "
        "train_cfg.rcnn.assigner's thresholds; no object takes a box below it)",
        low=0,
        high=1,
        least=1,
        most=MOST_STAGES,
    )
    target_stds: list[list[float]] = key(
        [[0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]],
        "standard deviations of each stage's box deltas (in the place of bbox_head.bbox_coder.target_stds)",
        low=1e-6,
        high=1e3,
        least=1,
        most=MOST_STAGES,
        matters="weights",
    )
    mean_of: str = key(
        "logits",
        "of what the mean over the stages is that gives a detection's scores: their logits (MMDetection) or their "
        "softmax (Detectron2)",
        choices=("logits", "probabilities"),
        matters="scores",
    )
    mask_heads: str = key(
        "each",
        "each stage has a mask head (MMDetection), or there is one, which trains on the first stage's RoIs and has no "
        "factor of a stage (Detectron2)",
        choices=("each", "one"),
        matters="weights",
    )
