"""The training states that a run can go on from."""

from ..run import Epoch, Hook, Run


class Checkpoints(Hook):
    """A checkpoint every `every` steps of an epoch, at its end, and at the end of the run, a stopped one's too.

    epochs: instead every so many epochs of the schedule, fractions too, in whole steps rounded down (as the MindSpore
    originals count), and at the end of the run.
    Written when all hooks have heard of the step, so that it holds their states after it. Where they have any, the one
    of an epoch's end is written once more when all have heard of the epoch.
    """

    def __init__(self, every: int, epochs: float = 0.0):
        self.every, self.epochs = every, epochs

    def on_step(self, run: Run, losses) -> None:
        run.put_off(lambda: self._save_if_due(run))

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        run.put_off(lambda: self._save_again(run))

    def _save_again(self, run: Run) -> None:
        if run.hook_states() and self._is_due(run):  # a hook may have ended the run
            save_state(run)

    def _save_if_due(self, run: Run) -> None:
        if self._is_due(run):
            save_state(run)
            run.process.barrier()

    def _is_due(self, run: Run) -> bool:
        if not self.epochs:
            return run.is_due(self.every)
        every = max(int(self.epochs * run.schedule.steps_per_epoch), 1)
        return run.done % every == 0 or run.finished or bool(run.stopping)


def save_state(run: Run) -> None:
    """Write the state after the step just done (on rank 0)."""
    run.fetch_rows()  # no state after a bad step is ever written
    if run.process.is_main:
        position = run.epoch, run.step_of_epoch
        run.experiment.checkpoints.save(run.step, run.model, position, run.states_to_keep())
