"""The bash launchers with stand-ins for Python, mpirun, msrun and nvidia-smi that print what they were given."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.stand_ins import DISTRIBUTED, SCRIPTS, TRAIN, VERSION, run, stand_in, value

# Those of this project: the originals' name no device, or take what this project's take.
LAUNCHERS = sorted(path.name for path in SCRIPTS.glob("run_*_*.sh") if path.stem.endswith(("_cpu", "_gpu", "_ascend")))


@pytest.mark.parametrize("script", LAUNCHERS)
def test_wrong_numbers_of_arguments_show_the_usage_line(place, script):
    for arguments in ((), ("a",) * 9):
        done = run(place, script, *arguments)
        assert done.returncode == 2 and done.stderr.startswith(f"usage: bash scripts/{script} CONFIG_PATH")
        assert not done.stdout


def test_relative_paths_with_spaces_become_absolute_and_the_job_runs_in_the_repository(place):
    done = run(place, "run_standalone_train_cpu.sh", *TRAIN)
    assert done.returncode == 0, done.stderr
    assert value(done.stdout, "config_path") == str(place / "config.yaml")
    assert value(done.stdout, "train_dataset") == str(place / "train")
    assert value(done.stdout, "train_outputs") == str(place / "out") and value(done.stdout, "brief") == "first"
    assert value(done.stdout, "device_target") == "CPU" and "--pre_trained" not in done.stdout
    assert done.stdout.splitlines()[-1] == str(SCRIPTS.parent)
    (log,) = (place / "out" / "launch_logs").glob("*/standalone.log")
    assert log.read_text() == done.stdout


def test_the_optional_checkpoint_is_passed_on(place):
    done = run(place, "run_standalone_train_cpu.sh", *TRAIN, "model.ckpt")
    assert value(done.stdout, "pre_trained") == str(place / "model.ckpt")


@pytest.mark.parametrize("number,kind", [(0, "no file"), (1, "no folder"), (2, "no folder")])
def test_a_missing_input_is_named_and_nothing_runs(place, number, kind):
    arguments = [*TRAIN]
    arguments[number] = "nowhere"
    done = run(place, "run_standalone_train_cpu.sh", *arguments)
    assert done.returncode == 2 and done.stderr == f"error: {place / 'nowhere'} is {kind}\n" and not done.stdout
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    "script,arguments",
    [
        ("run_standalone_train_cpu.sh", TRAIN),
        ("run_eval_cpu.sh", ("config.yaml", "val", "model.ckpt", "predictions.json")),
        ("run_infer_cpu.sh", ("config.yaml", "model.ckpt", "val", "out.json")),
    ],
)
def test_the_jobs_exit_status_is_passed_on(place, script, arguments):
    assert run(place, script, *arguments, STATUS="3").returncode == 3
    assert run(place, script, *arguments).returncode == 0


def test_evaluation_and_inference_name_their_files(place):
    done = run(place, "run_eval_cpu.sh", "config.yaml", "val", "model.ckpt", "predictions.json")
    assert value(done.stdout, "prediction_path") == str(place / "predictions.json")
    done = run(place, "run_infer_cpu.sh", "config.yaml", "model.ckpt", "val", "out.json")
    assert done.stdout.splitlines()[0] == "infer.py" and value(done.stdout, "pred_output") == str(place / "out.json")


@pytest.mark.parametrize(
    "script,arguments",
    [
        ("run_eval_cpu.sh", ("config.yaml", "val", "model.ckpt")),
        ("run_infer_cpu.sh", ("config.yaml", "model.ckpt", "val", "out.json")),
    ],
)
def test_evaluation_and_inference_write_a_log_of_all_that_they_print(place, script, arguments):
    stand_in(place, "python", 'echo scores; echo "a warning" >&2')
    done = run(place, script, *arguments)
    (log,) = (place / "logs").glob(f"*/{script.split('_')[1]}.log")
    assert done.stdout == "scores\n" and done.stderr.endswith(f"log: {log}\na warning\n")
    assert sorted(log.read_text().splitlines()) == ["a warning", "scores"]
    (place / "file").touch()
    done = run(place, script, *arguments, LAUNCH_LOGS=str(place / "file"))
    assert done.returncode == 0 and done.stdout == "scores\n" and "no log: cannot make the folder" in done.stderr


@pytest.mark.parametrize("device,missing", [("gpu", "GPU"), ("ascend", "Ascend NPU")])
def test_a_machine_without_the_device_is_told_the_script_for_the_cpu(place, device, missing):
    stand_in(place, "nvidia-smi", "exit 9")
    done = run(place, f"run_standalone_train_{device}.sh", *TRAIN)
    assert done.returncode == 2 and f"no {missing} found" in done.stderr
    assert "'bash scripts/run_standalone_train_cpu.sh' takes the same arguments" in done.stderr


def test_the_device_comes_from_the_environment(place):
    stand_in(place, "nvidia-smi", "exit 0")
    done = run(place, "run_standalone_train_gpu.sh", *TRAIN, DEVICE_ID="5")
    assert value(done.stdout, "device_id") == "5" and value(done.stdout, "device_target") == "GPU"


def test_a_python_without_mindspore_is_said(place):
    stand_in(place, "python3", "exit 1")
    done = run(place, "run_standalone_train_cpu.sh", *TRAIN, PYTHON="", VENV=str(place / "none"))
    assert done.returncode == 2 and "python3 has no MindSpore: name another Python by PYTHON or VENV" in done.stderr


MPIRUN = """[ "$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit; }
printf "%s\\n" mpirun "$@"; echo "RANK_TABLE_FILE=${RANK_TABLE_FILE:-}"; exit "${STATUS:-0}\""""


def test_several_processes_go_through_mpirun_with_a_log_for_each(place):
    stand_in(place, "mpirun", MPIRUN)
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, HOSTFILE="hosts", STATUS="4")
    words = done.stdout.splitlines()
    assert done.returncode == 4 and words[:3] == ["mpirun", "-n", "2"]
    assert words[words.index("--hostfile") + 1] == str(place / "hosts")
    logs = Path(words[words.index(str(SCRIPTS / "_rank.sh")) + 1])
    assert logs.parent == place / "out" / "launch_logs" and logs.is_dir()
    assert value(done.stdout, "run_distribute") == "1" and value(done.stdout, "device_num") == "2"
    stand_in(place, "nvidia-smi", "exit 0")
    done = run(place, "run_distributed_training_gpu.sh", *DISTRIBUTED[:-1], "model.ckpt")
    assert value(done.stdout, "brief") == "distributed" and value(done.stdout, "pre_trained").endswith("model.ckpt")


