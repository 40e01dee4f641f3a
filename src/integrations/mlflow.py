"""A run in MLflow: parameters, losses of every step, metrics of every evaluation, the run's files.

Everything that talks to the tracking server happens in a thread of its own behind a bounded queue: a server that is
slow, dead or full costs the training nothing but this log.
"""

import importlib.util
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..config import Config, to_dict
from ..errors import UserError
from ..files import write_text
from ..process import runtime
from ..reading import read_json

logger = logging.getLogger(__name__)

RUN_FILE = "mlflow.json"  # in the experiment's folder: the run to go on with after a resume
MOST_BYTES = 2**16  # of that file
ARTIFACTS = ("config.yaml", "train.log", "losses.csv", "losses.png", "metrics.csv", "metrics.png")
QUEUE_SIZE = 1000  # messages; further ones are dropped while the server does not keep up
PAUSE = 30.0  # seconds before a server that failed is tried again
TIMEOUT = 5  # seconds that one request may take
CLOSE_WAIT = 60.0  # seconds that the end of a run waits for a server that works
MOST_METRICS, MOST_PARAMS, LONGEST_PARAM = 1000, 100, 500  # of one request; servers refuse more
DEFAULTS = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # MLflow 3 refuses a plain folder otherwise
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(TIMEOUT),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
POSITION = ("epoch", "step", "global_step")  # columns that say where a row belongs
Job = Callable[[object, str], None]  # (client, run id)


class MlflowRecord:
    """Takes down one run; its methods return at once (`close` within a minute) and never raise.

    UserError if the package is not there.
    """

    def __init__(self, cfg: Config, folder: Path):
        if importlib.util.find_spec("mlflow") is None:
            raise UserError("mlflow is switched on, but the package is missing: pip install mlflow-skinny")
        runtime.set_defaults(DEFAULTS)
        from mlflow.environment_variables import MLFLOW_TRACKING_URI

        self.uri = (
            cfg.mlflow_uri or MLFLOW_TRACKING_URI.get() or (Path(cfg.train_outputs) / "mlruns").resolve().as_uri()
        )
        self.experiment_name, self.folder = cfg.mlflow_experiment, folder
        self.params = _flatten(to_dict(cfg))
        self.client, self.run_id = None, ""
        self.failing, self.dropped = False, 0
        self._jobs: queue.Queue[Job | None] = queue.Queue(QUEUE_SIZE)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()
        self._put(lambda client, run_id: None)  # connects

    def write_losses(self, rows: Sequence[dict[str, float]]) -> None:
        """Rows of losses.csv."""
        self._put_metrics([(row, "") for row in rows])

    def write_metrics(self, row: dict[str, float], best: Path | None) -> None:
        """A row of metrics.csv, and the best checkpoint so far."""
        self._put_metrics([(row, "eval/")])
        if best:
            self._put(lambda client, run_id: client.set_tag(run_id, "best_checkpoint", str(best.resolve())))

    def close(self, error: BaseException | None) -> None:
        """The run is over; `error` is what ended it early."""
        status = "FINISHED"
        if error is not None:
            status = "KILLED" if isinstance(error, SystemExit | KeyboardInterrupt) else "FAILED"
        self._closing.set()
        last: list[Job | None] = [lambda client, run_id: self._finish(client, run_id, status), None]
        for job in last:
            while not self._put(job, count=False):
                self._jobs.get()
        self._thread.join(2 * TIMEOUT + 1 if self.failing else CLOSE_WAIT)
        if self.dropped:
            logger.warning("MLflow at %s: %d messages of this run were not logged", self.uri, self.dropped)

    def _put_metrics(self, rows: list[tuple[dict[str, float], str]]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [
            Metric(prefix + name, value, now, int(row["global_step"]))
            for row, prefix in rows
            for name, value in row.items()
            if name not in POSITION
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            part = metrics[start : start + MOST_METRICS]
            self._put(lambda client, run_id, part=part: client.log_batch(run_id, metrics=part))

    def _put(self, job: Job | None, count: bool = True) -> bool:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.dropped += count
            return False
        return True

    def _work(self) -> None:
        given_up = False
        while (job := self._jobs.get()) is not None:
            if given_up and self._jobs.qsize() > 1:  # only the last word is tried once more
                self.dropped += 1
                continue
            try:
                if not self.run_id:
                    self._connect()
                job(self.client, self.run_id)
            except Exception as error:  # whatever an optional service raises, the training goes on
                self._say_failure(error)
                self.dropped += 1
                given_up = self._closing.is_set()
                self._closing.wait(PAUSE)
            else:
                if self.failing:
                    logger.info("MLflow at %s works again", self.uri)
                self.failing = False

    def _say_failure(self, error: Exception) -> None:
        if not self.failing:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            logger.warning("MLflow at %s fails (%.200s): training goes on without it", self.uri, reason)
        self.failing = True

    def _connect(self) -> None:
        """Find or start the run, and log the parameters of a new one."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        client = MlflowClient(tracking_uri=self.uri)
        run_id = self._known_run()
        if run_id:
            client.update_run(run_id, status="RUNNING")
        else:
            experiment = client.get_experiment_by_name(self.experiment_name)
            owner = experiment.experiment_id if experiment else client.create_experiment(self.experiment_name)
            run_id = client.create_run(owner, run_name=self.folder.name).info.run_id
            params = [Param(name, value[:LONGEST_PARAM]) for name, value in self.params.items()]
            for start in range(0, len(params), MOST_PARAMS):
                client.log_batch(run_id, params=params[start : start + MOST_PARAMS])
            write_text(self.folder / RUN_FILE, json.dumps({"uri": self.uri, "run_id": run_id}))
        self.client, self.run_id = client, run_id

    def _known_run(self) -> str:
        try:
            known = read_json(self.folder / RUN_FILE, MOST_BYTES)
        except UserError:
            return ""
        if not isinstance(known, dict):
            return ""
        return known.get("run_id", "") if known.get("uri") == self.uri else ""

    def _finish(self, client, run_id: str, status: str) -> None:
        for name in ARTIFACTS:
            if (self.folder / name).is_file():
                client.log_artifact(run_id, str(self.folder / name))
        client.set_terminated(run_id, status)


def _flatten(values: dict, prefix: str = "") -> dict[str, str]:
    """{"a": {"b": 1}} -> {"a.b": "1"}."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: str(value)}
    return flat
