"""Boot file for ModelArts: train as train.py does, then export the best weights beside the run, in the original's name.

    python modelarts/start.py --modelarts True --data_url obs://BUCKET/DATA --train_url obs://BUCKET/RESULTS \
        [--dataset cityscapes|lip] [--checkpoint_url obs://BUCKET/WEIGHTS.ckpt] [--config_path C] [--key value ...]

Without --config_path it is HRNetW48_seg on the data set that --dataset names. The data are all of data_url, unless
train_dataset and val_dataset name folders in it. The exported file is hrnetw48seg-DATASET.air on an Ascend, a MINDIR
file elsewhere; --file_name and --file_format say otherwise.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from src.config import Config, parse_cli, with_typed  # noqa: E402
from src.config.overrides import parse_overrides  # noqa: E402
from src.errors import UserError, short  # noqa: E402
from src.process.command import entry_point  # noqa: E402
from src.process.logs import outlive_the_terminal, quiet_logs  # noqa: E402
from src.process.threads import share_cores  # noqa: E402

CONFIGURATIONS = {name: f"configs/hrnet_w48_seg_{name}_mindspore.yaml" for name in ("cityscapes", "lip")}


@entry_point
def main(argv: list[str] | None = None) -> None:
    arguments = with_configuration(sys.argv[1:] if argv is None else argv)
    cfg = parse_cli(__doc__.splitlines()[0], arguments, command="train.py")
    if not cfg.data_url and not {"train_dataset", "mindrecord_dir"} & cfg.typed:
        raise UserError("--data_url is missing; see --help")
    cfg = with_data(cfg)
    quiet_logs()
    outlive_the_terminal()
    share_cores()
    from src.engine.trainer import train
    from src.integrations.modelarts import modelarts
    from src.process.runtime import launched_rank

    with modelarts(cfg, "pre_trained") as cfg:
        folder = train(cfg)
        if not (cfg.run_distribute and launched_rank()):
            export_best(cfg, folder)


def with_configuration(arguments: Sequence[str]) -> list[str]:
    """The arguments with the configuration of the data set that they name, unless they have one or ask for help."""
    words = list(arguments)
    if any(word.partition("=")[0] in ("--config_path", "--help", "-h") for word in words):
        return words
    name = dict(parse_overrides(words)).get("dataset", "cityscapes")
    if name not in CONFIGURATIONS:
        raise UserError(f"--dataset is {short(name)}: give --config_path, or {' or '.join(CONFIGURATIONS)}; see --help")
    return ["--config_path", str(ROOT / CONFIGURATIONS[name]), *words]


def with_data(cfg: Config) -> Config:
    """On ModelArts the data are all of data_url, where the command line does not say which folders of it."""
    if not cfg.enable_modelarts:
        return cfg
    unsaid = {name: "." for name in ("train_dataset", "val_dataset") if name not in cfg.typed}
    return with_typed(replace(cfg, **unsaid), cfg.typed)


def export_best(cfg: Config, folder: Path) -> None:
    """The best weights of the run in `folder`, or where it never evaluated its newest, as a file beside them."""
    from src.commands.export import export
    from src.engine.checkpoint_folders import BestFolder, CheckpointFolder

    best, newest = BestFolder(folder / "best_ckpt", 1), CheckpointFolder(folder / "ckpt", 1)
    checkpoint = next(iter(filter(None, (best.top(), *newest.newest_first()))), None)
    if checkpoint is None:
        raise UserError(f"{folder} holds no checkpoint to export")
    usual = "AIR" if cfg.device_target == "Ascend" else "MINDIR"
    name = cfg.file_name if "file_name" in cfg.typed else str(folder / f"hrnetw48seg-{cfg.dataset}")
    kind = cfg.file_format if "file_format" in cfg.typed else usual
    export(replace(cfg, checkpoint_path=str(checkpoint), file_name=name, file_format=kind, run_distribute=False))


if __name__ == "__main__":
    main()
