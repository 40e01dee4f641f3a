"""Launchers that are stopped or killed, and jobs that end badly: nothing goes on, and one line says why."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.scripts.stand_ins import DISTRIBUTED, SCRIPTS, TRAIN, VERSION, run, stand_in


def start(place: Path, script: str, *arguments: str, errors: int | None = None, **environment: str) -> subprocess.Popen:
    """The launcher in the background, with the signals as a terminal's shell would give them."""
    return subprocess.Popen(
        ["bash", str(SCRIPTS / script), *arguments],
        cwd=place,
        env={**os.environ, "PYTHON": str(place / "bin" / "python"), **environment},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


STOPPABLE = "echo on; while :; do sleep 0.05; done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_script_alone_reaches_a_single_job(place, number):
    stand_in(place, "python", f"trap 'echo got TERM; exit 7' TERM; trap 'echo got INT; exit 7' INT; {STOPPABLE}")
    job = start(place, "run_standalone_train_cpu.sh", *TRAIN)
    assert job.stdout.readline() == "on\n"
    job.send_signal(number)
    output, _ = job.communicate(timeout=30)
    assert output == f"got {number.name[3:]}\n" and job.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_mpirun_gets_the_signal_that_it_hands_on_to_its_ranks_and_the_second_time_the_one_that_ends_it(place, number):
    version = '[ "$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit; }'
    stand_in(place, "mpirun", f"{version}\ntrap 'echo got USR1' USR1; trap 'echo got TERM; exit 9' TERM; {STOPPABLE}")
    job = start(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, MPIRUN=str(place / "bin" / "mpirun"))
    assert job.stdout.readline() == "on\n"
    os.killpg(job.pid, number)  # as Ctrl-C does
    assert job.stdout.readline() == "got USR1\n"
    os.killpg(job.pid, number)
    output, _ = job.communicate(timeout=30)
    assert output == "got TERM\n" and job.returncode == 9


def test_a_signal_that_comes_before_the_job_has_its_number_reaches_it():
    early = """case "$BASH_COMMAND" in 'JOB=$!') trap - DEBUG; sleep 0.3; kill -TERM $$; sleep 0.1 ;; esac"""
    script = f"""
set -eu
source scripts/_supervise.sh
early() {{ {early}; }}
SIGNAL_TO_JOB=(send)
set -T
trap early DEBUG
supervise bash -c 'trap "exit 7" TERM; for i in $(seq 100); do sleep 0.05; done'
exit "$JOB_STATUS"
"""
    done = subprocess.run(["bash", "-c", script], cwd=SCRIPTS.parent, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (7, "")


ORIGINAL = {"DEVICE": "cpu", "FAMILY": "pointrend"}
POINTREND = ("0", "val", "record", "model.ckpt")


@pytest.mark.parametrize("step", ["src.data.mindrecord", "src.commands.adopt", "train.py"])
def test_a_signal_to_an_originals_launcher_reaches_the_step_that_runs_and_ends_it(place, step):
    word = "$1" if step == "train.py" else "$2"
    stand_in(place, "python", f"[ \"{word}\" = {step} ] || exit 0; trap 'echo got TERM; exit 7' TERM; {STOPPABLE}")
    job = start(place, "run_standalone_train_gpu.sh", *POINTREND, errors=subprocess.STDOUT, **ORIGINAL)
    while job.stdout.readline() != "on\n":
        assert job.poll() is None
    job.send_signal(signal.SIGTERM)
    output, _ = job.communicate(timeout=30)
    # The launcher's own lines come by another tee than the step's: among these they may stand at any place.
    assert output.splitlines().count("got TERM") == 1 and job.returncode == 7


def test_an_originals_launcher_that_is_killed_takes_its_step_along(place):
    stand_in(place, "python", f'[ "$1" = train.py ] || exit 0; {TRAPS}')
    launcher = start(place, "run_standalone_train_gpu.sh", *POINTREND, errors=subprocess.STDOUT, **ORIGINAL)
    pid = int(next(line for line in launcher.stdout if line.strip().isdigit()))
    launcher.kill()
    output, _ = launcher.communicate(timeout=30)
    assert gone(pid)
    assert sorted(output.splitlines()) == ["error: the launcher was killed; its job is stopped", "got TERM"]


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether the process ends within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


TRAPS = "trap 'echo got USR1; exit 7' USR1; trap 'echo got TERM; exit 7' TERM; echo $$; while :; do sleep 0.05; done"


@pytest.mark.parametrize(
    "script,program,job,word",
    [
        ("run_standalone_train_cpu.sh", "python", TRAIN, "got TERM"),
        ("run_distribute_train_cpu.sh", "mpirun", DISTRIBUTED, "got USR1"),
    ],
)
def test_a_launcher_that_is_killed_takes_its_job_along_with_one_line(place, script, program, job, word):
    stand_in(place, program, f"{VERSION}\n{TRAPS}")
    launcher = start(place, script, *job, MPIRUN=str(place / "bin" / "mpirun"), errors=subprocess.STDOUT)
    pid = int(next(line for line in launcher.stdout if "jemalloc" not in line))
    launcher.kill()
    output, _ = launcher.communicate(timeout=30)
    assert gone(pid)
    assert sorted(output.splitlines()) == ["error: the launcher was killed; its job is stopped", word]


def test_a_launcher_that_is_killed_at_any_moment_leaves_no_job(place):
    noting = f"trap 'exit 7' USR1; echo $$ >>'{place}/pids'; while :; do sleep 0.05; done"
    stand_in(place, "mpirun", f"{VERSION}\n{noting}")
    (place / "pids").touch()  # on a busy machine none may come so far
    named = {"MPIRUN": str(place / "bin" / "mpirun"), "ALLOCATOR": "system"}
    launchers = [start(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, **named) for _ in range(8)]
    for number, launcher in enumerate(launchers):
        time.sleep(0.04)
        (os.killpg if number % 2 else os.kill)(launcher.pid, signal.SIGKILL)
    time.sleep(1)
    assert all(gone(int(pid)) for pid in (place / "pids").read_text().split())


@pytest.mark.slow
def test_a_job_of_several_ranks_that_does_not_stop_is_ended_within_ten_seconds(place):
    deaf = f"{VERSION}\ntrap '' USR1 TERM INT; echo $$; while :; do sleep 0.05; done"
    stand_in(place, "mpirun", deaf)
    launcher = start(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, MPIRUN=str(place / "bin" / "mpirun"))
    pid = int(launcher.stdout.readline())
    launcher.kill()
    assert gone(pid)


def test_who_still_writes_the_last_words_of_a_job_into_a_log_has_a_moment(place):
    late = place / "late.log"
    stand_in(place, "mpirun", f"{VERSION}\n(sleep 1.5; echo words >'{late}'; exec sleep 100) >&- 2>&- & exit 0")
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED)
    assert done.returncode == 0 and late.read_text() == "words\n"


DASHES = "-" * 74
KILLED = f"{DASHES}\\nprterun noticed that process rank 1 with PID 7 on node a exited on\\nsignal 9.\\n{DASHES}"
FAILED = f"{DASHES}\\nPrimary job  terminated normally, but 1 process returned\\na non-zero exit code.\\n{DASHES}"
OTHER = f"{DASHES}\\nThere are not enough slots available\\n{DASHES}"


@pytest.mark.parametrize(
    "said,status,lines",
    [
        (KILLED, 137, ["error: rank 1 was killed by signal 9; its log is in LOGS"]),
        (f"error: no data\\n{FAILED}", 2, ["error: no data"]),
        (f"error: rank 1 has ended\\n{KILLED}", 137, ["error: rank 1 has ended"]),
        (FAILED, 3, ["error: mpirun has ended with status 3; its logs are in LOGS"]),
        (OTHER, 1, OTHER.split("\\n")),
        (DASHES + "\\na" * 40, 0, [DASHES, *"a" * 40]),
    ],
)
def test_what_mpirun_says_of_a_rank_that_failed_is_one_line_where_the_rank_has_not_said_why(place, said, status, lines):
    stand_in(place, "mpirun", f"{VERSION}\nprintf -- '{said}\\n' >&2; exit {status}")
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED)
    (logs,) = (place / "out" / "launch_logs").iterdir()
    found = [line for line in done.stderr.replace(str(logs), "LOGS").splitlines() if "jemalloc" not in line]
    assert done.returncode == status and found == lines and not list(logs.iterdir())


@pytest.mark.parametrize(
    "logs,said,status,lines",
    [
        ({}, "Worker process 5 exit with exception. Error code: -9.", 137, ["error: a rank was killed by signal 9"]),
        ({1: "error: rank 1: bad"}, "Worker process 5 exit with exception. Error code: 2.", 2, ["error: rank 1: bad"]),
        ({0: "error: bad"}, "Worker process 5 exit with exception. Error code: 2.", 2, []),
        ({}, "ValueError: the port is taken", 1, ["error: msrun: ValueError: the port is taken"]),
    ],
)
def test_what_msrun_says_of_a_worker_that_failed_is_one_line_with_the_workers_status(place, logs, said, status, lines):
    writes = "\n".join(f'echo "{text}" >"$folder/worker_{rank}.log"' for rank, text in logs.items())
    stand_in(place, "msrun", f'folder="${{4#*=}}"\n{writes}\necho Traceback >&2; echo "{said}" >&2; exit 1')
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, LAUNCHER="msrun")
    found = [line.split(";")[0] for line in done.stderr.splitlines() if "jemalloc" not in line]
    assert done.returncode == status and found == lines
    assert done.stdout == "".join(f"{text}\n" for rank, text in logs.items() if rank == 0)
