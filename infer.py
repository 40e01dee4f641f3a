"""Run a checkpoint on one image or on a folder of images and write the predictions as JSON."""

from src.process.command import entry_point
from src.process.logs import quiet_logs
from src.zoo.command_line import parse_cli


@entry_point
def main() -> None:
    required = ("checkpoint_path|checkpoint_url", "pred_input", "pred_output")
    cfg = parse_cli(__doc__, required=required, command="infer.py")
    quiet_logs()
    from src.commands.infer import infer
    from src.integrations.modelarts import modelarts

    with modelarts(cfg, "checkpoint_path") as cfg:
        infer(cfg)


if __name__ == "__main__":
    main()