def test_mindspores_own_launcher_can_be_chosen(place):
    stand_in(place, "msrun", 'printf "%s\\n" msrun "$@"')
    words = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, LAUNCHER="msrun").stdout.splitlines()
    assert words[:3] == ["msrun", "--worker_num=2", "--local_worker_num=2"] and "--join=True" in words


def test_a_number_of_devices_that_is_none_is_said(place):
    done = run(place, "run_distribute_train_cpu.sh", "config.yaml", "two", *TRAIN[1:])
    assert done.returncode == 2 and "DEVICE_NUM must be a number from 1 on, not 'two'" in done.stderr


def test_absolute_paths_are_taken_as_they_are(place):
    arguments = [str(place / name) for name in TRAIN[:4]]
    done = run(place, "run_standalone_train_cpu.sh", *arguments, "first")
    assert done.returncode == 0 and value(done.stdout, "val_dataset") == str(place / "val")


def test_a_python_named_by_a_relative_path_is_found(place):
    done = run(place, "run_eval_cpu.sh", "config.yaml", "val", "model.ckpt", PYTHON="bin/python")
    assert done.returncode == 0, done.stderr
    done = run(place, "run_eval_cpu.sh", "config.yaml", "val", "model.ckpt", PYTHON="", VENV=".")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", [name for name in LAUNCHERS if name.endswith("_gpu.sh")])
