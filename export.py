"""Write a checkpoint as MINDIR, ONNX or AIR, and check that the file gives the checkpoint's outputs."""

from src.commands.entries import export as main

if __name__ == "__main__":
    main()
