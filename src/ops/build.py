"""Compile the custom operators: which sources make which library, with which flags.

    python src/ops/build.py [--cxx g++] [--nvcc nvcc] [--skip_cuda]

`scripts/build_custom.sh` calls this; `process/operators.py` does at first use. It needs nothing but Python.
"""

import argparse
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMON = ("-std=c++17", "-O3", "-fPIC", "-shared")
CPU, ONEDNN, GPU = "custom_ops_cpu.so", "dnnl_ops_cpu.so", "custom_ops_gpu.so"
DEVEL, HEADER = "onednn-devel-cpu-gomp", "oneapi/dnnl/dnnl.hpp"
RUNTIME, SHARED_OBJECT = "onednn-cpu-gomp", "libdnnl.so.3"  # which the other one brings
SECONDS = 1200  # that a compiler may take
SHOWN = 300  # characters of what it says


class BuildError(Exception):
    """Why a library cannot be built, in one line."""


@dataclass(frozen=True)
class Library:
    """sources: beside this file; flags: of the compiler beside `COMMON`; compiler: by default."""

    name: str
    sources: tuple[str, ...]
    flags: tuple[str, ...]
    compiler: str = "g++"


LIBRARIES = {
    one.name: one
    for one in (
        Library(
            CPU,
            ("roi_align.cc", "mask_crop.cc", "point_sample.cc", "nms.cc", "soft_nms.cc", "iou_assign.cc", "sample.cc",
             "all_finite.cc", "resize_bilinear.cc", "version.cc"),
            ("-fopenmp-simd", "-ffp-contract=off", "-pthread", "-Wall", "-Wextra"),
        ),
        Library(
            ONEDNN,
            ("conv_gradient.cc", "conv_inference.cc", "batch_norm.cc", "resize.cc", "pixel_loss.cc", "version.cc"),
            ("-fopenmp", "-Wall", "-Wextra", "-Wl,-z,now"),
        ),
        Library(
            GPU,
            ("roi_align.cu", "mask_crop.cu", "point_sample.cu", "nms.cu", "iou_assign.cu", "version.cc"),
            ("-fmad=false", "--threads", "0", "-cudart", "static"),  # contraction would move what thresholds decide
            "nvcc",
        ),
    )
}  # fmt: skip


def build(name: str, target: Path, compiler: Sequence[str] = (), gpu_codes: Sequence[str] = ()) -> None:
    """Write the library `name` to `target`, whole or not at all. compiler: a command, the usual one by default.
    gpu_codes: nvcc's words for the architectures, by default for all that it knows.

    BuildError where the compiler or oneDNN is missing, or where compiling fails.
    """
    library = LIBRARIES[name]
    compiler = list(compiler or (library.compiler,))
    if not shutil.which(compiler[0]):
        hint = ": install a C++17 compiler (on Debian: apt-get install g++)" if name != GPU else ""
        raise BuildError(f"{compiler[0]} not found{hint}")
    flags, after = _flags(library, compiler, gpu_codes)
    sources = [str(HERE / source) for source in library.sources]
    try:
        file, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=target.parent)
        os.close(file)
    except OSError as error:
        raise BuildError(f"{target.parent} cannot be written ({error.strerror})") from None
    try:
        command = [*compiler, *flags, *sources, *after, "-o", temporary]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", timeout=SECONDS)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            words = lines[0][:SHOWN] if lines else f"it said nothing (status {done.returncode})"
            raise BuildError(f"{compiler[0]} failed: {words}")
        sys.stderr.write(done.stderr)
        os.chmod(temporary, 0o755)
        os.replace(temporary, target)  # at once: another process never loads half a library
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{compiler[0]}: {error}") from None
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def is_newer(target: Path) -> bool:
    """Whether a library is there, and newer than every source."""
    try:
        built = target.stat().st_mtime
    except OSError:
        return False
    return not any(path.stat().st_mtime > built for path in _sources())


