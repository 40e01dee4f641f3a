"""The shape of the Dockerfile, which is not built here: what it names is there, images are pinned and run as a user."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from src.ops import build

ROOT = Path(__file__).parents[1]
INSTRUCTIONS = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "CMD"}


def parse(text: str) -> list[tuple[str, str]]:
    """(instruction, words) a line; continued lines are one."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    pairs = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(name, re.sub(r"\s+", " ", words).strip()) for name, words in pairs]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    return parse((ROOT / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def stages(steps) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, words in steps:
        if name == "FROM":
            found[words.split(" AS ")[1]] = []
        if found:
            list(found.values())[-1].append((name, words))
    return found


def words_of(steps, *names: str) -> list[str]:
    return [words for name, words in steps if name in names]


def test_it_has_an_image_for_the_cpu_and_one_for_gpus(steps, stages):
    assert list(stages) == ["kernels", "cpu", "gpu"] and {name for name, _ in steps} <= INSTRUCTIONS
    assert stages["gpu"][0][1] == "cpu AS gpu"


def test_images_from_elsewhere_are_of_a_version(steps):
    images = dict(words.split("=") for words in words_of(steps[:2], "ARG"))
    for words in words_of(steps, "FROM"):
        image = words.split(" AS ")[0]
        assert image == "cpu" or re.fullmatch(r"\S+:\d+\.\d+\.\d+-\S+", images[image.strip("${}")]), image
    assert 10 <= int(images["PYTHON_IMAGE"].split(".")[1]) <= 12  # of Python 3


def test_what_it_copies_is_there_and_not_ignored(steps):
    ignored = (ROOT / ".dockerignore").read_text().split()
    for words in words_of(steps, "COPY"):
        parts = shlex.split(words)
        if parts[0].startswith("--from="):
            assert parts[0] == "--from=kernels" and Path(parts[1]).name == build.GPU
            assert parts[1] == f"/build/src/ops/bin/{build.GPU}" and parts[2] == "src/ops/bin/"
            continue
        for source in parts[:-1]:
            assert (ROOT / source).exists() and source.strip("/") not in ignored, source


def test_requirements_and_scripts_that_it_names_are_there(steps):
    text = (ROOT / "Dockerfile").read_text()
    named = set(re.findall(r"requirements[\w-]*\.txt", text)) | set(
        re.findall(r"(?:scripts|src|tests)/[\w/]+\.\w+", text)
    )
    named -= {f"src/ops/bin/{build.GPU}"}
    assert {"requirements-gpu.txt", "requirements-gpu-hopper.txt", "scripts/first_gpu_run.sh"} <= named
    assert all((ROOT / name).is_file() for name in named), named
    copied = shlex.split(words_of(steps, "COPY")[1])[:-1]  # before the rest, so that packages are installed once
    assert set(re.findall(r"-r (\S+)", (ROOT / "requirements-export.txt").read_text())) <= set(copied)


def test_packages_leave_nothing_behind(steps):
    for words in words_of(steps, "RUN"):
        if "apt-get" in words:
            assert "apt-get update &&" in words and "--no-install-recommends" in words
            assert words.endswith("rm -rf /var/lib/apt/lists/*")
        assert "pip install" not in words or "--no-cache-dir" in words
        assert not re.search(r"\bsudo\b|curl|wget|--trusted-host", words)


def test_images_run_as_a_user_from_a_whole_path(stages):
    for stage in ("cpu", "gpu"):
        assert words_of(stages[stage], "USER")[-1] == "zoo" and stages[stage][-1][0] in ("USER", "CMD")
    assert "useradd --create-home --uid 1000 zoo" in words_of(stages["cpu"], "RUN")[-1]
    assert all(words.startswith("/") for stage in stages.values() for words in words_of(stage, "WORKDIR"))


def test_the_libraries_are_where_the_scripts_put_them(stages):
    """gpu_env.sh's links lie under the Python's prefix, which is /usr/local in Python's images."""
    (settings,) = words_of(stages["gpu"], "ENV")
    assert "LD_LIBRARY_PATH=/usr/local/lib/cuda11/lib" in settings.split()
    assert "/lib/cuda11/lib" in (ROOT / "scripts" / "gpu_env.sh").read_text()
    assert words_of(stages["gpu"], "RUN")[-1] == "bash scripts/check_gpu.sh"


def test_the_commands_are_bash(steps):
    for words in words_of(steps, "RUN"):
        assert subprocess.run(["bash", "-n", "-c", words], capture_output=True).returncode == 0, words


def test_a_copy_of_what_is_not_there_is_seen():
    steps = parse("FROM a:1.2.3-b AS c\nCOPY gone.txt \\\n    ./\n# COPY remark ./\n")
    assert steps == [("FROM", "a:1.2.3-b AS c"), ("COPY", "gone.txt ./")]
    with pytest.raises(AssertionError, match=r"gone\.txt"):
        test_what_it_copies_is_there_and_not_ignored(steps)
