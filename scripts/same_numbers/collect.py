"""Numbers of one commit: runs in the root of a checkout and writes {name: value} to OUT/result.json.

python collect.py SECTION --out OUT --data DATA [--demo NAME] [--checkpoint FILE]

Commands are run as a user runs them; what has no command is imported by way of places.py. The same collector runs in
the checkouts of both commits.
"""

import argparse
import csv
import gc
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import places
from demos import BATCHES, DEMOS, DETECTION, IMAGES, LAYOUTS, SEED, TRAINING, VAL_IMAGES, WRONG, Demo
from normalise import normalise

Values = Iterator[tuple[str, object]]

TREE = Path.cwd()
COMMAND_LIMIT = 900  # seconds
FIRST_BATCHES = 3
MODULES = (
    "src.check",
    "src.models.summary",
    "src.data.mindrecord",
    "src.data.synthetic",
    "src.data.cityscapes_lst_maker",
    "src.data.lip_lst_maker",
)
HELP_CONFIGS = ("mask_rcnn_hrnetv2p_w18_1x_coco", "hrnet_w18_cls", "hrnet_w18_seg_lip")  # with help texts of theirs


@dataclass(frozen=True)
class Job:
    """What a section gets: a folder for what it writes, the drawn data, and where it is of one demo, that one.

    checkpoint: of the demo, after its training.
    """

    out: Path
    data: Path
    demo: Demo | None = None
    checkpoint: Path | None = None

    def run(self, *arguments: object, fails: bool = False) -> str:
        """Standard output of `python ARGUMENTS...`, normalised; where it `fails`, its status and errors as well.

        Ends this collector where a command fails that should not, or the other way round.
        """
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=COMMAND_LIMIT)
        if bool(done.returncode) != fails:
            output = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            sys.exit(f"exit status {done.returncode} of: {' '.join(command[1:])}\n{output}")
        text = f"exit status {done.returncode}\n{done.stdout}{done.stderr}" if fails else done.stdout
        paths = {"out": self.out, "data": self.data, "tree": TREE}
        return normalise(text, paths | ({"checkpoint": self.checkpoint} if self.checkpoint else {}))


# ------------------------------------------------------------------------------------------------------------ sections


def config(job: Job) -> Values:
    """Every key of every shipped configuration, its hash, and every line of every --help."""
    load_config, config_hash, to_dict = places.config_functions()
    for path in _configurations():
        cfg = load_config(path)
        for name, value in _flat(to_dict(cfg)):
            yield f"{path}/{name}", value
        yield f"{path}/hash", config_hash(cfg)
    helped = [(name,) for name in sorted(path.name for path in TREE.glob("*.py"))]
    helped += [("-m", module) for module in MODULES]
    helped += [("train.py", "--config_path", f"configs/{name}.yaml") for name in HELP_CONFIGS]
    for command in helped:
        for name, value in _help_lines(job.run(*command, "--help")):
            yield f"help {' '.join(command)}/{name}", value


def names(job: Job) -> Values:
    """Every parameter of the network of every shipped configuration: type, shape, whether it learns."""
    import mindspore as ms

    load_config, build_model = places.config_functions()[0], places.model_builder()
    ms.set_context(mode=ms.PYNATIVE_MODE, device_target="CPU")
    for path in _configurations():
        model = build_model(load_config(path))
        parameters = list(model.get_parameters())
        for one in parameters:
            yield f"{path}/{one.name}", f"{one.dtype} {tuple(one.shape)} learns {one.requires_grad}"
        yield f"{path}/order of parameters", "\n".join(one.name for one in parameters)
        del model, parameters, one
        gc.collect()


