"""Pictures of what the network says of a few held-out images, so that one sees it learn."""

import logging

from ...data.images import write_picture
from ...errors import UserError
from ...files import sweep
from ..run import Epoch, Hook, Run

logger = logging.getLogger(__name__)

FOLDER = "pictures"  # in that of the run


class SamplePictures(Hook):
    """After each evaluation `pictures/epoch_EEEE/NAME.jpg` of `count` images, the same ones each time, with the weights
    that were evaluated; on rank 0. The hooks behind this one find them in the epoch.
    """

    def __init__(self, count: int):
        self.count, self.draw = count, None

    def on_start(self, run: Run, state) -> None:
        if run.process.is_main and (run.owes_epoch or not run.finished):
            for folder in (run.experiment.folder / FOLDER).glob("epoch_*"):
                sweep(folder)  # of a run that was killed
            self.draw = run.task.sample_pictures(run.cfg, self.count)

    def on_epoch(self, run: Run, epoch: Epoch) -> None:
        if not epoch.metrics or self.draw is None:
            return
        folder = run.experiment.folder / FOLDER / f"epoch_{epoch.number:04d}"
        run.model.set_train(False)
        with run.step.averaged():
            epoch.pictures.update(self.draw(run.model))
        run.model.set_train(True)
        try:
            for name, picture in epoch.pictures.items():
                write_picture(folder / f"{name}.jpg", picture)
        except UserError as error:  # a run does not end over it
            logger.warning("%s", error)
