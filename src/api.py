"""A trained network in a Python program: `load` a run, a checkpoint or an exported file, `predict` images.

    model = load("outputs/261127_MaskRCNN_demo")
    result = model.predict("photo.jpg")
    print(result.names, result.boxes, result.scores)

It changes nothing in the program that uses it: no log lines are set up, no handlers, no random numbers; MindSpore's
device is chosen once a process. What is wrong with an input is a `UserError` of one line.
"""

import logging
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .config import Config, as_overrides, load_config
from .config.portable import only_portable
from .config.unread import LOAD, tell_unread
from .data.decoding import ImageRules, is_deep, of_pillow
from .data.images import tell_own_range, why_unreadable
from .data.pictures import ImageSource, Picture
from .errors import UserError, plain, short
from .file_facts import EXPORTED
from .process import guest
from .process.logs import quiet_logs
from .process.threads import cores_shared
from .reading import is_file, is_folder, no_file
from .zoo import PREFIX
from .zoo.carried import GIVE, RUN_CONFIG, on_this_machine
from .zoo.command_line import config_of

if TYPE_CHECKING:  # what loads MindSpore waits until its log lines are quiet
    from .inference.find import Predict, Threshold
    from .inference.found import Found

__all__ = ["Model", "UserError", "load"]

logger = logging.getLogger(__name__)

CHANNELS = ("rgb", "bgr")
ARRAY = "array"  # name of an image that has none
OURS = ("checkpoint_path", "backend", "checkpoint_url")  # keys that the source says


class Model:
    """A network with its weights; `load` makes it. Several threads may use it, and several of them may be loaded.

    task: "detection", "segmentation" or "classification"; names: of its classes, in label order; config: the
    configuration, as it is used; path: the file with the weights.
    """

    def __init__(self, task: str, cfg: Config, names: Sequence[str], predict: "Predict"):
        self.task, self.config, self.names = task, cfg, tuple(names)
        self.path, self._predict = Path(cfg.checkpoint_path), predict

    def __repr__(self) -> str:
        return f"Model({self.task}, {len(self.names)} classes, {str(self.path)!r})"

    def predict(self, image: Any, score_thr: "Threshold" = None, channels: str = "rgb") -> Any:
        """What is found on one image: `FoundObjects`, `FoundMap` or `FoundClasses`. Of a list, a list.

        image: a path; an array (h, w, 3) uint8, RGB, or (h, w) uint8, grey; an image of Pillow, which is read as its
        file would be: turned, scaled and laid over a colour as the configuration says. channels: "bgr" for arrays in
        OpenCV's order. score_thr: least score of a detector's objects, for all classes, by class name, or a file of a
        report; `infer_score_thr` of the configuration by default.

        UserError for one image that cannot be read; in a list there is None in its place, and a warning.
        """
        if isinstance(image, list | tuple):
            return list(self.stream(image, score_thr, channels))
        source = self._source(image, channels)
        ((_, found),) = self._predict([source], score_thr)
        if found is None:
            raise UserError(why_unreadable(str(source), self.config.max_image_pixels))
        return found

    def stream(
        self, images: Iterable[Any], score_thr: "Threshold" = None, channels: str = "rgb"
    ) -> Iterator["Found | None"]:
        """The same for many images, one result after the other: no more than a few batches of them are in memory.

        images: a list of them, or what gives one after the other; a folder is `sorted(Path("photos").glob("*.jpg"))`.
        """
        if _is_one(images) or not isinstance(images, Iterable):
            raise UserError(f"stream takes many images, and {_named(images)} is one: predict, or a list of them")
        return self._stream(iter(images), score_thr, channels)

    def _stream(self, images: Iterator[Any], score_thr: "Threshold", channels: str) -> Iterator["Found | None"]:
        unread: deque[str | None] = deque()  # of each image that waits, why it is not put to the network

        def sources() -> Iterator[ImageSource]:
            for image in images:
                try:
                    source = self._source(image, channels)
                except _Unreadable as error:
                    unread.append(str(error))
                else:
                    unread.append(None)
                    yield source

        def told() -> Iterator[None]:
            """None for each of those that come next."""
            while unread and unread[0] is not None:
                logger.warning("%s", unread.popleft())
                yield None

        for name, found in self._predict(sources(), score_thr):
            yield from told()
            unread.popleft()
            if found is None:
                logger.warning("%s", why_unreadable(name, self.config.max_image_pixels))
            yield found
        yield from told()

    def _source(self, image: Any, channels: str) -> ImageSource:
        """A path as it is; an array or an image of Pillow as a picture in memory. UserError for anything else."""
        if channels not in CHANNELS:
            raise UserError(f"channels is {short(channels)}; it must be one of {', '.join(CHANNELS)}")
        if isinstance(image, str | os.PathLike):
            return Path(image)
        if isinstance(image, Picture):
            return image
        if isinstance(image, Image.Image):
            return _of_pillow(image, ImageRules.from_config(self.config))
        if not isinstance(image, np.ndarray):
            raise UserError(f"an image is a path, an array or an image of Pillow, not {type(image).__name__}")
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape or image.shape[2:] not in ((), (3,)):
            what = f"{list(image.shape)} {image.dtype}"
            raise UserError(f"an image is an array (h, w, 3) or (h, w) of uint8, not {what}")
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        return Picture(ARRAY, np.ascontiguousarray(image[..., ::-1] if channels == "rgb" else image))


