"""Configuration keys of runs: optimisation, data, images, outputs, devices."""

from .choices import (
    AUTO,
    DATA_TYPES,
    LABEL_SETS,
    LEAST_SIDE,
    LR_TYPES,
    MOST_CLASSES,
    MOST_EPOCHS,
    MOST_IMAGES,
    MOST_SIDE,
    MOST_STEPS,
    NUM_CLASSES,
    OPTIMIZERS,
)
from .schema import key, keys


@keys(matters="training", on_resume="same")
class OptimizerKeys:
    opt_type: str = key("sgd", "optimizer", choices=OPTIMIZERS)
    opt_eps: float = key(0.0, "added inside rmsprop's root (0 takes 1e-10) or to adam's (0 takes 1e-8)", low=0, high=1)
    momentum: float = key(0.9, "momentum", low=0, high=1)
    weight_decay: float = key(1e-4, "weight decay", low=0, high=1e3)
    norm_bias_decay: bool | str = key(
        True,
        "weight decay also on normalisation layers and biases; mindspore: on biases, not on gamma and beta",
        choices=(True, False, "mindspore"),
    )
    grad_clip: float = key(0, "largest global gradient norm; 0 is no clipping", low=0, high=1e12)
    accumulate_step: int = key(1, "batches whose gradients make one optimizer step", low=1, high=1_000_000)
    loss_scale: float = key(1, "factor on the loss in the backward pass", low=1e-6, high=3.4e38)
    label_smoothing: float = key(0.0, "label smoothing of a classifier (PyTorch's definition)", low=0, high=1)
    class_weights: list[float] = key(
        [], "segmentation: factor of each class in the loss; empty for none", low=0, high=1e6, most=256
    )
    ohem: bool = key(False, "segmentation: the loss looks at hard pixels only")
    ohem_threshold: float = key(0.7, "a pixel is hard below this probability of its class", low=0, high=1)
    ohem_min_kept: int = key(100000, "hard pixels a batch at least", low=1, high=MOST_STEPS)
    ema_decay: float = key(
        0.0, "evaluate and keep a moving average of the weights with this decay; 0 is off", low=0, high=1
    )


@keys(matters="training", on_resume="free")
class LearningRateKeys:
    lr: float = key(0.02, "base learning rate", low=1e-12, high=1e6)
    scale_lr: bool = key(False, "multiply all rates by (images of an update over all devices) / base_batch_size")
    base_batch_size: int = key(16, "images of an update that lr was chosen for", low=1, high=MOST_STEPS)
    min_lr: float = key(1e-7, "last learning rate of the cosine, linear and poly schedules", low=0, high=1e6)
    warmup_step: int = key(500, "optimizer steps of linear warm-up", low=0, high=MOST_STEPS)
    warmup_epochs: float = key(0.0, "epochs of warm-up; 0 leaves it to warmup_step", low=0, high=MOST_EPOCHS)
    lr_init: float = key(0.0, "first learning rate of the warm-up; 0 takes lr x warmup_ratio", low=0, high=1e6)
    warmup_ratio: float = key(0.001, "the warm-up starts at lr x this", low=0, high=1)
    lr_type: str = key("multistep", "learning rate schedule", choices=LR_TYPES)
    lr_power: float = key(0.9, "power of the poly schedule", low=0, high=100)
    lr_steps: list[int] = key(
        [8, 11], "epochs after which the multistep rate falls to a tenth", low=0, high=MOST_EPOCHS, most=1000
    )


@keys(matters="training", on_resume="same")
class ScheduleKeys:
    seed: int = key(1, "seed of weights, shuffling, augmentation and sampling", low=0, high=2**32 - 1)
    epoch_size: int = key(12, "epochs of the learning-rate schedule", low=1, high=MOST_EPOCHS, on_resume="free")
    begin_epoch: int = key(
        0, "start after this many epochs of the schedule, with the weights of pre_trained", low=0, high=MOST_EPOCHS
    )
    end_epoch: int = key(
        0, "stop after this epoch; 0 runs to the end of the schedule", low=0, high=MOST_EPOCHS, on_resume="free"
    )
    max_steps: int = key(0, "stop after this many steps; 0 runs to the end", low=0, high=MOST_STEPS, on_resume="free")
    batch_size: int = key(2, "training images a step and device", low=1, high=MOST_IMAGES)


