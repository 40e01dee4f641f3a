"""Jobs that die and are started again by their launcher, MAX_RESTARTS times at most."""

import os
import signal
import time

import pytest

from tests.scripts.stand_ins import DISTRIBUTED, TRAIN, VERSION, run, stand_in
from tests.scripts.test_ended_launchers import start

# Says its words after train.py's own, notes the attempt, and ends with STATUSES' word of that number. What the helper
# that looks for the run says is PLACE.
JOB = """
case "$1" in scripts/started_run.py) echo "$PLACE"; exit ;; esac
echo x >>attempts.txt; n=$(wc -l <attempts.txt); statuses=($STATUSES)
echo "attempt $n: ${*: -2}"
[ "${statuses[n - 1]}" != killed ] || kill -KILL $$
exit "${statuses[n - 1]}"
"""
SINGLE = "run_standalone_train_cpu.sh"


@pytest.fixture(autouse=True)
def job(place):
    stand_in(place, "python", f"cd '{place}'\n{JOB}")


@pytest.mark.parametrize("statuses,status", [("killed 0", 0), ("1 7", 7), ("killed 2 0", 2), ("killed 143 0", 143)])
def test_a_job_that_dies_is_started_again_from_its_run(place, statuses, status):
    done = run(place, SINGLE, *TRAIN, STATUSES=statuses, MAX_RESTARTS="1" if status == 7 else "5", PLACE="1")
    assert done.returncode == status
    assert done.stdout.count("attempt") == 2 and "attempt 2: --resume 1" in done.stdout
    first = "137" if "killed" in statuses else "1"
    assert f"the job has died with status {first}: restart 1 of " in done.stderr
    assert "from its newest checkpoint" in done.stderr and "restart 2" not in done.stderr
    (log,) = place.glob("out/launch_logs/*/standalone.log")
    assert "restart 1 of " in log.read_text() and "attempt 2" in log.read_text()


def test_before_there_is_anything_it_starts_anew(place):
    done = run(place, SINGLE, *TRAIN, STATUSES="9 0", MAX_RESTARTS="1", PLACE="")
    assert done.returncode == 0 and "--resume" not in done.stdout
    assert "restart 1 of 1, anew, since there is nothing of it yet" in done.stderr


@pytest.mark.parametrize("status", ["2", "130", "143"])
def test_wrong_input_and_an_orderly_stop_are_no_deaths(place, status):
    done = run(place, SINGLE, *TRAIN, STATUSES=f"{status} 0", MAX_RESTARTS="3", PLACE="1")
    assert done.returncode == int(status) and done.stdout.count("attempt") == 1


def test_nothing_is_started_again_unless_it_is_asked_for(place):
    done = run(place, SINGLE, *TRAIN, STATUSES="1 0", PLACE="1")
    assert done.returncode == 1 and done.stdout.count("attempt") == 1


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "99999"])
@pytest.mark.parametrize("script,arguments", [(SINGLE, TRAIN), ("run_distribute_train_cpu.sh", DISTRIBUTED)])
def test_a_number_that_is_none_is_refused_in_one_line(place, value, script, arguments):
    stand_in(place, "mpirun", VERSION)
    done = run(place, script, *arguments, MAX_RESTARTS=value, MPIRUN=str(place / "bin" / "mpirun"))
    assert done.returncode == 2 and not (place / "attempts.txt").exists()
    assert done.stderr == f"error: MAX_RESTARTS must be a number from 0 to 9999, not '{value}'\n"


def test_ranks_are_started_again_with_logs_of_their_own(place):
    stand_in(place, "mpirun", f'{VERSION}\ncd "{place}"\n{JOB}')
    more = {"STATUSES": "137 1 0", "MAX_RESTARTS": "2", "PLACE": "1", "MPIRUN": str(place / "bin" / "mpirun")}
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, "--lr", "1", **more)
    assert done.returncode == 0
    assert done.stdout == "attempt 1: --lr 1\nattempt 2: --resume 1\nattempt 3: --resume 1\n"
    (logs,) = place.glob("out/launch_logs/*")
    assert sorted(p.name for p in logs.iterdir()) == [".started", "restart_1", "restart_2", "restarts.log"]
    assert [line.split(",")[0] for line in (logs / "restarts.log").read_text().splitlines()] == [
        "the job has died with status 137: restart 1 of 2",
        "the job has died with status 1: restart 2 of 2",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_dies_of_a_signal_to_the_script_is_left_alone(place, number):
    stand_in(place, "python", "trap 'exit 1' TERM INT; echo on; while :; do sleep 0.05; done")
    process = start(place, SINGLE, *TRAIN, MAX_RESTARTS="3")
    assert process.stdout.readline() == "on\n"
    os.killpg(process.pid, number)
    assert process.communicate(timeout=30)[0] == "" and process.returncode == 1


def test_the_place_to_go_on_from_is_the_jobs_own_run(tmp_path):
    from scripts.started_run import value

    (tmp_path / "c.yaml").write_text(f"train_outputs: {tmp_path}/out\nbrief: mine\n")
    old, stamp = tmp_path / "out" / "250101_any_mine", tmp_path / "stamp"
    (old / "ckpt").mkdir(parents=True)
    (old / "losses.csv").touch()
    time.sleep(0.02)
    stamp.touch()
    words = ["--config_path", str(tmp_path / "c.yaml")]
    assert value(stamp, words) == ""  # yesterday's run of the same name is none of this job's
    assert value(stamp, [*words, "--resume", "1"]) == "1"
    assert value(stamp, [*words, "--resume", str(old)]) == str(old)
    assert value(stamp, [*words, "--resume", str(old / "ckpt" / "epoch_0001_step_0000001.ckpt")]) == str(old)
    time.sleep(0.02)
    new = tmp_path / "out" / "250102_any_mine"
    new.mkdir()
    assert value(stamp, words) == ""
    (new / "losses.csv").touch()
    assert value(stamp, words) == "1"
    assert value(stamp, [*words, "--brief", "other"]) == ""
