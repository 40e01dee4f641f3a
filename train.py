"""Train a model: weights from scratch, from a backbone, from a checkpoint, or on with a stopped run (--resume 1)."""

from src.process.command import entry_point
from src.process.logs import outlive_the_terminal, quiet_logs
from src.process.threads import share_cores
from src.zoo.command_line import parse_cli


@entry_point
def main() -> None:
    required = ("train_dataset|train_annotations|mindrecord_dir|data_url",)
    cfg = parse_cli(__doc__, required=required, command="train.py")
    quiet_logs()
    outlive_the_terminal()
    share_cores()
    from src.engine.trainer import train
    from src.integrations.modelarts import modelarts

    with modelarts(cfg, "pre_trained") as cfg:
        train(cfg)


if __name__ == "__main__":
    main()
