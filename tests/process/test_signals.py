"""Signals that end a program: from its first line on, whatever it is busy with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEGIN = "import os, signal, sys, time\nfrom src.process import signals\nsignals.watch()\nimport numpy\n"
# What MindSpore does whenever it runs a graph: a handler of its own in the place of Python's, which sends SIGTERM.
GRAPH = """
import ctypes
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: os.kill(os.getpid(), signal.SIGTERM))
ctypes.CDLL(None).signal(signal.SIGINT, handler)
print("ready", flush=True)
ctypes.CDLL(None).sleep(60)
"""
WAIT = 'print("ready", flush=True)\ntime.sleep(60)\n'


def start(code: str, **keys) -> subprocess.Popen:
    command = [sys.executable, "-c", code]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen(command, cwd=ROOT, **pipes, **keys)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def stop(process: subprocess.Popen, *numbers: int) -> tuple[int, str]:
    """Exit status and what it said; a program that does not end is one that hangs."""
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    try:
        return process.wait(10), process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("busy", [WAIT, GRAPH], ids=["in Python", "in a graph"])
@pytest.mark.parametrize(
    "number,status,said",
    [
        (signal.SIGINT, 130, "interrupted\n"),
        (signal.SIGTERM, 143, "ended by signal 15\n"),
        (signal.SIGHUP, 129, "ended by signal 1\n"),
    ],
)
def test_a_signal_ends_a_program_in_one_line_whatever_it_is_busy_with(busy, number, status, said):
    assert stop(start(BEGIN + busy), number) == (status, said)


@pytest.mark.parametrize(
    "program",
    [["eval.py"], ["-m", "src.data.lip_lst_maker"], ["draw_predictions.py"], ["deploy/infer_files.py"]],
    ids=lambda words: words[-1],
)
def test_every_program_takes_its_signals_before_it_imports_anything_large(program, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(  # sends the signal when the first large thing is imported
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('yaml', 'numpy'):\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    variables = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, *program, "--help"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_temporary_folders_go_when_a_signal_ends_the_program(tmp_path):
    code = f"import tempfile\nfolder = tempfile.TemporaryDirectory(dir={str(tmp_path)!r})\n"
    process = start(BEGIN + code + WAIT)
    assert len(list(tmp_path.iterdir())) == 1
    stop(process, signal.SIGTERM)
    assert not list(tmp_path.iterdir())


# What is at work in a folder that goes: it fails, and says so.
AT_WORK = """
import shutil, tempfile, weakref
folder = tempfile.mkdtemp()
owner = type("Owner", (), {})()
weakref.finalize(owner, lambda: (shutil.rmtree(folder), time.sleep(1)))
print("ready", flush=True)
while os.path.exists(folder):
    time.sleep(0.01)
"""


@pytest.mark.parametrize(
    "end", ["sys.exit(2)", "raise FileNotFoundError(folder)", ""], ids=["status", "raises", "ends"]
)
def test_what_fails_because_the_program_leaves_says_nothing_and_changes_no_status(end):
    code = f"{BEGIN}{AT_WORK}print('error: does not exist', file=sys.stderr, flush=True)\n{end}\n"
    assert stop(start(code), signal.SIGTERM) == (143, "ended by signal 15\n")


def test_what_was_printed_before_the_signal_is_not_lost():
    code = BEGIN + 'print("ready", flush=True)\nprint("half", end="")\ntime.sleep(60)\n'
    process = start(code, env=os.environ | {"PYTHONUNBUFFERED": ""})
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert (process.stdout.read(), process.stderr.read(), process.wait(10)) == ("half", "ended by signal 15\n", 143)


def test_what_is_ignored_stays_ignored():
    code = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    assert stop(start(code + BEGIN + WAIT), signal.SIGHUP, signal.SIGINT, signal.SIGTERM)[0] == 143


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_handler_of_the_programs_own_is_called_in_its_main_thread(number):
    code = f"signal.signal({int(number)}, lambda number, frame: sys.exit(7))\n"  # ModelArts sends its results
    wait = 'print("ready", flush=True)\nwhile True: time.sleep(0.05)\n'
    assert stop(start(BEGIN + code + wait), number) == (7, "")


def test_a_forked_worker_is_ended_by_its_parents_signal():
    code = """
child = os.fork()
if not child:
    time.sleep(60)
os.kill(child, signal.SIGTERM)
print("ready" if os.waitpid(child, 0)[1] == signal.SIGTERM else "still there", flush=True)
"""
    assert stop(start(BEGIN + code + WAIT), signal.SIGTERM)[0] == 143


@pytest.mark.parametrize("first", ["", "import numpy", "import threading; threading.Thread(target=input, daemon=True)"])
def test_a_program_of_somebody_elses_keeps_its_signals(tmp_path, first):
    script = tmp_path / "train.py"
    script.write_text(f"{first}\nimport time\nimport src.config\n{WAIT}")
    status, said = stop(start(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"), signal.SIGINT)
    assert status == -signal.SIGINT and said.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_no_file_gets_the_number_of_a_standard_stream_that_is_closed(closed, tmp_path):
    code = BEGIN + "file = open(sys.argv[1], 'w'); assert file.fileno() > 2; print('x', file=sys.stderr); print('y')"
    script = tmp_path / "script.sh"
    redirected = " ".join(f"{number}>&-" for number in closed)
    script.write_text(f'exec "$1" -c "$2" "$3" {redirected}\n')
    command = ["bash", str(script), sys.executable, code, str(tmp_path / "file")]
    assert subprocess.run(command, cwd=ROOT, timeout=60, stdout=subprocess.DEVNULL).returncode == 0


# --------------------------------------------------------------------------------------------- signals in a training

STOP = """
from src.engine.stop_signals import StopSignals
def batches():
    for number in range(3):
        if number == STUCK:
            print("ready", flush=True)
            time.sleep(60)
        yield number,
with StopSignals(lambda: print("saved", flush=True), 0.5) as stopping:
    for batch in stopping.batches(batches()):
        if batch[0] == LONG:
            print("ready", flush=True)
            time.sleep(1.5)
        stopping.step_is_done()
        if stopping.received:
            print("stopped after step", batch[0], flush=True)
            sys.exit(128 + stopping.received)
"""
MINDSPORE = 0.2  # seconds after which it answers the end of a worker


@pytest.mark.parametrize(
    "stuck,long,numbers,status,printed",
    [
        (9, 1, [signal.SIGINT], 130, "stopped after step 1\n"),
        (9, 1, [signal.SIGHUP], 129, "stopped after step 1\n"),
        pytest.param(9, 1, [signal.SIGUSR1], 143, "stopped after step 1\n", marks=pytest.mark.slow),
        (9, 1, [signal.SIGTERM, signal.SIGTERM], 143, "stopped after step 1\n"),
        (9, 1, [signal.SIGINT, signal.SIGINT], 130, ""),
        (1, 9, [signal.SIGTERM], 143, "saved\n"),
        (9, 0, [signal.SIGINT], 130, ""),
    ],
    ids=["Ctrl-C", "hang-up", "SIGUSR1", "SIGTERM and the framework's answer", "twice", "no batch comes", "compiling"],
)
def test_a_training_that_is_stopped_ends_after_its_step_or_where_it_stands(stuck, long, numbers, status, printed):
    process = start(BEGIN + STOP.replace("STUCK", str(stuck)).replace("LONG", str(long)))
    for number in numbers:
        process.send_signal(number)
        time.sleep(MINDSPORE)
    rest, said = process.communicate(timeout=10)
    assert (process.returncode, rest) == (status, printed) and len(said.splitlines()) <= 1
