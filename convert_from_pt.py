"""Convert weights of a PyTorch project (.pth, .pt, Detectron2's .pkl, .safetensors) into a checkpoint for a config."""

from src.config import parse_cli
from src.process.command import entry_point
from src.process.logs import quiet_logs


@entry_point
def main() -> None:
    cfg = parse_cli(__doc__, required=("pt_path", "ckpt_path"))
    quiet_logs()
    from src.commands.convert import convert_file

    convert_file(cfg)


if __name__ == "__main__":
    main()
