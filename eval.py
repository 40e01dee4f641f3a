"""Evaluate a checkpoint, or saved predictions, on the validation set."""

from src.process.command import entry_point
from src.process.logs import quiet_logs
from src.zoo.command_line import parse_cli


@entry_point
def main() -> None:
    cfg = parse_cli(__doc__, command="eval.py")
    quiet_logs()
    from src.commands.evaluate import evaluate
    from src.integrations.modelarts import modelarts

    with modelarts(cfg, "checkpoint_path") as cfg:
        evaluate(cfg)


if __name__ == "__main__":
    main()
