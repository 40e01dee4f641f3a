"""The two originals that this project grew from, HRNetV2 and SpineNet Mask R-CNN: their keys are its own but for
these."""

from .places import SINKING
from .table import Entry, answer

# Names of before for keys within sections.
ALIASES = {
    "roi.roi_layer.sample_num": "sampling_ratio",
    "mask_roi.roi_layer.sample_num": "sampling_ratio",
}
SAMPLES = "train_cfg.rcnn.sampler.num is the number of RoIs"
# Taken, in their files and in run folders of before, and said to have no effect: dotted name -> what stands there.
WITHOUT_EFFECT = {
    "rank_id": "the launcher tells each process its rank",
    "roi.sample_num": SAMPLES,
    "mask_roi.sample_num": SAMPLES,
    "train_cfg.rpn.sampler.add_gt_as_proposals": "the RPN samples anchors, no proposals",
}
TABLE: dict[str, Entry] = {"datasink": answer(SINKING, when=lambda value: str(value).lower() in ("1", "true"))}
