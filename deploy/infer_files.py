"""Segmentation outside of Python, step 2 of 3, here on the CPU: an exported ONNX or MINDIR file over binary inputs.

    python deploy/infer_files.py --model FILE.onnx --preprocess_path DIR --result_path DIR2

The programs in deploy/ascend310 do the same on an Ascend 310.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.config.arguments import Arguments  # noqa: E402
from src.errors import UserError  # noqa: E402
from src.files import write_bytes  # noqa: E402
from src.inference.backends import SUFFIXES, open_model  # noqa: E402
from src.inference.binary_files import ELEMENT, make_empty, read_input, read_manifest, result_path  # noqa: E402
from src.process.command import entry_point  # noqa: E402
from src.process.logs import quiet_logs  # noqa: E402


@entry_point
def main() -> None:
    parser = Arguments(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="file that export.py wrote (.onnx or .mindir)")
    parser.add_argument("--preprocess_path", type=Path, required=True, help="folder that preprocess.py wrote")
    parser.add_argument("--result_path", type=Path, required=True, help="folder for the result files; new or empty")
    arguments = parser.parse_args()
    manifest = read_manifest(arguments.preprocess_path)
    backends = {suffix: backend for backend, suffix in SUFFIXES.items()}
    if arguments.model.suffix.lower() not in backends:
        raise UserError(f"{arguments.model} ends in none of {', '.join(backends)}")
    quiet_logs()
    model = open_model(arguments.model, backends[arguments.model.suffix.lower()])
    make_empty(arguments.result_path)
    names = [name for sample in manifest["samples"] for name in sample["inputs"]]
    seconds = 0.0
    for name in names:
        pixels = read_input(arguments.preprocess_path, manifest, name)
        started = time.perf_counter()
        logits = model(pixels)[0]
        seconds += time.perf_counter() - started
        write_bytes(result_path(arguments.result_path, name), logits.astype(ELEMENT).tobytes())
    print(f"{len(names)} results in {arguments.result_path}, {seconds / max(len(names), 1):.4f} s each")


if __name__ == "__main__":
    main()
