"""Every configuration key with its type, default, help text and limits. The attribute names are the YAML keys.

A new key is a new line here; keys of a whole new part are a dataclass in a file of their own and a `section` line here.
Rules that tie several keys together are in `config_schema_rules`.
"""

from dataclasses import dataclass

from src.config_schema_detection import RPN, Backbone, BBoxHead, MaskHead, Neck, RoIExtractor, RoILayer, TestCfg, TrainCfg
from src.config_schema_fields import key, section

DATA_TYPES = ("coco", "mindrecord")
DEVICES = ("CPU", "GPU", "Ascend")
BACKGROUND = "background"
COCO_CLASSES = [BACKGROUND] + (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,"
    "bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,"
    "snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,"
    "knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,"
    "dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,"
    "vase,scissors,teddy bear,hair drier,toothbrush"
).split(",")


@dataclass
class Config:
    """One run: what is built, on which data, how it is trained and evaluated, and where results go."""

    # What is built
    task: str = key("detection", "What is learnt.", choices=("detection", "segmentation", "classification"))
    detector: str = key("mask_rcnn", "Kind of detector.", choices=("mask_rcnn",))
    backbone: Backbone = section(Backbone)
    neck: Neck = section(Neck)
    rpn: RPN = section(RPN)
    bbox_head: BBoxHead = section(BBoxHead)
    mask_head: MaskHead = section(MaskHead)
    roi: RoIExtractor = section(RoIExtractor)
    mask_roi: RoIExtractor = section(RoIExtractor, roi_layer=RoILayer(out_size=14), sample_num=128)
    train_cfg: TrainCfg = section(TrainCfg)
    test_cfg: TestCfg = section(TestCfg)

    # Where it runs
    device_target: str = key("GPU", "Device that runs the network.", choices=DEVICES, local=True)
    mode: str = key("graph", "graph: compiled as a whole; pynative: step by step.", choices=("graph", "pynative"), local=True)
    run_distribute: bool = key(False, "Data-parallel run on several devices, started through a launcher.", local=True)
    device_id: int = key(0, "Device of a run on one device.", low=0, local=True)
    device_num: int = key(1, "Devices of a distributed run.", low=1)
    rank_id: int = key(0, "Rank of this process; a distributed launcher decides it.", low=0, local=True)
    enable_graph_kernel: bool = key(False, "Fuse operators (GPU, Ascend).", local=True)
    enable_profiling: bool = key(False, "Write a profile of the training steps.", local=True)

    # Where things are
    train_outputs: str = key("./outputs", "Folder for the experiments' folders.", local=True)
    brief: str = key("", "Short name at the end of the experiment folder's name.", local=True)
    pre_trained: str = key("", "Checkpoint of the whole model to start from (with finetune 1: other class counts are skipped).")
    checkpoint_path: str = key("", "Checkpoint to evaluate or to run.", local=True)
    prediction_path: str = key(
        "", "File for the evaluation's predictions; where it exists, it is evaluated instead.", local=True
    )
    pred_input: str = key("", "Image, or folder of images, for inference.", local=True)
    pred_output: str = key("", "JSON file that inference writes.", local=True)

    # Data
    train_dataset: str = key("./data/coco-2017/train", "Folder of the training set.", local=True)
    val_dataset: str = key("./data/coco-2017/validation", "Folder of the validation set.", local=True)
    train_data_type: str = key("coco", "Format of the training set.", choices=DATA_TYPES, local=True)
    val_data_type: str = key("coco", "Format of the validation set.", choices=DATA_TYPES, local=True)
    coco_classes: list[str] = key(COCO_CLASSES, "Class names; the first is 'background'.", filled=True)
    num_classes: int = key(len(COCO_CLASSES), "Length of coco_classes, so background counts.", low=2)
    train_dataset_num: int = key(0, "Train on the first N images only; 0: all.", low=0)
    train_dataset_divider: int = key(0, "Cut the number of training images to a multiple of this; 0: do not.", low=0)
    filter_empty_gt: bool = key(True, "Leave images without objects out of training.")
    num_gts: int = key(100, "Room for objects in a training image; more are cut off, and this is said.", low=1)
    num_parallel_workers: int = key(1, "Threads or processes that prepare batches.", low=1, local=True)
    python_multiprocessing: bool = key(False, "Prepare batches in worker processes instead of threads.", local=True)

    # Images
    img_width: int = key(1024, "Width of the network's input in pixels.", low=8)
    img_height: int = key(1024, "Height of the network's input in pixels.", low=8)
    divider: int = key(32, "Width and height must be multiples of this.", low=1)
    mask_divider: float = key(1.0, "Ground-truth masks have the images' own size: 1.0.")
    img_mean: list[float] = key([123.675, 116.28, 103.53], "Subtracted from the channels.", length=3)
    img_std: list[float] = key([58.395, 57.12, 57.375], "The channels are divided by these.", length=3, above=0)
    to_rgb: bool = key(True, "Feed RGB; false: BGR, as OpenCV reads.")
    keep_ratio: bool = key(True, "Keep height : width when resizing, and pad.")
    flip_ratio: float = key(0.5, "Probability of a horizontal flip.", low=0, high=1)
    expand_ratio: float = key(0.0, "Probability of placing the image on a larger canvas.", low=0, high=1)

    # Optimisation
    opt_type: str = key("sgd", "Optimiser.", choices=("sgd", "momentum", "adam"))
    lr: float = key(0.02, "Base learning rate.", above=0)
    min_lr: float = key(1e-7, "The learning rate does not fall below this.", low=0)
    lr_type: str = key("multistep", "How the learning rate falls.", choices=("multistep", "cosine"))
    lr_steps: list[int] = key([8, 11], "Epochs after which multistep divides the rate by 10.", low=1)
    warmup_step: int = key(500, "Steps of linear warm-up.", low=0)
    warmup_ratio: float = key(0.001, "The warm-up starts at this share of lr.", low=0, high=1)
    momentum: float = key(0.9, "Momentum of sgd and momentum.", low=0, high=1)
    weight_decay: float = key(0.0001, "Weight decay.", low=0)
    norm_bias_decay: bool = key(True, "Decay the weights of normalisation layers and biases, too.")
    grad_clip: float = key(0.0, "Largest global norm of the gradients; 0: no clipping.", low=0)
    loss_scale: float = key(256.0, "The loss is multiplied by this and the gradients divided.", above=0)
    accumulate_step: int = key(1, "Batches whose gradients are averaged for one step.", low=1)

    # The run
    seed: int = key(1, "All random choice follows from it.", low=0, high=2**31 - 1)
    batch_size: int = key(2, "Training images a step on each device.", low=1)
    test_batch_size: int = key(1, "Images a step in evaluation and inference.", low=1)
    epoch_size: int = key(12, "Epochs.", low=1)
    max_steps: int = key(0, "Stop after this many steps; 0: the whole run.", low=0, local=True)
    resume: bool = key(False, "Continue the last run of this name from its last whole checkpoint.", local=True)
    finetune: bool = key(False, "Start from pre_trained, leaving out weights whose shape differs.")
    run_eval: bool = key(True, "Evaluate during training.", local=True)
    eval_every: int = key(1, "Epochs between evaluations.", low=1, local=True)
    log_every: int = key(100, "Steps between log lines.", low=1, local=True)
    save_every: int = key(100, "Steps between checkpoints.", low=1, local=True)
    keep_checkpoint_max: int = key(5, "Last checkpoints to keep.", low=1, local=True)
    keep_best_checkpoints_max: int = key(5, "Best checkpoints to keep.", low=1, local=True)
    datasink: bool = key(False, "Must be 0: data sinking is not used, batches already have fixed shapes.", local=True)
    infer_score_thr: float = key(0.05, "Predictions below this score are left out of the inference file.", low=0, high=1)
    analysis: bool = key(False, "Evaluation adds an analysis of the detector's errors.", local=True)

    # ModelArts
    enable_modelarts: bool = key(False, "Run on ModelArts.", local=True)
    data_url: str = key("", "ModelArts: where the data comes from.", local=True)
    train_url: str = key("", "ModelArts: where results go.", local=True)
    data_path: str = key("/cache/data", "ModelArts: local copy of the data.", local=True)
    output_path: str = key("/cache/train", "ModelArts: local folder of the results.", local=True)
    load_path: str = key("/cache/checkpoint_path", "ModelArts: local folder of the checkpoints.", local=True)