@keys(matters="never", on_resume="free")
class RunKeys:
    test_batch_size: int = key(1, "images a step in evaluation", low=1, high=MOST_IMAGES)
    run_eval: bool = key(True, "evaluate while training")
    eval_every: int = key(1, "epochs between evaluations", low=1, high=MOST_STEPS)
    log_every: int = key(100, "steps between log lines", low=1, high=MOST_STEPS)
    save_every: int = key(100, "steps between checkpoints", low=1, high=MOST_STEPS)
    keep_checkpoint_max: int = key(5, "periodic checkpoints that are kept", low=1, high=MOST_STEPS)
    keep_best_checkpoints_max: int = key(5, "best checkpoints that are kept", low=1, high=MOST_STEPS)
    pre_trained: str = key("", "checkpoint to start from")
    finetune: bool = key(
        False, "class layers of another shape, or missing ones, in pre_trained start fresh", matters="training"
    )
    resume: bool = key(False, "go on with the newest run of the same name in train_outputs")
    train_outputs: str = key("./outputs", "folder of all experiments")
    brief: str = key("run", "short name of the experiment")
    portable: bool = key(
        False, "MindSpore's own operators in place of this project's compiled ones", matters="scores", on_resume="same"
    )
    fast_gradients: bool = key(True, "convolutions' gradients by oneDNN, where it is there; 0 takes the framework's")
    compile_cache: bool = key(True, "compile each graph once: later runs read it from a folder (CPU)")
    compile_cache_path: str = key("", "that folder; empty is ms_vision_zoo/graphs in the user's caches")
    enable_graph_kernel: bool = key(False, "MindSpore's kernel fusion (GPU and Ascend)")
    datasink: bool = key(False, "data sinking", choices=(False,), why_only="batches are fed by the host")
    enable_profiling: bool = key(False, "profile steps 6 to 15 of the run with MindSpore's profiler")
    mlflow: bool = key(False, "log parameters, losses, metrics and files to MLflow as well")
    mlflow_uri: str = key(
        "", "MLflow's tracking server or folder; empty takes MLFLOW_TRACKING_URI, or mlruns in train_outputs"
    )
    mlflow_experiment: str = key("mindspore-vision-zoo", "MLflow experiment that the run belongs to")
    report_dir: str = key("", "folder for the confusion matrix and per-class accuracy of a classifier")
    font: str = key("", "font file for class names in pictures, in a script that the usual fonts lack")
    analysis: bool = key(False, "print an error analysis after the evaluation of a detector")


@keys(matters="never", on_resume="free")
class DeviceKeys:
    device_target: str = key("GPU", "device", choices=("CPU", "GPU", "Ascend"))
    mode: str = key("graph", "execution mode; pynative is for debugging", choices=("graph", "pynative"))
    run_distribute: bool = key(False, "one process a device, started by mpirun or msrun", on_resume="same")
    device_id: int = key(0, "device of a single run", low=0, high=65_535)
    device_num: int = key(
        1, "processes of a distributed run; the launcher sets it", low=1, high=65_536, on_resume="same"
    )
    sync_batchnorm: bool = key(
        False,
        "batch statistics over all ranks' batches instead of each rank's own",
        matters="training",
        on_resume="same",
    )


