"""Convert weights of another project into a checkpoint for a config: PyTorch's (.pth, .pt, .pkl, .safetensors),
MindSpore's and MindCV's (.ckpt), PaddleSeg's and PaddleDetection's (.pdparams)."""

from src.commands.entries import convert_weights as main

if __name__ == "__main__":
    main()