def test_the_script_for_the_cpu_that_is_named_exists(place, script):
    stand_in(place, "nvidia-smi", "exit 9")
    arguments = {
        "run_eval_gpu.sh": ("config.yaml", "val", "model.ckpt"),
        "run_infer_gpu.sh": ("config.yaml", "model.ckpt", "val", "out.json"),
        "run_standalone_train_gpu.sh": TRAIN,
        "run_standalone_training_gpu.sh": TRAIN,
        "run_distribute_train_gpu.sh": DISTRIBUTED,
        "run_distributed_training_gpu.sh": DISTRIBUTED[:-1],
    }[script]
    done = run(place, script, *arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert (SCRIPTS / done.stderr.split("'bash scripts/")[1].split("'")[0]).is_file()


def test_the_last_words_after_ctrl_c_are_shown_and_logged(place):
    stand_in(place, "python", "trap 'echo saved; exit 7' INT; echo on; while :; do sleep 0.05; done")
    command = ["bash", str(SCRIPTS / "run_standalone_train_cpu.sh"), *TRAIN]
    settings = {**os.environ, "PYTHON": str(place / "bin" / "python")}
    job = subprocess.Popen(
        command,
        cwd=place,
        env=settings,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that run in the background ignore SIGINT, and their children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert job.stdout.readline() == "on\n"
    os.killpg(job.pid, signal.SIGINT)
    output, _ = job.communicate(timeout=30)
    assert output == "saved\n"
    (log,) = (place / "out" / "launch_logs").glob("*/standalone.log")
    assert log.read_text() == "on\nsaved\n"


def test_a_missing_or_foreign_mpirun_is_one_line_and_leaves_no_folder(place):
    stand_in(place, "mpirun", "echo HYDRA build details:")
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED)
    assert done.returncode == 2 and done.stderr == f"error: {place / 'bin' / 'mpirun'} is not Open MPI's\n"
    (place / "bin" / "mpirun").unlink()
    for tool in ("bash", "basename", "date", "dirname", "id", "mkdir", "realpath"):
        (place / "bin" / tool).symlink_to(shutil.which(tool))
    settings = {"PATH": str(place / "bin"), "PYTHON": str(place / "bin" / "python")}
    command = ["bash", str(SCRIPTS / "run_distribute_train_cpu.sh"), *DISTRIBUTED]
    done = subprocess.run(command, cwd=place, env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("error: mpirun not found")
    assert not (place / "out").exists()


def test_a_missing_hostfile_and_an_unknown_launcher_are_named(place):
    stand_in(place, "mpirun", MPIRUN)
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, HOSTFILE="nowhere")
    assert done.returncode == 2 and done.stderr == f"error: {place / 'nowhere'} is no file\n"
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, LAUNCHER="srun")
    assert done.returncode == 2 and "not 'srun'" in done.stderr
    assert not (place / "out").exists()


def test_the_rank_table_reaches_the_ranks_on_every_machine(place):
    stand_in(place, "mpirun", MPIRUN)
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, RANK_TABLE_FILE="hosts", HOSTFILE="hosts")
    words = done.stdout.splitlines()
    assert f"RANK_TABLE_FILE={place / 'hosts'}" in words
    assert words[words.index("RANK_TABLE_FILE") - 1] == "-x"


def test_msrun_starts_the_python_that_was_named(place):
    environment = place / "environment" / "bin"
    environment.mkdir(parents=True)
    shutil.copy(place / "bin" / "python", environment / "python")
    stand_in(place, "msrun", 'command -v python; exit "${STATUS:-0}"')
    done = run(
        place,
        "run_distribute_train_cpu.sh",
        *DISTRIBUTED,
        LAUNCHER="msrun",
        PYTHON=str(environment / "python"),
        STATUS="5",
    )
    assert done.returncode == 5 and done.stdout == f"{environment / 'python'}\n"