@keys(matters="never", on_resume="free")
class CommandKeys:
    checkpoint_path: str = key("", "checkpoint to evaluate, run or export; the exported file with another backend")
    backend: str = key("mindspore", "what runs checkpoint_path", choices=("mindspore", "mindir", "onnx"))
    file_name: str = key("", "exported file; its format's suffix is added where it is missing")
    file_format: str = key("MINDIR", "format of the exported file", choices=("MINDIR", "ONNX", "AIR"))
    prediction_path: str = key("", "COCO results JSON: evaluated where it exists, written otherwise")
    format_only: bool = key(
        False,
        "eval.py on a test set without labels: COCO results into prediction_path (detection), label pictures as the "
        "data set's server takes them into the folder pred_output (segmentation)",
    )
    pred_input: str = key("", "image or folder of images to run on")
    recursive: bool = key(False, "pred_input is a tree: the images in the folders within it too")
    pred_output: str = key("", "JSON file for the predictions")
    fold_batchnorm: bool = key(True, "eval.py and infer.py fold batch normalisation into the convolutions")
    infer_score_thr: float = key(0.05, "least score of a prediction that infer.py writes", low=0, high=1)
    enable_modelarts: bool = key(False, "run on ModelArts: copy data and checkpoints in, results out (seed: modelarts)")
    data_url: str = key("", "ModelArts: folder of the data in object storage")
    eval_data_url: str = key("", "ModelArts: folder of the validation data, where it is another one")
    checkpoint_url: str = key("", "ModelArts: checkpoint to start from or to evaluate, or a folder of such")
    train_url: str = key("", "ModelArts: folder in object storage where the results go")
    data_path: str = key("/cache/data", "ModelArts: local folder of the data; relative paths of data lie in it")
    output_path: str = key("/cache/train", "ModelArts: local folder of the results")
    load_path: str = key("/cache/checkpoint_path", "ModelArts: local folder of the checkpoint")


@keys(matters="never", on_resume="free")
class ConvertKeys:
    pt_path: str = key("", "convert_weights.py: weights to convert (.pth, .pt, .pkl, .safetensors, .ckpt, .pdparams)")
    ckpt_path: str = key("", "convert_weights.py: checkpoint to write; an existing one is never replaced")
    source: str = key("", "convert_weights.py: project that the weights are of; empty tells it by their names")
    pt_entry: str = key("", "convert_weights.py: entry of pt_path that holds the weights; empty takes a usual one")
    verify: str = key("", "convert_weights.py: .npz with activations of the original, compared layer by layer")


@keys(matters="never", on_resume="free")
class DataPlaceKeys:
    train_dataset: str = key("", "folder of the training images", on_resume="same")
    val_dataset: str = key("", "folder of the validation images")
    train_annotations: str = key(
        "", "COCO label file of the training data, wherever it lies; empty: found in train_dataset", on_resume="same"
    )
    train_images: str = key(
        "", "folder of the images that the training label file names; empty: told by the layout", on_resume="same"
    )
    val_annotations: str = key("", "COCO label file of the validation data; empty: found in val_dataset")
    val_images: str = key("", "folder of the images that the validation label file names; empty: told by the layout")
    train_data_type: str = key(
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
        "pixels of an image file at most: by its header, before it is decoded; one that has more counts as unreadable",
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


@keys(matters="scores", on_resume="free")
class EvaluationKeys:
    eval_mode: str = key(
        "whole",
        "segmentation: whole images (above scale 1 by windows) or windows of img_width x img_height",
        choices=("whole", "slide"),
    )
    eval_scales: list[float] = key([1.0], "segmentation: scales whose scores are added up", low=0.1, high=10, most=64)
    eval_flip: bool = key(False, "segmentation: add the scores of the mirrored image, left and right classes swapped")
    eval_stride: float = key(1.0, "segmentation: step between windows, in shares of the window", low=0.1, high=1)
    eval_width: int = key(
        0, "segmentation: width of an exported network's input; 0 takes img_width", low=0, high=MOST_SIDE
    )
    eval_height: int = key(
        0, "segmentation: height of an exported network's input; 0 takes img_height", low=0, high=MOST_SIDE
    )
    eval_resize: int = key(
        256, "classification: short side before the central crop in evaluation", low=8, high=MOST_SIDE
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
        0.0, "strength of brightness, contrast and saturation changes (not in detection)", low=0, high=1
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
        "detection: how images get the network's size: fit into it, or fit_twice (portrait images first into the "
        "turned size, then into a square of img_height; one scale for both sides: the MindSpore originals)",
        choices=("fit", "fit_twice"),
        matters="scores",
    )
    pad_colour: str = key(
        "mean",
        "detection: what stands beside a smaller image: the mean colour (zeros after normalising), or black pixels",
        choices=("mean", "black"),
        matters="scores",
    )
    flip_ratio: float = key(0.5, "probability of a horizontal flip", low=0, high=1)
    expand_ratio: float = key(0.0, "probability of placing the image on a larger canvas", low=0, high=1)
