"""Configuration keys of runs: optimisation, outputs, devices, evaluation."""

from .choices import LR_TYPES, MOST_EPOCHS, MOST_IMAGES, MOST_SIDE, MOST_STEPS, OPTIMIZERS
from .schema import Texts, key, keys


@keys(matters="training", on_resume="same")
class OptimizerKeys:
    opt_type: str = key("sgd", "optimizer", choices=OPTIMIZERS)
    opt_eps: float = key(
        0.0, "added inside rmsprop's root (0 takes 1e-10) or to adam's and adamw's (0 takes 1e-8)", low=0, high=1
    )
    beta1: float = key(0.9, "adam, adamw: what the mean of the gradients keeps at each update", low=0, high=0.999999)
    beta2: float = key(0.999, "adam, adamw: what the mean of their squares keeps", low=0, high=0.999999)
    momentum: float = key(0.9, "momentum", low=0, high=1)
    weight_decay: float = key(1e-4, "weight decay: within the gradient; adamw: beside it", low=0, high=1e3)
    norm_bias_decay: bool | str = key(
        True,
        "weight decay also on normalisation layers and biases; mindspore: on biases, not on gamma and beta",
        choices=(True, False, "mindspore"),
    )
    nesterov: bool = key(False, "adam with Nesterov's momentum (HRNetW48_seg)")
    lr_factors: dict[str, float] = key(
        {},
        "factor on the learning rate by part ({backbone: 0.1}): beginnings of parameters' names, the longest counts",
        low=0,
        high=1e6,
    )
    layer_decay: float = key(
        1.0, "factor on the learning rate for each of the backbone's stages below the heads", low=1e-6, high=1
    )
    grad_clip: float = key(0, "largest norm of the gradients; 0 is no clipping", low=0, high=1e12)
    grad_clip_by: str = key(
        "global",
        "whose norm grad_clip bounds: all gradients' together (global), or each tensor's own (tensor: pointrend)",
        choices=("global", "tensor"),
    )
    accumulate_step: int = key(1, "batches whose gradients make one optimizer step", low=1, high=1_000_000)
    loss_scale: float | str = key(
        1,
        "factor on the loss in the backward pass, of use in half precision alone; dynamic finds it: an overflow is "
        "passed over and halves it",
        low=1e-6,
        high=3.4e38,
        words=("dynamic",),
    )
    loss_scale_init: float = key(65536.0, "first loss scale where it is dynamic", low=1e-6, high=2.0**24)
    loss_scale_window: int = key(
        2000, "steps without an overflow after which a dynamic loss scale doubles", low=1, high=MOST_STEPS
    )
    loss_scale_overflows: int = key(
        25, "overflows in a row with which a run of a dynamic loss scale ends", low=1, high=MOST_STEPS
    )
    label_smoothing: float = key(0.0, "label smoothing of a classifier (PyTorch's definition)", low=0, high=1)
    class_weights: list[float] = key(
        [], "segmentation: factor of each class in the loss; empty for none", low=0, high=1e6, most=256
    )
    loss_over_all: bool = key(
        False, "segmentation: the loss's mean divides by all pixels, ignored ones too (MMSegmentation); not with ohem"
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
    warmup_first_step: int = key(
        1,
        "the first update's number in the warm-up: 1 is one step above its start, 0 the start itself (the MindSpore "
        "originals)",
        choices=(0, 1),
    )
    lr_type: str = key(
        "multistep",
        "learning rate schedule; cosine_after_warmup begins to fall when the warm-up ends (MaskRCNN, pointrend)",
        choices=LR_TYPES,
    )
    lr_epochs: float = key(
        0.0, "epochs over which the rate falls (all but multistep); 0 takes epoch_size", low=0, high=MOST_EPOCHS
    )
    lr_base_step: int = key(
        0,
        "steps of such an epoch on one device; n devices take lr_base_step // n + n (the MindSpore originals' "
        "base_step); 0 takes the training set's own",
        low=0,
        high=MOST_STEPS,
    )
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
    patience: int = key(
        0,
        "stop after so many evaluations in a row without gain of the task's metric; 0 runs to the end",
        low=0,
        high=MOST_STEPS,
        on_resume="free",
    )
    batch_size: int = key(2, "training images a step and device", low=1, high=MOST_IMAGES)


@keys(matters="never", on_resume="free")
class RunKeys:
    test_batch_size: int = key(1, "images a step in evaluation", low=1, high=MOST_IMAGES)
    run_eval: bool = key(True, "evaluate while training")
    eval_every: int = key(1, "epochs between evaluations", low=1, high=MOST_STEPS)
    eval_start: int = key(
        0, "first epoch that is evaluated, whatever eval_every; 0 takes eval_every", low=0, high=MOST_EPOCHS
    )
    val_loss: bool = key(False, "also compute the losses of training on the validation data, at each evaluation")
    sample_pictures: int = key(
        0,
        "held-out images that are drawn after each evaluation, truth beside prediction, into pictures/ of the run's "
        "folder",
        low=0,
        high=1000,
    )
    log_every: int = key(100, "steps between log lines", low=1, high=MOST_STEPS)
    log_norms: bool = key(
        False, "norms of the update's gradients and of the weights in log and losses.csv", on_resume="same"
    )
    log_style: str = key(
        "default",
        "words of log and results: original has those of the MindSpore originals, for scripts that look for them",
        choices=("default", "original"),
    )
    save_every: int = key(100, "steps between checkpoints", low=1, high=MOST_STEPS)
    save_every_epochs: float = key(
        0.0,
        "epochs between checkpoints, fractions too (0.5 is twice an epoch); 0 leaves it to save_every, and to each "
        "epoch's end",
        low=0,
        high=MOST_EPOCHS,
    )
    keep_checkpoint_max: int = key(5, "periodic checkpoints that are kept", low=1, high=MOST_STEPS)
    keep_best_checkpoints_max: int = key(5, "best checkpoints that are kept", low=1, high=MOST_STEPS)
    pre_trained: str = key("", "checkpoint to start from")
    finetune: bool = key(
        False, "class layers of another shape, or missing ones, in pre_trained start fresh", matters="training"
    )
    resume: bool | str = key(
        False,
        "go on: 1 with the newest run of the same name in train_outputs; a path: with the run in that folder, or from "
        "that training state of a run",
    )
    train_outputs: str = key("./outputs", "folder of all experiments")
    brief: str = key("run", "short name of the experiment")
    portable: bool = key(
        False, "MindSpore's own operators in place of this project's compiled ones", matters="scores", on_resume="same"
    )
    amp_level: str = key(
        "O0",
        "half precision: O1 of convolutions and matrix products alone, O2 of the features between them too",
        choices=("O0", "O1", "O2"),
        matters="scores",
        on_resume="same",
    )
    amp_dtype: str = key(
        "float16", "its type", choices=("float16", "bfloat16"), matters="scores", on_resume="same"
    )
    deterministic: bool = key(False, "sums of gradients in a fixed order on GPU and Ascend too, as on the CPU; slower")
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
    tensorboard: bool = key(
        False, "write losses, metrics and sample pictures as TensorBoard's event files into tb/ of the run's folder too"
    )
    report_dir: str = key(
        "",
        "folder for a page on the evaluation: scores by class, confusions, worst images, all tables as CSV; train.py "
        "writes it anew at each evaluation",
    )
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


LOCAL = "; typed without enable_modelarts a local path ("  # of the originals' words, see local_words.py


@keys(matters="never", on_resume="free")
class CommandKeys:
    checkpoint_path: str = key(
        "",
        "checkpoint to evaluate, run or export, the exported file with another backend; typed, what train.py starts "
        "from (pre_trained)",
    )
    backend: str = key("mindspore", "what runs checkpoint_path", choices=("mindspore", "mindir", "onnx"))
    file_name: str = key("", "exported file; its format's suffix is added where it is missing")
    file_format: str = key("MINDIR", "format of the exported file", choices=("MINDIR", "ONNX", "AIR"))
    export_batch: int = key(1, "images that the exported file takes at once", low=1, high=MOST_IMAGES)
    quantize: str = key(
        "none",
        "int8: the ONNX file in 8-bit integers, ranges measured on calibration_data; its scores stand beside the float "
        "file's where val_dataset is there",
        choices=("none", "int8"),
    )
    calibration_data: Texts = key("", "quantize: an image, a tree of images, a list of them (.txt, .lst), or several")
    calibration_images: int = key(100, "quantize: how many of these images are looked at", low=1, high=MOST_IMAGES)
    prediction_path: str = key("", "COCO results JSON: evaluated where it exists, written otherwise")
    format_only: bool = key(
        False,
        "eval.py on a test set without labels: COCO results into prediction_path (detection), label pictures as the "
        "data set's server takes them into the folder pred_output (segmentation)",
    )
    pred_input: Texts = key(
        "",
        "what to run on: an image, a folder of images, a list of them (.txt, .lst), several of these (A B C, or in a "
        "file [A, B, C]); a video; a camera's number",
    )
    recursive: bool = key(False, "pred_input is a tree: the images in the folders within it too")
    pred_output: str = key(
        "", "JSON file for the predictions, of a video lines of JSON; a folder where they are pictures or label files"
    )
    infer_format: str = key(
        "json",
        "what infer.py makes of a detector's predictions: a JSON file; or in the folder pred_output, to be corrected "
        "and trained on, coco (labels.json, a data set, and results.json, COCO results) or labelme (a JSON file an "
        "image)",
        choices=("json", "coco", "labelme"),
    )
    fold_batchnorm: bool = key(True, "eval.py and infer.py fold batch normalisation into the convolutions")
    fast_inference: bool = key(
        True,
        "eval.py and infer.py convolve by oneDNN, with the sum and the ReLU after each convolution, where it is there "
        "(CPU): a third less time for a detector, other last digits; 0: by the framework",
    )
    infer_score_thr: float | str = key(
        0.05,
        "least score of a prediction that infer.py writes, or a file of one a class: thresholds.yaml of a report",
        low=0,
        high=1,
    )
    enable_modelarts: bool = key(False, "run on ModelArts: copy data and checkpoints in, results out (seed: modelarts)")
    data_url: str = key("", f"ModelArts: folder of the data in object storage{LOCAL}train_dataset, val_dataset)")
    eval_data_url: str = key(
        "", f"ModelArts: folder of the validation data, where it is another one{LOCAL}val_dataset)"
    )
    checkpoint_url: str = key(
        "",
        f"ModelArts: checkpoint to start from or to evaluate, or a folder of such{LOCAL}pre_trained, checkpoint_path)",
    )
    train_url: str = key(
        "", f"ModelArts: folder in object storage where the results go{LOCAL}train_outputs, of train.py)"
    )
    data_path: str = key(
        "/cache/data",
        f"ModelArts: local folder of the data; relative paths of data lie in it{LOCAL}train_dataset, val_dataset)",
    )
    output_path: str = key("/cache/train", "ModelArts: local folder of the results")
    load_path: str = key("/cache/checkpoint_path", "ModelArts: local folder of the checkpoint")


@keys(matters="never", on_resume="free")
class ConvertKeys:
    pt_path: str = key("", "convert_weights.py: weights to convert (.pth, .pt, .pkl, .safetensors, .ckpt, .pdparams)")
    ckpt_path: str = key("", "convert_weights.py: checkpoint to write; an existing one is never replaced")
    source: str = key("", "convert_weights.py: project that the weights are of; empty tells it by their names")
    pt_entry: str = key("", "convert_weights.py: entry of pt_path that holds the weights; empty takes a usual one")
    verify: str = key("", "convert_weights.py: .npz with activations of the original, compared layer by layer")


@keys(matters="scores", on_resume="free")
class EvaluationKeys:
    eval_mode: str = key(
        "whole",
        "segmentation: whole images (above scale 1 by windows) or windows of img_width x img_height",
        choices=("whole", "slide"),
    )
    eval_scales: list[float] = key(
        [1.0],
        "segmentation: scales whose scores are added up; detection, eval.py and infer.py: shares of the evaluated size "
        "at which each image is seen, boxes merged by NMS, masks averaged",
        low=0.1,
        high=10,
        most=64,
    )
    eval_flip: bool = key(
        False,
        "segmentation: add the scores of the mirrored image, left and right classes swapped; detection, eval.py and "
        "infer.py: merge with what is found in the mirror image",
    )
    eval_stride: float = key(1.0, "segmentation: step between windows, in shares of the window", low=0.1, high=1)
    eval_label_size: str = key(
        "own",
        "segmentation: where images are stretched (keep_ratio 0), the size they are scored at: their labels' own, or "
        "the network's input, labels stretched to it by the nearest pixel (input: the MindSpore original on LIP)",
        choices=("own", "input"),
    )
    eval_width: int = key(
        0,
        "segmentation: width of an exported network's input; detection, resize short_long: width of the network's "
        "input in evaluation (of landscape images, if it is the larger side); 0 takes img_width",
        low=0,
        high=MOST_SIDE,
    )
    eval_height: int = key(
        0, "the height that belongs to eval_width; 0 takes img_height", low=0, high=MOST_SIDE
    )
    eval_padding: str = key(
        "input",
        "detection, resize short_long: images are padded to the network's input, one graph for landscapes and one for "
        "portraits; or each to its own multiples of divider (own, with test_batch_size 1), as MMDetection and "
        "Detectron2 pad a single image: one graph for each size that comes, some 30 on COCO",
        choices=("input", "own"),
    )
    tile: int = key(
        0,
        "detection: images are put to the network by tiles of so many pixels of theirs a side, and what is found in "
        "them is joined over the seams; 0 puts each image to it as a whole",
        low=0,
        high=MOST_SIDE,
    )
    tile_overlap: float = key(
        0.2, "share of a tile that the next one shows too: as much as the largest object's side", low=0, high=0.9
    )
    eval_resize: int = key(
        256, "classification: short side before the central crop in evaluation", low=8, high=MOST_SIDE
    )
    eval_smoothing: bool = key(
        False, "classification: the Loss of an evaluation is smoothed like that of training (the MindSpore original)"
    )
