"""Segmentation through MindX SDK on an Ascend 310: a colour picture of every image, and mIoU.

    python deploy/mindx/main.py --config_path C --val_dataset VAL.lst --result_path DIR [--pipeline FILE] \
        [--key value ...]

The compiled network sees each image once, as the pipeline decodes and resizes it and AIPP normalises it.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from deploy.mindx.stream import Stream  # noqa: E402
from src.config import Config, parse_cli  # noqa: E402
from src.config.arguments import Arguments  # noqa: E402
from src.data.formats.segmentation_list import SegmentationDataset, open_segmentation  # noqa: E402
from src.data.images import write_picture  # noqa: E402
from src.errors import UserError  # noqa: E402
from src.evaluation.segmentation_eval import print_result, score_label_maps  # noqa: E402
from src.inference.binary_files import make_empty  # noqa: E402
from src.inference.segment import Piece, Scores, exported_size, logits_size, scored_label  # noqa: E402
from src.inference.visualize import unique_stems  # noqa: E402
from src.process.command import entry_point  # noqa: E402
from src.process.log_words import Words  # noqa: E402

PIPELINE = Path(__file__).with_name("hrnetw48seg.pipeline")


@entry_point
def main() -> None:
    parser = Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("--pipeline", type=Path, default=PIPELINE)
    parser.add_argument("--result_path", type=Path, default=Path("infer_results"))
    own, rest = parser.parse_known_args()
    own_help = f"--pipeline FILE (default {PIPELINE.name}), --result_path FOLDER (default {own.result_path})"
    cfg = parse_cli(f"{__doc__.splitlines()[0]}\n{own_help}", rest, command="main.py")
    require_one_view(cfg)
    dataset = open_segmentation(cfg, cfg.val_dataset, "val")
    stream = Stream(own.pipeline)
    try:
        make_empty(own.result_path)
        network = Timed(stream)
        maps = label_maps(cfg, dataset, network, own.result_path)
        result = score_label_maps(dataset, cfg.ignore_label, maps)
    finally:
        stream.close()
    words = Words("sdk", cfg.log_style)
    words.say("total", images=len(dataset), count=network.count, each=network.seconds / max(network.count, 1))
    print_result(result, dataset.labels.names, words, seconds=network.seconds)


def require_one_view(cfg: Config) -> None:
    """UserError for scales, mirror images and windows: a stream shows the network the whole image, once."""
    if list(cfg.eval_scales) != [1] or cfg.eval_flip:
        raise UserError("the stream shows each image once: set eval_scales to 1 and eval_flip to 0")
    if cfg.keep_ratio and cfg.eval_mode != "whole":
        raise UserError(f"the stream shows whole images: set eval_mode to whole, not {cfg.eval_mode}")


class Timed:
    """A network that counts its calls and their seconds."""

    def __init__(self, network: Callable[[bytes], np.ndarray]):
        self.network, self.count, self.seconds = network, 0, 0.0

    def __call__(self, content: bytes) -> np.ndarray:
        started = time.perf_counter()
        output = self.network(content)
        self.seconds += time.perf_counter() - started
        self.count += 1
        return output


def label_maps(
    cfg: Config, dataset: SegmentationDataset, network: Callable[[bytes], np.ndarray], folder: Path
) -> Iterator[tuple[int, np.ndarray | None, np.ndarray | None]]:
    """(index, label, predicted classes) of every sample, see `score_label_maps`; writes NAME_color.png into `folder`.

    network: the bytes of an image file -> its logits, C times `logits_size` float32.
    UserError: an image is not of the network's size (where the configuration keeps sizes), or an output is not.
    """
    size = exported_size(cfg)
    shape = (len(dataset.labels.names), *logits_size(cfg, size))
    for index, name in enumerate(unique_stems([image for image, _ in dataset.samples])):
        path = dataset.samples[index][0]
        image, label = dataset.read(index)
        if image is None:
            yield index, label, None
            continue
        if cfg.keep_ratio and image.shape[:2] != size:
            raise UserError(
                f"{path} has {image.shape[1]}x{image.shape[0]} pixels, but the network takes {size[1]}x{size[0]}"
            )
        logits = network(path.read_bytes())
        if logits.size != math.prod(shape):
            raise UserError(f"the model gives {logits.size} numbers, not the {math.prod(shape)} of {list(shape)}")
        piece = Piece((0, 0), size, logits.reshape(shape), coordinates=cfg.seg_head.bilinear)
        scores = Scores([(size, [piece])])
        predicted = scores.label_map(image.shape[:2])
        write_picture(folder / f"{name}_color.png", dataset.labels.palette[predicted][..., ::-1])
        label = scored_label(cfg, label)
        if label is not None and label.shape != predicted.shape:
            predicted = scores.label_map(label.shape)
        yield index, label, predicted


if __name__ == "__main__":
    main()
