"""Values that a key may take and of which there will be more: one line here, or from outside (`append`).

A key looks them up whenever a value is checked. The tasks stand in checks.py, the backbones in backbone_keys.py.
"""

DETECTORS = ["mask_rcnn", "pointrend"]
NECKS = ["", "hrfpn", "fpn", "none"]  # empty: the backbone's usual one
DATA_TYPES = ["coco", "mindrecord"]
LABEL_SETS = ["cityscapes", "lip", "custom"]
OPTIMIZERS = ["sgd", "momentum", "adam", "rmsprop"]
LR_TYPES = ["multistep", "cosine", "cos", "linear", "poly"]  # cos: the originals' word for cosine
NUM_CLASSES = 81  # where a configuration says nothing: COCO's, with the background