def batches(job: Job) -> Values:
    """The first training batches of every demo, as it is and with other augmentations."""
    import mindspore as ms

    load_config, tasks = places.config_functions()[0], places.tasks()
    ms.set_context(mode=ms.PYNATIVE_MODE, device_target="CPU")
    for demo in DEMOS.values():
        for name, keys in BATCHES[demo.task].items():
            keys = [key.format(data=job.data) for key in keys.split()]
            keys = [*demo.train_data(job.data), "--batch_size", "4", "--num_parallel_workers", "1", *keys]
            loader = tasks[demo.task].make_loader(load_config(demo.config, keys), 0, 1, 0)
            for number, batch in enumerate(itertools.islice(loader, FIRST_BATCHES), start=1):
                for column, array in zip(loader.columns, batch, strict=True):
                    yield f"{demo.name} {name}/batch {number}/{column}", _digest(array.asnumpy())


def losses(job: Job) -> Values:
    """What a short training run of the demo leaves: log, curves, checkpoints."""
    demo, runs = job.demo, job.out / "runs"
    data = [*demo.train_data(job.data), *demo.val_data(job.data)]
    log = job.run("train.py", "--config_path", demo.config, *data, "--train_outputs", runs, *TRAINING.split())
    run = next(runs.iterdir()).rename(job.out / "run")  # its name holds the date
    yield "log", "\n".join(_log(log, runs))
    for table in ("losses", "metrics"):
        with open(run / f"{table}.csv", newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for column, value in row.items():
                    yield f"{table}/step {int(row['global_step']):02d}/{column}", value
    yield "files", "\n".join(_files(run))
    last = max(run.glob("ckpt/*.ckpt"))
    for name, value in _checkpoint(last):
        yield f"checkpoint/{name}", value
    for path in sorted(run.glob("best_ckpt/*.ckpt")):
        for name, value in _checkpoint(path):
            yield f"best checkpoint/{name}", value
    shutil.copy(last, job.out / "checkpoint.ckpt")
    shutil.rmtree(run)


def evaluation(job: Job) -> Values:
    """eval.py on the checkpoint."""
    yield from _evaluate(job, job.checkpoint, "mindspore")


def export(job: Job) -> Values:
    """export.py from the checkpoint, the exported files' metadata and outputs, eval.py and infer.py on them."""
    inputs: dict = {}
    for file_format, backend in (("ONNX", "onnx"), ("MINDIR", "mindir")):
        file = job.out / f"model.{backend}"
        arguments = ["--checkpoint_path", job.checkpoint, "--file_format", file_format, "--file_name", file]
        yield f"{backend}/log", job.run("export.py", *_demo(job), *arguments)
        metadata, outputs, inputs = _run_onnx(file) if backend == "onnx" else _run_mindir(file, inputs)
        for name, value in metadata.items():
            yield f"{backend}/metadata/{name}", value
        for number, array in enumerate(outputs):
            yield f"{backend}/output {number}", _digest(array)
        for name, value in _evaluate(job, file, backend):
            yield f"{backend}/eval/{name}", value
    images = job.out / "images"
    _collect_images(job.data / job.demo.val, images)
    file, results = job.out / "model.onnx", job.out / "results.json"
    arguments = ["--checkpoint_path", file, "--backend", "onnx", "--pred_input", images, "--pred_output", results]
    yield "infer/log", job.run("infer.py", *_demo(job), *arguments)
    for name, value in _written(results, job):
        yield f"infer/{name}", value


def commands(job: Job) -> Values:
    """The commands of modules and what they write, and command lines that are wrong."""
    for layout in (*LAYOUTS, "coco-fine"):
        folder = job.out / layout
        yield f"synthetic {layout}/output", _draw(job, layout, folder, images=4, val_images=2)
        yield f"synthetic {layout}/files", "\n".join(_files(folder, with_digest=True))
    for layout in ("cityscapes", "lip"):
        folder = job.out / layout
        for path in folder.glob("*.lst"):
            path.unlink()
        yield f"{layout}_lst_maker/output", job.run("-m", f"src.data.{layout}_lst_maker", "--root", folder)
        for path in folder.glob("*.lst"):
            yield f"{layout}_lst_maker/{path.name}", path.read_text()
    coco, records = DEMOS["mask_rcnn_hrnet"], job.out / "mindrecord"
    keys = ["--config_path", coco.config, "--mindrecord_dir", records, "--mindrecord_shards", "2"]
    data = [*coco.train_data(job.data), *coco.val_data(job.data)]
    yield "mindrecord/output", job.run("-m", "src.data.mindrecord", *keys, *data)
    yield "mindrecord/again", job.run("-m", "src.data.mindrecord", *keys, *data)
    yield "mindrecord/verified", job.run("-m", "src.data.mindrecord", *keys, "--verify_only")
    yield "mindrecord/files", "\n".join(_files(records, with_digest=True))
    for demo in DEMOS.values():
        yield f"summary {demo.name}", job.run("-m", "src.models.summary", "--config_path", demo.config)
    for name, mode in (("mask_rcnn_hrnet", "graph"), ("hrnet_cls", "pynative"), ("hrnet_seg_lip", "pynative")):
        demo = DEMOS[name]
        data = [*demo.train_data(job.data), *demo.val_data(job.data), "--num_parallel_workers", "1"]
        keys = ["--config_path", demo.config, "--mode", mode, "--batch_size", "2"]
        yield f"check {name}", job.run("-m", "src.check", *keys, *data)
    for line in WRONG:
        yield f"wrong: {line}", job.run(*line.split(), fails=True)


def draw(job: Job) -> Values:
    """Draw the data for both commits into `job.data`."""
    for layout in LAYOUTS:
        yield layout, _draw(job, layout, job.data / layout, IMAGES, VAL_IMAGES)
    demo = DEMOS["mask_rcnn_hrnet"]
    keys = ["--config_path", demo.config, "--mindrecord_dir", job.data / "mindrecord"]
    sources = [*demo.train_data(job.data), *demo.val_data(job.data)]
    yield "mindrecord", job.run("-m", "src.data.mindrecord", *keys, *sources)


SECTIONS: dict[str, Callable[[Job], Values]] = {
    function.__name__: function for function in (config, names, batches, losses, evaluation, export, commands, draw)
}


# ------------------------------------------------------------------------------------------------------------- helpers


def _configurations() -> list[str]:
    found = [path for pattern in ("*.yaml", "demo/*.yaml") for path in (TREE / "configs").glob(pattern)]
    return sorted(str(path.relative_to(TREE)) for path in found)


def _flat(values: dict, prefix: str = "") -> Values:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _help_lines(text: str) -> Values:
    """Each key's line under the key's name, the order of the keys, and everything else in one piece."""
    keys: dict[str, str] = {}
    rest = []
    for line in text.splitlines():
        if line.startswith("  --") and " [" in line:
            keys[line.split()[0].removeprefix("--")] = line
        else:
            rest.append(line)
    yield from keys.items()
    yield "order of keys", "\n".join(keys)
    yield "other lines", "\n".join(rest)


def _digest(array) -> str:
    """Type, shape and hash of an array."""
    return f"{array.dtype} {tuple(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _files(folder: Path, with_digest: bool = False) -> Iterable[str]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield f"{path.relative_to(folder)}{' ' + _file_digest(path) if with_digest else ''}"


def _log(text: str, runs: Path) -> Iterable[str]:
    """Lines of a training log; the run's folder, whose name holds the date, is <run>."""
    run = re.compile(rf"<out>/{runs.name}/[^/\s]+")
    return (run.sub("<run>", line) for line in text.splitlines())


def _checkpoint(path: Path) -> Values:
    import mindspore as ms

    for name, parameter in ms.load_checkpoint(str(path)).items():
        yield name, _digest(parameter.asnumpy())


def _demo(job: Job) -> list[str]:
    keys = ["--config_path", job.demo.config, *job.demo.val_data(job.data), "--num_parallel_workers", "1"]
    return keys + (["--test_cfg.rcnn.score_thr", "0.001"] if job.demo.task == DETECTION else [])  # hardly trained


def _evaluate(job: Job, checkpoint: Path, backend: str) -> Values:
    keys = ["--checkpoint_path", checkpoint, "--backend", backend, "--test_batch_size", "3"]
    if job.demo.task == DETECTION:
        predictions = job.out / f"predictions_{backend}.json"
        yield "output", job.run("eval.py", *_demo(job), *keys, "--prediction_path", predictions, "--analysis", "1")
        yield "predictions", f"{len(json.loads(predictions.read_bytes()))} detections {_file_digest(predictions)}"
    else:
        yield "output", job.run("eval.py", *_demo(job), *keys)


def _inputs(shapes: dict[str, tuple[int, ...]]) -> dict:
    """A smooth image, the same every time, and its size where a network wants that."""
    import numpy as np

    height, width = shapes["image"][-2:]
    waves = np.sin(np.arange(3)[:, None, None] + np.arange(height)[:, None] / 7 + np.arange(width) / 11)
    values = {"image": 2 * waves[None].astype(np.float32), "image_shape": np.array([[height, width]], np.int32)}
    return {name: values[name] for name in shapes}


def _run_onnx(path: Path) -> tuple[dict, list, dict]:
    """Metadata, outputs for fixed inputs, and these inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = _inputs({port.name: tuple(port.shape) for port in session.get_inputs()})
    return session.get_modelmeta().custom_metadata_map, session.run(None, inputs), inputs


def _run_mindir(path: Path, inputs: dict) -> tuple[dict, list, dict]:
    import mindspore as ms
    from mindspore.train.mind_ir_pb2 import ModelProto

    model = ModelProto()
    model.ParseFromString(path.read_bytes())
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    outputs = ms.nn.GraphCell(ms.load(str(path)))(*map(ms.Tensor, inputs.values()))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {entry.key: entry.value for entry in model.user_info}, [one.asnumpy() for one in outputs], inputs


def _collect_images(folder: Path, target: Path) -> None:
    """Some images below `folder` in one folder; their names stay unique."""
    target.mkdir()
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in (".jpg", ".png")]
    images = [path for path in found if "gtFine" not in path.parts and "TrainVal_parsing_annotations" not in path.parts]
    for number, path in enumerate(images[:VAL_IMAGES]):
        shutil.copy(path, target / f"{number}{path.suffix}")


def _written(results: Path, job: Job) -> Values:
    """Hashes of what infer.py has written at or beside `results`, and of drawings of it."""
    if results.is_dir():
        yield "files", "\n".join(_files(results, with_digest=True))
        return
    text = results.read_text(encoding="utf-8")
    yield "results", hashlib.sha256(normalise(text, {"out": job.out}).encode()).hexdigest()[:16]
    if job.demo.task == DETECTION:
        drawings = job.out / "drawings"
        command = ("draw_predictions.py", "--pred_file", results, "--out_dir", drawings, "--score_thr", "0.01")
        yield "drawing", job.run(*command)
        yield "drawings", "\n".join(_files(drawings, with_digest=True))


def _draw(job: Job, layout: str, folder: Path, images: int, val_images: int) -> str:
    size = ["--size", LAYOUTS.get(layout, 128), "--seed", SEED]
    return job.run("-m", "src.data.synthetic", layout, folder, "--images", images, "--val-images", val_images, *size)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--demo", choices=DEMOS)
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()
    sys.path.insert(0, str(TREE))
    os.environ.setdefault("GLOG_v", "3")
    demo = DEMOS[arguments.demo] if arguments.demo else None
    job = Job(arguments.out.resolve(), arguments.data.resolve(), demo, arguments.checkpoint)
    values = dict(SECTIONS[arguments.section](job))
    (job.out / "result.json").write_text(json.dumps(values, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
