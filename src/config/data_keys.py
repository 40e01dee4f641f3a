"""Configuration keys of data: where they are, what is taken of them, images, augmentation."""

from .choices import (
    AUTO,
    DATA_TYPES,
    LABEL_SETS,
    LEAST_SIDE,
    MOST_CLASSES,
    MOST_SIDE,
    MOST_STEPS,
    NUM_CLASSES,
)
from .schema import Texts, key, keys


@keys(matters="never", on_resume="free")
class DataPlaceKeys:
    train_dataset: Texts = key(
        "", "folder of the training images; [A, B]: of several data sets, see train_weights", on_resume="same"
    )
    val_dataset: str = key("", "folder of the validation images")
    train_annotations: Texts = key(
        "", "COCO label file of the training data, wherever it lies; empty: found in train_dataset", on_resume="same"
    )
    train_images: Texts = key(
        "", "folder of the images that the training label file names; empty: told by the layout", on_resume="same"
    )
    val_annotations: str = key("", "COCO label file of the validation data; empty: found in val_dataset")
    val_images: str = key("", "folder of the images that the validation label file names; empty: told by the layout")
    train_data_type: Texts = key(
        AUTO, "format of the training data (detection); auto tells it by what the folder holds", choices=DATA_TYPES
    )
    val_data_type: str = key(
        AUTO, "format of the validation data (detection); auto tells it by what the folder holds", choices=DATA_TYPES
    )
    mindrecord_dir: str = key(
        "", "folder with the MindRecord data sets train and validation; empty: train_dataset and val_dataset are such"
    )
    allow_outside: bool = key(
        False, "label files and lists may name files outside of their data set's folder: absolute, or by .."
    )
    mindrecord_shards: int = key(
        0, "shards of a data set converted to MindRecord; 0 makes one of each GiB", low=0, high=100_000
    )


@keys(matters="training", on_resume="same")
class DataKeys:
    train_dataset_num: int = key(0, "use only this many training images; 0 uses all", low=0, high=MOST_STEPS)
    train_dataset_divider: int = key(0, "use only every n-th training image; 0 uses all", low=0, high=MOST_STEPS)
    val_split: float = key(
        0.0,
        "share of the training images that is held out for validation where there is no validation set, by a hash of "
        "their files' names",
        low=0,
        high=0.9,
        matters="scores",
    )
    dataset: str = key(
        "cityscapes",
        "segmentation: classes, colours and label ids; custom has class_names and labels 0, 1, ...; pascal_context has "
        "59 classes or, with the background, 60",
        choices=LABEL_SETS,
        matters="scores",
    )
    ignore_label: int = key(255, "segmentation: label of pixels that do not count", low=0, high=255, matters="scores")
    label_colours: list[list[int]] = key(
        [],
        "segmentation: RGB of each class in label order, [[0, 0, 0], [255, 0, 0]], where a custom dataset's label "
        "pictures hold colours; one more is that of pixels that do not count",
        low=0,
        high=255,
        most=256,
        matters="scores",
    )
    filter_empty_gt: bool = key(True, "leave images without objects out of training")
    class_names: list[str] = key(
        [], "class names: of a classifier (empty takes the folder names), of a custom dataset", matters="never"
    )
    coco_classes: list[str] = key(
        ["background"],
        "'background', then the class names of the label file; without it and num_classes, the training data's",
        matters="scores",
    )
    classes: str = key(
        "exact",
        "detection: exact refuses categories with objects that coco_classes does not name, subset leaves them out",
        choices=("exact", "subset"),
        matters="scores",
    )
    crowd_rle: str = key(
        "auto",
        "detection: what iscrowd 1 means: crowds, objects; auto takes crowds, but objects where every object has it",
        choices=("auto", "crowds", "objects"),
        matters="scores",
    )
    class_attribute: str = key(
        "", "VIA files: the attribute of regions that holds the class; empty takes the only one, or type, name, label",
        matters="scores",
    )
    voc_first_pixel: int = key(
        1, "Pascal VOC's boxes: number of an image's first pixel; 0 takes corners as they are drawn, without it",
        choices=(0, 1),
        matters="scores",
    )
    mask_class: str = key(
        "", "folders of instance masks: class of the objects that nothing names; empty: the only one, or object",
        matters="scores",
    )
    num_classes: int = key(
        NUM_CLASSES, "classes; detection counts the background too", low=2, high=MOST_CLASSES, matters="weights"
    )
    num_gts: int = key(100, "most objects of a training image", low=1, high=10_000)
    num_parallel_workers: int = key(
        1, "workers that read and prepare images", low=1, high=1024, matters="never", on_resume="free"
    )
    python_multiprocessing: bool = key(
        False, "workers are processes instead of threads", matters="never", on_resume="free"
    )


