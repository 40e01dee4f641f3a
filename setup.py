"""The wheel: `src/` as the package `ms_vision_zoo`, the configurations in it. All else is in pyproject.toml.

What it needs stands in requirements.txt, its extras in the other requirements files.
"""

import tempfile
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
NAME = "ms_vision_zoo"
DATA = ["*.cc", "*.h", "*.cu", "*.csv", "*.yaml", "*.html", "*.css", "*.js", "*.svg", "*.ttf", "*.woff2", "*.json"]
FILES = {
    "export": "requirements-export.txt", "gpu": "requirements-gpu.txt", "gpu-hopper": "requirements-gpu-hopper.txt",
    "serve": "requirements-serve.txt",
}  # fmt: skip
PICKED = {  # out of what the tests need
    "tracking": ("mlflow-skinny", "tensorboardX"),
    "supervision": ("supervision",),
}


def requirements(file: str) -> list[str]:
    """The lines of a requirements file, without remarks and without other files."""
    path = ROOT / file
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    texts = (line.partition(" #")[0].strip() for line in lines)
    return [text for text in texts if text and not text.startswith(("#", "-"))]


def extras() -> dict[str, list[str]]:
    found = {name: requirements(file) for name, file in FILES.items() if (ROOT / file).is_file()}
    tools = requirements("requirements-dev.txt")
    picked = {name: [one for one in tools if one.startswith(tuple(wanted))] for name, wanted in PICKED.items()}
    return found | picked


def configurations() -> list[str]:
    """The folders of `configs/` as packages, which hold nothing but data."""
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml")}
    return [".".join((NAME, *folder.parts)) for folder in sorted(folders)]


# A build folder that stays would put files into a wheel that have left the repository since.
with tempfile.TemporaryDirectory() as scratch:
    setup(
        packages=[NAME, *(f"{NAME}.{name}" for name in find_packages("src")), *configurations()],
        package_dir={NAME: "src", f"{NAME}.configs": "configs"},
        package_data={"": DATA},
        install_requires=requirements("requirements.txt"),
        extras_require=extras(),
        options={"build": {"build_base": scratch}},
    )
