"""Segmentation outside of Python, step 1 of 3: the validation images as binary network inputs and a manifest.

    python deploy/preprocess.py --config_path C --val_dataset DATA --result_path DIR [--key value ...]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.config import parse_cli  # noqa: E402
from src.config.arguments import Arguments  # noqa: E402
from src.data.formats.segmentation_list import open_segmentation  # noqa: E402
from src.inference.binary_files import write_inputs  # noqa: E402
from src.process.command import entry_point  # noqa: E402
from src.process.log_words import Words  # noqa: E402


@entry_point
def main() -> None:
    parser = Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("--result_path", type=Path, default=Path("preprocess_result"))
    own, rest = parser.parse_known_args()
    description = f"{__doc__.splitlines()[0]}\n--result_path FOLDER (default {own.result_path})"
    cfg = parse_cli(description, rest, command="preprocess.py")
    dataset = open_segmentation(cfg, cfg.val_dataset, "val")
    manifest = write_inputs(cfg, dataset, own.result_path)
    count = sum(len(sample["inputs"]) for sample in manifest["samples"])
    Words("310", cfg.log_style).say("written", count=count, images=len(dataset), folder=own.result_path)


if __name__ == "__main__":
    main()
