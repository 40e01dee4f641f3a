"""Segmentation outside of Python, step 3 of 3: mIoU from the binary results.

    python deploy/postprocess.py --config_path C --val_dataset DATA --preprocess_path DIR --result_path DIR2 \
        [--key value ...]

The keys must be those of step 1.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.config import parse_cli  # noqa: E402
from src.config.arguments import Arguments  # noqa: E402
from src.data.formats.segmentation_list import open_segmentation  # noqa: E402
from src.evaluation.segmentation_eval import print_result, score_label_maps  # noqa: E402
from src.inference.binary_files import label_maps, read_manifest  # noqa: E402
from src.process.command import entry_point  # noqa: E402
from src.process.log_words import Words  # noqa: E402


@entry_point
def main() -> None:
    parser = Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("--preprocess_path", type=Path, default=Path("preprocess_result"))
    parser.add_argument("--result_path", type=Path, default=Path("result_files"))
    own, rest = parser.parse_known_args()
    folders = f"--preprocess_path, --result_path FOLDER (default {own.preprocess_path}, {own.result_path})"
    cfg = parse_cli(f"{__doc__.splitlines()[0]}\n{folders}", rest, command="postprocess.py")
    dataset = open_segmentation(cfg, cfg.val_dataset, "val")
    maps = label_maps(cfg, dataset, read_manifest(own.preprocess_path), own.result_path)
    words = Words("310", cfg.log_style)
    words.say("total", count=len(dataset))
    print_result(score_label_maps(dataset, cfg.ignore_label, maps), dataset.labels.names, words)


if __name__ == "__main__":
    main()