@keys(matters="scores", on_resume="same")
class ImageKeys:
    input_size: int = key(
        0, "width and height at once; 0 leaves them to img_width and img_height", low=0, high=MOST_SIDE
    )
    img_width: int = key(1024, "width of the network's input in pixels", low=LEAST_SIDE, high=MOST_SIDE)
    img_height: int = key(1024, "height of the network's input in pixels", low=LEAST_SIDE, high=MOST_SIDE)
    divider: int = key(
        32, "img_width and img_height must be multiples of this", low=1, high=MOST_SIDE, matters="training"
    )
    mask_divider: float = key(
        1.0,
        "downscaling of the ground-truth masks",
        choices=(1.0,),
        why_only="masks are kept whole, bit-packed",
        matters="training",
    )
    img_mean: list[float] = key([123.675, 116.28, 103.53], "mean of each channel", length=3, low=-1e6, high=1e6)
    img_std: list[float] = key(
        [58.395, 57.12, 57.375], "standard deviation of each channel", length=3, low=1e-6, high=1e6
    )
    to_rgb: bool = key(True, "channel order RGB (the means' order) instead of BGR")
    max_image_pixels: int = key(
        200_000_000,
        "pixels of an image file at most: by its header, before it is decoded; one that has more counts as unreadable; "
        "with tile those of a strip or tile of a large TIFF, which has as many as it likes",
        low=1,
        high=2**30,
        matters="never",
        on_resume="free",
    )
    exif: str = key(
        "auto",
        "photographs with an EXIF turn: auto turns them upright, but where labels fit the stored size alone; stored "
        "takes them as stored, but where labels fit the upright size alone",
        choices=("auto", "stored"),
    )
    image_window: list[float] = key(
        [],
        "[LOW, HIGH]: values of images with more than 8 bits a channel that become 0 and 255; empty takes the least "
        "and the largest of each file",
        low=-1e38,
        high=1e38,
        most=2,
    )
    alpha_colour: list[int] = key(
        [255, 255, 255], "RGB of what is seen through transparent pixels of images", low=0, high=255, length=3
    )
    base_size: int = key(
        0,
        "segmentation: longer side at scale 1 in training; 0 takes each image's own",
        low=0,
        high=MOST_SIDE,
        matters="training",
    )
    scale_range: list[float] = key(
        [0.5, 2.1],
        "segmentation: smallest and largest training scale, in steps of 0.1",
        length=2,
        low=0.1,
        high=10,
        matters="training",
    )


@keys(matters="training", on_resume="same")
class AugmentationKeys:
    crop_scale: list[float] = key(
        [0.08, 1.0], "classification: share of the image that a training crop covers", length=2, low=1e-3, high=1
    )
    crop_ratio: list[float] = key(
        [0.75, 1.333333333], "classification: width / height of a training crop", length=2, low=1e-3, high=1e3
    )
    color_jitter: float = key(
        0.0, "strength of random changes of brightness, contrast and saturation", low=0, high=1
    )
    rand_augment: int = key(0, "classification: RandAugment operations an image; 0 is off", low=0, high=100)
    rand_augment_magnitude: int = key(9, "classification: RandAugment's magnitude, of 30", low=0, high=30)
    mixup: float = key(0.0, "classification: alpha of mixup; 0 is off", low=0, high=1e3)
    cutmix: float = key(
        0.0, "classification: alpha of CutMix; 0 is off, with mixup too each batch takes one of them", low=0, high=1e3
    )
    keep_ratio: bool = key(
        True, "resize without distortion; segmentation: do not stretch to the network's size", matters="scores"
    )
    resize: str = key(
        "fit",
        "detection: how images get the network's size: fit into it; fit_twice (portrait images first into the "
        "turned size, then into a square of img_height; one scale for both sides: the MindSpore originals); or, in "
        "evaluation, short_long (short and long side at most resize_limits, portrait images in the turned size: "
        "MMDetection, Detectron2), while training fits into img_width x img_height unless train_resize says otherwise",
        choices=("fit", "fit_twice", "short_long"),
        matters="scores",
    )
    resize_limits: list[int] = key(
        [],
        "detection, short_long: what an image's long and short side are at most, [1333, 800]; empty takes the sides of "
        "the network's input, which they never leave",
        low=LEAST_SIDE,
        high=MOST_SIDE,
        most=2,
        matters="scores",
    )
    train_resize: str = key(
        "fit",
        "detection: how training images get their size: fit (fit_twice where resize is that), or short_long, by "
        "resize_limits and img_width x img_height, where a batch holds landscape images or portrait ones",
        choices=("fit", "short_long"),
    )
    pad_colour: str = key(
        "mean",
        "detection: what stands beside a smaller image, and around an expanded one: the mean colour (zeros after "
        "normalising), or black pixels",
        choices=("mean", "black"),
        matters="scores",
    )
    flip_ratio: float = key(0.5, "probability of a horizontal flip", low=0, high=1)
    flip_swaps_labels: bool = key(
        True, "segmentation: left and right labels change places in a mirrored training image (not in HRNetW48_seg)"
    )
    expand_ratio: float = key(0.0, "probability of placing the image on a larger canvas", low=0, high=1)
