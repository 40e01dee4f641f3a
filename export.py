"""Write a checkpoint as MINDIR, ONNX or AIR, and check that the file gives the checkpoint's outputs."""

from src.process.command import entry_point
from src.process.logs import quiet_logs
from src.zoo.command_line import parse_cli


@entry_point
def main() -> None:
    cfg = parse_cli(__doc__, required=("checkpoint_path|checkpoint_url", "file_name"), command="export.py")
    quiet_logs()
    from src.commands.export import export
    from src.integrations.modelarts import modelarts

    with modelarts(cfg, "checkpoint_path") as cfg:
        export(cfg)


if __name__ == "__main__":
    main()
