"""Convert weights of another project into a checkpoint for a config: PyTorch's (.pth, .pt, .pkl, .safetensors),
MindSpore's and MindCV's (.ckpt), PaddleSeg's and PaddleDetection's (.pdparams)."""

from src.config import parse_cli
from src.process.command import entry_point
from src.process.logs import quiet_logs


@entry_point
def main() -> None:
    cfg = parse_cli(__doc__, required=("pt_path", "ckpt_path"), command="convert_weights.py")
    quiet_logs()
    from src.commands.convert import convert_file

    convert_file(cfg)


if __name__ == "__main__":
    main()