def load(source: str | Path, **keys: Any) -> Model:
    """The network in `source`: a run's folder (its best checkpoint, else the newest), a checkpoint or an exported file,
    or published weights by their name, `zoo:NAME`, which are fetched if they are not here.

    keys: of the configuration, by their names: `infer_score_thr=0.5`, `device_target="GPU"`; those of a section as a
    mapping, `test_cfg={"rcnn": {"score_thr": 0.3}}`, or with dots, `**{"test_cfg.rcnn.score_thr": 0.3}`.
    `config_path`: a configuration in the place of the run's, or of the one that comes with the file.

    UserError for a file or key that is wrong, and for a device that is not this process's one. Keys that have no effect
    here are said.
    """
    model = loaded(source, keys)
    tell_unread(model.config, LOAD)
    return model


def loaded(source: str | Path, keys: Mapping[str, Any]) -> Model:
    """`load` for a command, which says itself what it does not read."""
    quiet_logs()
    keys = dict(keys)
    if taken := sorted(set(OURS) & set(keys)):
        raise UserError(f"{taken[0]} is what load's first argument says: leave it out")
    with guest.uninterrupted(), cores_shared():
        import mindspore  # noqa: F401  whole, whoever of those below asks for it first

        from .inference.backends import reordered, with_network
        from .process.compile_cache import compile_once
        from .tasks import TASKS

    try:
        cfg = _configuration(source, str(keys.pop("config_path", "")), keys)
    except UserError as error:  # in the words of a command line
        text = str(error).replace(GIVE, 'give config_path="FILE.yaml"')
        raise UserError(re.sub("^command line: ", "load: ", text)) from None
    with guest.uninterrupted():
        task, process = TASKS[cfg.task], guest.enter(cfg)
    with guest.alone(cfg.mode), guest.randomness_as_before():
        cfg, order = task.to_run(cfg)
        task.check_inference(cfg)
        model = task.load(cfg)
        compile_once(cfg, process, model)
        model = reordered(with_network(model, lambda network: guest.Guest(network, cfg.mode)), order)
        return Model(task.name, cfg, task.describe(cfg).get("class_names", ()), task.predictor(cfg, model))


def _configuration(source: str | Path, config_path: str, keys: Mapping[str, Any]) -> Config:
    """The configuration file that is named, else the run's, else the one that comes with the file.

    `checkpoint_path` and `backend` are the file's.
    """
    if not isinstance(source, str | os.PathLike) or not str(source):
        what = "an empty text" if isinstance(source, str) else type(source).__name__
        raise UserError(f"load takes a run's folder, a checkpoint, an exported file or {PREFIX}NAME, not {what}")
    if str(source).startswith(PREFIX):
        return config_of(str(source), as_overrides(keys), config_path)
    path, run = Path(source), is_folder(source)
    if run:
        path = _checkpoint_of_run(path)
    elif not is_file(path):
        raise UserError(f"{path} {no_file(path)}")
    elif path.suffix != ".ckpt" and path.suffix.lower() not in EXPORTED:
        from .checkpoint import why_no_checkpoint

        raise UserError(f"{path} {why_no_checkpoint(path.suffix)}")
    overrides = as_overrides({**keys, "backend": EXPORTED.get(path.suffix.lower(), "mindspore")})
    if run and not config_path:
        words = [*overrides, *as_overrides({"checkpoint_path": path})]
        return on_this_machine(only_portable(load_config(str(Path(source) / RUN_CONFIG), words)))
    return config_of(str(path), overrides, config_path)


def _checkpoint_of_run(folder: Path) -> Path:
    """The best checkpoint by the run's own metric, else the newest. UserError where it is no run's folder, or has none.
    """
    from .engine.checkpoint_folders import BestFolder, CheckpointFolder

    if not is_file(folder / RUN_CONFIG):
        raise UserError(f"{folder} is no folder of a run: it has no {RUN_CONFIG}")
    newest = CheckpointFolder(folder / "ckpt", 0).newest_first()
    found = BestFolder(folder / "best_ckpt", 0).top() or next(iter(newest), None)
    if found is None:
        raise UserError(f"{folder} has no checkpoint yet, neither in best_ckpt nor in ckpt")
    logger.info("%s: its weights are those of %s", folder, found)
    return found


class _Unreadable(UserError):
    """An image that is none any more; the others of its list go on."""


def _of_pillow(image: Image.Image, rules: ImageRules) -> Picture:
    name = getattr(image, "filename", "")
    try:
        bgr = of_pillow(image, rules)
    except Exception as error:  # Pillow's readers raise many kinds
        what = f"of {name} " if isinstance(name, str) and name else ""
        raise _Unreadable(f"an image {what}cannot be read ({error})") from None
    if is_deep(image) and rules.window is None:
        tell_own_range(name or "an image of Pillow")
    return Picture(ARRAY, bgr)


def _is_one(images: Any) -> bool:
    """Whether this is one image, which Python could go through too: a path by its letters, an array by its rows."""
    is_array = isinstance(images, np.ndarray) and (images.ndim < 3 or images.ndim == 3 and images.shape[2] == 3)
    return is_array or isinstance(images, str | bytes | os.PathLike | Picture | Image.Image)


def _named(image: Any) -> str:
    return plain(str(image), 200) if isinstance(image, str | os.PathLike) else f"an {type(image).__name__}"