def fingerprint() -> str:
    """12 hexadecimal digits over what libraries are made from: sources, flags, oneDNN, this kind of machine."""
    total = hashlib.sha256()
    for path in _sources():
        total.update(f"{path.name}\0".encode() + path.read_bytes())
    total.update(repr((LIBRARIES, COMMON, onednn(), platform.machine(), platform.libc_ver())).encode())
    return total.hexdigest()[:12]


def onednn() -> tuple[Path, Path] | None:
    """oneDNN's folder of headers and its shared object beside this Python, as `requirements.txt` installs them."""
    try:
        found = [
            next(path.locate().resolve() for path in importlib.metadata.files(package) or () if path.match(name))
            for package, name in ((DEVEL, HEADER), (RUNTIME, SHARED_OBJECT))
        ]
    except (importlib.metadata.PackageNotFoundError, StopIteration):
        return None
    header, shared_object = found
    return (header.parents[2], shared_object) if header.is_file() and shared_object.is_file() else None


def _flags(library: Library, compiler: Sequence[str], gpu_codes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Before and after the sources."""
    if library.name == ONEDNN:
        found = onednn()
        if found is None:
            raise BuildError(f"no oneDNN library: {DEVEL} is not installed beside {sys.executable}")
        return [*COMMON, *library.flags, "-isystem", str(found[0])], [str(found[1])]
    if library.name == GPU:
        common = [flag if flag != "-fPIC" else "-Xcompiler=-fPIC" for flag in COMMON]
        return [*common, *library.flags, *(gpu_codes or _gpu_codes(compiler))], []
    return [*COMMON, *library.flags], []


def _gpu_codes(nvcc: Sequence[str]) -> list[str]:
    """For every architecture that this nvcc knows, and for later ones."""
    numbers = gpu_architectures(nvcc)
    codes = [f"arch=compute_{number},code=sm_{number}" for number in numbers]
    codes.append(f"arch=compute_{numbers[-1]},code=compute_{numbers[-1]}")
    return [word for code in codes for word in ("-gencode", code)]


def gpu_architectures(nvcc: Sequence[str]) -> list[int]:
    """Compute capabilities that this nvcc knows, ten times each, the least first. BuildError where it names none."""
    try:
        done = subprocess.run([*nvcc, "--list-gpu-arch"], capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{nvcc[0]}: {error}") from None
    numbers = sorted(int(word.removeprefix("compute_")) for word in done.stdout.split() if word[8:].isdigit())
    if not numbers:
        raise BuildError(f"{nvcc[0]} names no GPU architecture")
    return numbers


def _sources() -> list[Path]:
    return sorted(path for path in HERE.iterdir() if path.suffix in (".h", ".cc", ".cu"))


def main() -> int:
    """Build what is missing or older than a source into `bin/`; 1 where a library that can be built cannot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cxx", default="g++")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--skip_cuda", action="store_true")
    words = parser.parse_args()
    (HERE / "bin").mkdir(exist_ok=True)
    for name in LIBRARIES:
        target, compiler = HERE / "bin" / name, words.nvcc if name == GPU else words.cxx
        if name == ONEDNN and onednn() is None:
            print(f"no oneDNN library: {DEVEL} is not installed beside {sys.executable}")
        elif name == GPU and (words.skip_cuda or not shutil.which(words.nvcc)):
            print(f"no GPU library: {'SKIP_CUDA is set' if words.skip_cuda else f'{words.nvcc} not found'}")
        elif is_newer(target):
            print(f"bin/{name} is up to date")
        else:
            try:
                build(name, target, [compiler])
                oldest = gpu_architectures([compiler])[0] if name == GPU else 0
            except BuildError as error:
                print(f"error: building src/ops/bin/{name} failed: {error}", file=sys.stderr)
                return 1
            cards = f", for compute capability {oldest // 10}.{oldest % 10} and later" if oldest else ""
            print(f"built src/ops/bin/{name}{cards}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
