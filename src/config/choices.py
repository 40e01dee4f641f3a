"""Values that a key may take and of which there will be more: one line here, or from outside (`append`).

A key looks them up whenever a value is checked. The tasks stand in checks.py, the backbones in backbone_keys.py.
"""

DETECTORS = ["mask_rcnn", "pointrend", "faster_rcnn", "cascade_rcnn", "cascade_mask_rcnn"]
WITHOUT_MASKS = ["faster_rcnn", "cascade_rcnn"]  # the detectors that give boxes alone, see `has_masks`
CASCADES = ["cascade_rcnn", "cascade_mask_rcnn"]  # those that read the section cascade
SEGMENTERS = ["fcn", "ocr", "pointrend"]
NECKS = ["", "hrfpn", "fpn", "none"]  # empty: the backbone's usual one
DEFAULT_NECKS = {"hrnet": "hrfpn", "spinenet": "none"}  # fpn for the others
AUTO = "auto"  # the format of detection data is told by what the folder holds
DATA_TYPES = [AUTO, "coco", "mindrecord", "yolo", "labelme", "via", "voc", "cityscapes", "instance_masks"]
LABEL_SETS = ["cityscapes", "lip", "ade20k", "pascal_context", "voc", "custom"]
OPTIMIZERS = ["sgd", "momentum", "adam", "adamw", "rmsprop"]
LR_TYPES = ["multistep", "cosine", "cos", "linear", "poly", "cosine_after_warmup"]  # cos: the originals' word
NUM_CLASSES = 81  # where a configuration says nothing: COCO's, with the background

# What keys may be at most: far above what anybody trains, and far below what brings a machine down.
LEAST_SIDE, MOST_SIDE = 8, 16_384  # pixels
MOST_BATCH = 2**35  # bytes of its images
MOST_IMAGES = 65_536  # of a batch
MOST_EPOCHS = 1_000_000
MOST_STEPS = 1_000_000_000
MOST_CLASSES = 100_000
MOST_CHANNELS = 8192
MOST_LAYERS = 100  # of one kind
MOST_BOXES = 100_000
