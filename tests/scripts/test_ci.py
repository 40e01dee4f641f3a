"""What continuous integration runs: .ci/run, .ci/packages and the workflow of public forges, with stand-ins."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = "chromium fontconfig g++-aarch64-linux-gnu qemu-user-static"


def machine(folder: Path, **programs: str) -> str:
    """A PATH with the few programs that every machine has, and these: name -> bash that stands for it."""
    folder.mkdir()
    for name in ("bash", "grep", "dirname"):
        (folder / name).symlink_to(shutil.which(name))
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def install(path: str) -> subprocess.CompletedProcess:
    command = [f"{path}/bash", str(ROOT / ".ci" / "packages")]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("programs", "line"),
    [
        ({}, f"no apt-get here (wanted: {PACKAGES})"),
        ({"apt-get": "exit 9", "id": "echo 1000"}, f"not root; apt-get install {PACKAGES} does it"),
        ({"apt-get": "exit 100", "id": "echo 0"}, f"apt-get update failed, no net? (wanted: {PACKAGES})"),
        ({"apt-get": '[ "$1" = update ]', "id": "echo 0"}, f"apt-get install {PACKAGES} failed"),
    ],
)
def test_what_cannot_be_installed_is_one_line_and_the_tests_go_on(tmp_path, programs, line):
    done = install(machine(tmp_path / "bin", **programs))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"packages not installed: {line}\n")


def test_packages_are_installed_once(tmp_path):
    """dpkg-query knows one of them; then all."""
    said = f'echo "$DEBIAN_FRONTEND $*" >>{tmp_path}/calls'
    one = install(
        machine(tmp_path / "one", **{"apt-get": said, "id": "echo 0", "dpkg-query": "echo installed; exit 1"})
    )
    assert (one.returncode, one.stdout + one.stderr) == (0, "")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [
        "noninteractive update -qq -o Acquire::Retries=3",
        f"noninteractive install -qq -o Acquire::Retries=3 --no-install-recommends {PACKAGES}",
    ]
    every = "; ".join(["echo installed"] * len(PACKAGES.split()))
    both = install(machine(tmp_path / "both", **{"apt-get": said, "dpkg-query": every}))
    assert (both.returncode, both.stdout + both.stderr) == (0, "")
    assert (tmp_path / "calls").read_text().splitlines() == calls


def test_the_run_installs_and_then_calls_the_tests_slow_ones_too(tmp_path):
    """From another folder; the exit status is the tests' own."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / ".ci" / "packages").write_text("echo packages")
    (tmp_path / "scripts" / "run_tests.sh").write_text('echo "tests $*"; exit 3')
    command = ["bash", str(tmp_path / ".ci" / "run")]
    done = subprocess.run(command, cwd="/", env=os.environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, "packages\ntests --all\n")


def test_the_workflow_may_read_only_and_names_what_it_uses_by_commit():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"} and "secrets." not in text
    assert set(workflow[True]) == {"push", "pull_request", "schedule", "workflow_dispatch"}  # yaml: `on` is True
    (job,) = workflow["jobs"].values()
    assert "permissions" not in job and job["timeout-minutes"] <= 120
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"actions/\w+@[0-9a-f]{40}", one) for one in used)
    assert job["steps"][0]["with"] == {"persist-credentials": False}
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[0] == "bash .ci/packages" and "bash scripts/run_tests.sh" in commands[1]
    assert all("${{" not in command for command in commands)  # what strangers name is never pasted into a shell