def test_keys_after_the_arguments_reach_the_command(place):
    done = run(place, "run_eval_cpu.sh", "config.yaml", "val", "model.ckpt", "--img_width", "64")
    assert done.returncode == 0 and value(done.stdout, "img_width") == "64" and "--prediction_path" not in done.stdout
    stand_in(place, "mpirun", MPIRUN)
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, "model.ckpt", "--resume", "1")
    assert value(done.stdout, "resume") == "1" and value(done.stdout, "pre_trained").endswith("model.ckpt")
    stand_in(place, "nvidia-smi", "exit 0")
    done = run(place, "run_distributed_training_gpu.sh", *DISTRIBUTED[:-1], "--resume", "1")
    assert value(done.stdout, "brief") == "distributed" and value(done.stdout, "resume") == "1"


def test_the_environments_own_mpirun_goes_before_the_machines(place):
    stand_in(place, "mpirun", MPIRUN.replace('mpirun "$@"', 'theirs "$@"'))
    environment = place / "environment" / "bin"
    environment.mkdir(parents=True)
    for name in ("python", "mpirun"):
        shutil.copy(place / "bin" / name, environment / name)
    own = environment / "mpirun"
    own.write_text(own.read_text().replace("theirs", "own"))
    python = str(environment / "python")
    assert run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, PYTHON=python).stdout.startswith("own\n")
    machines = str(place / "bin" / "mpirun")
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, PYTHON=python, MPIRUN=machines)
    assert done.stdout.startswith("theirs\n")


def test_machines_are_reached_without_questions_unless_the_user_says_how(place):
    stand_in(place, "mpirun", f'{VERSION}\necho "args $OMPI_MCA_plm_rsh_args"')
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, HOSTFILE="hosts")
    assert "args -o BatchMode=yes -o ConnectTimeout=10" in done.stdout
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, HOSTFILE="hosts", OMPI_MCA_plm_rsh_args="-v")
    assert "args -v\n" in done.stdout
    done = run(place, "run_distribute_train_cpu.sh", *DISTRIBUTED, HOSTFILE="hosts", PRTE_MCA_plm_ssh_agent="/bin/x")
    assert "args \n" in done.stdout


def test_a_rank_has_a_log_of_its_own_and_the_terminal_gets_rank_0_and_all_errors(place):
    outputs = []
    for rank in ("0", "1"):
        command = ["bash", str(SCRIPTS / "_rank.sh"), "logs/new", "bash", "-c", "echo said; echo wrong >&2; exit 5"]
        settings = {**os.environ, "OMPI_COMM_WORLD_RANK": rank}
        done = subprocess.run(command, cwd=place, env=settings, capture_output=True, text=True, timeout=30)
        assert done.returncode == 5
        outputs.append((done.stdout, done.stderr))
        assert sorted((place / "logs" / "new" / f"rank_{rank}.log").read_text().split()) == ["said", "wrong"]
    assert outputs == [("said\n", "wrong\n"), ("", "wrong\n")]


def test_the_gpu_check_names_every_library_that_ldd_does_not_find():
    environment = {name: setting for name, setting in os.environ.items() if name != "LD_LIBRARY_PATH"}
    command = ["bash", str(SCRIPTS / "check_gpu.sh")]
    settings = {**environment, "PYTHON": sys.executable}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60)
    plugin = Path(mindspore_folder()) / "lib" / "plugin" / "libmindspore_gpu.so.11.6"
    listed = subprocess.run(["ldd", str(plugin)], env=environment, capture_output=True, text=True).stdout
    expected = {line.split()[0] for line in listed.splitlines() if "not found" in line} - {"libcuda.so.1"}
    first = done.stdout.split("libcuda_ops.so.11 needs:")[0]
    found_beside_python = "/lib/cuda11/lib/" in first
    missing = {line.split()[0] for line in first.splitlines() if line.endswith("MISSING")}
    assert missing == (set() if found_beside_python else expected)
    assert done.returncode == (1 if "MISSING" in done.stdout else 0)


def mindspore_folder() -> str:
    return importlib.util.find_spec("mindspore").submodule_search_locations[0]
