"""One training step as one compiled graph: forward, backward, guard, accumulation, clipping, update."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.ops import functional as F

from ..ops.all_finite import AllFinite
from . import norms
from .loss_scale import OVERFLOW, DynamicLossScale, ScaleSettings

_divide = ops.MultitypeFuncGraph("divide")
_add_to = ops.MultitypeFuncGraph("add_to")
_clear = ops.MultitypeFuncGraph("clear")
_scaled = ops.MultitypeFuncGraph("scaled")
_copy = ops.MultitypeFuncGraph("copy")
_put_back = ops.MultitypeFuncGraph("put_back")
_blend = ops.MultitypeFuncGraph("blend")
_clip = ops.MultitypeFuncGraph("clip")


@_divide.register("Number", "Tensor")
def _divide_tensor(divisor, gradient):
    return gradient / divisor


@_divide.register("Tensor", "Tensor")
def _divide_by_tensor(divisor, gradient):
    return gradient / divisor


@_add_to.register("Tensor", "Tensor")
def _add_to_parameter(total, gradient):
    return ops.assign_add(total, gradient)


@_clear.register("Tensor")
def _clear_parameter(parameter):
    return ops.assign(parameter, ops.zeros_like(parameter))


@_scaled.register("Tensor", "Tensor")
def _scaled_tensor(factor, gradient):
    return gradient * factor


@_copy.register("Tensor")
def _copy_tensor(parameter):
    return parameter * 1.0


@_put_back.register("Tensor", "Tensor")
def _put_back_tensor(parameter, value):
    return ops.assign(parameter, value)


@_blend.register("Tensor", "Tensor", "Tensor")
def _blend_parameters(share, average, value):
    return ops.assign_add(average, (value - average) * share)


@_clip.register("Number", "Tensor")
def _clip_tensor(limit, gradient):
    norm = ops.sqrt((gradient * gradient).sum())
    return gradient * limit / ops.maximum(norm, limit)


@dataclass(frozen=True)
class StepSettings:
    """loss_scale: the loss is multiplied by it before the backward pass and the gradients divided by it.

    grad_clip: largest norm of the gradients of an update, all together or, with `clip_each`, each tensor's own; 0 for
        no clipping.
    accumulate: batches whose mean gradient makes one update: those up to step `accumulate`, up to twice that, ... A
        window that has fewer steps is divided by as many as it has: the first of a run that starts within one, and the
        last of the schedule, which ends with step `last_step`.
    ema_decay: keeps a moving average of all weights and statistics, see `TrainStep.averaged`; 0 keeps none. Update n
        (from 0) decays by at most (1 + n) / (10 + n), so that a short run does not average its first weights for ever.
    portable: see `AllFinite`.
    norms: the step returns behind the losses what `norms.NAMES` names, of the last update.
    dynamic: a loss scale that finds its own size takes the place of loss_scale.
    """

    loss_scale: float = 1.0
    grad_clip: float = 0.0
    accumulate: int = 1
    ema_decay: float = 0.0
    last_step: int = 0
    portable: bool = False
    clip_each: bool = False
    norms: bool = False
    dynamic: ScaleSettings | None = None


class TrainStep(nn.Cell):
    """Calls `model(*inputs)` in training mode, which returns a tuple of losses, and minimises their sum.

    size: ranks; gradients, and the losses that are returned, are averaged over them. All ranks hear in the same step
        that one of them wishes to stop, see `ask_to_stop`.

    A batch whose loss or gradients are not finite makes no update: weights, optimizer, pending gradients, moving
    average and the running statistics of the model's batch normalisations stay. `bad_step` keeps the number of the
    first one (from 1), or 0. The host looks at it when it fetches losses, so that no step waits for the host; a run
    must end there and go on from an earlier state.

    With a dynamic loss scale such a batch is passed over and halves the scale; the learning rates go on with the
    batches. A window of `accumulate` batches is divided by those of it that were finite; one that has none makes no
    update. `bad_step` keeps the first step with which there were too many of them in a row. `row_names` names the
    numbers that `construct` returns behind the losses: `figures` (norms), then the scale of the step, and 1.0 where it
    was passed over.
    """

    def __init__(self, model: nn.Cell, optimizer: nn.Optimizer, settings: StepSettings = StepSettings(), size: int = 1):
        super().__init__(auto_prefix=False)
        self.model = model
        self.optimizer = optimizer
        self.weights = optimizer.parameters
        self.loss_scale = settings.loss_scale
        self.figures = norms.NAMES if settings.norms else ()
        self.scaler, self.row_names = None, self.figures
        if settings.dynamic is not None:
            self.scaler, self.row_names = DynamicLossScale(settings.dynamic), (*self.figures, "loss_scale", OVERFLOW)
            self.one_update = Tensor([1], mstype.int32)
        self.grad_clip = settings.grad_clip
        self.clip_each = settings.clip_each
        self.accumulate = settings.accumulate
        self.step = Parameter(Tensor(0, mstype.int32), name="step", requires_grad=False)
        self.bad_step = Parameter(Tensor(0, mstype.int32), name="bad_step", requires_grad=False)
        self.pending = ()
        if settings.accumulate > 1:
            self.pending = self.weights.clone(prefix="pending", init="zeros")
            self.window = Parameter(Tensor(0, mstype.int32), name="window", requires_grad=False)
            self.last_step = settings.last_step
        self.statistics = ParameterTuple(_running_statistics(model))
        self.ema_decay = settings.ema_decay
        self.tracked, self.ema = (), ()
        if settings.ema_decay > 0:
            self.tracked = ParameterTuple(model.get_parameters())
            self.ema = self.tracked.clone(prefix="ema", init="same")
            self.updates = Parameter(Tensor(0, mstype.int32), name="updates", requires_grad=False)
        if self.figures:
            self.grad_norm = Parameter(Tensor(0.0, mstype.float32), name="grad_norm", requires_grad=False)
            self.weight_norm = Parameter(Tensor(0.0, mstype.float32), name="weight_norm", requires_grad=False)
        self.is_distributed = size > 1
        if self.is_distributed:
            self.reducer = nn.DistributedGradReducer(self.weights, mean=True, degree=size)
            self.all_reduce = ops.AllReduce()
            self.size = size
            self.stop_wish = Parameter(Tensor(0.0, mstype.float32), name="stop_wish", requires_grad=False)
            self.stop_votes = Parameter(Tensor(0.0, mstype.float32), name="stop_votes", requires_grad=False)
        self.map = ops.HyperMap()
        self.divisor = settings.loss_scale * settings.accumulate
        self.all_finite = AllFinite(settings.portable)
        self.gradient = ops.value_and_grad(self._forward, None, self.weights, has_aux=True)

    def construct(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """One batch; returns the losses (their mean over the ranks), and behind them what `row_names` names."""
        scale = self.loss_scale
        if self.scaler is not None:
            scale = self.scaler.scale * 1.0  # a tensor of its own: the parameter changes with the step
        statistics = self.map(_copy, self.statistics)
        (total, losses), gradients = self.gradient(*inputs)
        if self.scaler is not None:
            gradients = self.map(F.partial(_divide, scale * self.accumulate), gradients)
        elif self.divisor != 1:
            gradients = self.map(F.partial(_divide, self.divisor), gradients)
        if self.is_distributed:
            gradients = self.reducer(gradients)
            total, losses = self._average(total, losses)
        finite = ops.logical_and(self.all_finite(gradients), ops.isfinite(total))
        step = self.step + 1
        ops.assign(self.step, step)
        if finite:
            self._update(gradients, step)
        else:
            self.map(_put_back, self.statistics, statistics)
            if self.scaler is not None:
                self._pass_over(step)
            elif self.bad_step == 0:
                ops.assign(self.bad_step, step)
        if self.figures:
            losses = (*losses, self.grad_norm * 1.0, self.weight_norm * 1.0)
        if self.scaler is None:
            return losses
        too_many = ops.logical_and(self.scaler(finite), self.bad_step == 0)
        ops.assign(self.bad_step, ops.where(too_many, step, self.bad_step * 1).astype(mstype.int32))
        return losses + (scale, ops.logical_not(finite).astype(mstype.float32))

    def ask_to_stop(self, wish: bool = True) -> None:
        """Let the other ranks know, within the next step, that this one wishes to stop (or does so no more)."""
        if self.is_distributed:
            self.stop_wish.set_data(Tensor(float(wish), mstype.float32))

    def stop_is_asked(self) -> bool:
        """Whether some rank had asked to stop when the last step began: the same on every rank."""
        return self.is_distributed and float(self.stop_votes.asnumpy()) > 0

    def start_at(self, done: int) -> None:
        """Go on as if `done` batches had been seen: position in the schedule and step number."""
        self.step.set_data(Tensor(done, mstype.int32))
        self.go_on_from(done)

    def go_on_from(self, done: int) -> None:
        """Take the place in the schedule that follows `done` batches, with whatever was loaded for the rest."""
        if self.accumulate > 1 and int(self.window.asnumpy()) < 0:  # a state of before does not say it
            self.window.set_data(Tensor(done % self.accumulate, mstype.int32))
        self.optimizer.global_step.set_data(Tensor([done // self.accumulate], self.optimizer.global_step.dtype))

    def start_average(self) -> None:
        """Let the moving average begin with the weights of now."""
        for parameter, average in zip(self.tracked, self.ema):
            average.set_data(Tensor(parameter.asnumpy()))

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """While active, the model holds the moving average (nothing changes where none is kept)."""
        own = [parameter.asnumpy().copy() for parameter in self.tracked]
        overwrite(self.tracked, (average.asnumpy() for average in self.ema))
        try:
            yield
        finally:
            overwrite(self.tracked, own)

    def _forward(self, *inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        losses = self.model(*inputs)
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        scale = self.loss_scale if self.scaler is None else self.scaler.scale
        return total * scale, losses

    def _average(self, total: Tensor, losses: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Means over the ranks, and the votes to stop, by one sum over them."""
        wish = self.stop_wish * 1.0  # PyNative mode stacks no parameter beside tensors
        sums = self.all_reduce(ops.stack((total, wish, *losses)))
        ops.assign(self.stop_votes, sums[1])
        means = ()
        for k in range(len(losses)):
            means = means + (sums[k + 2] / self.size,)
        return sums[0], means

    def _update(self, gradients: tuple[Tensor, ...], step: Tensor) -> bool:
        if self.accumulate == 1:
            return self._apply(gradients)
        self.map(_add_to, self.pending, gradients)
        window = self.window + 1
        ops.assign(self.window, window)
        if self._ends_window(step):
            self._apply_pending(window)
        return True

    def _pass_over(self, step: Tensor) -> bool:
        """What is due after a batch that makes no update itself: the window that it ends, the rates' next place."""
        if self.accumulate == 1:
            ops.assign_add(self.optimizer.global_step, self.one_update)
        elif self._ends_window(step):
            window = self.window * 1
            if window > 0:
                self._apply_pending(window)
            else:
                ops.assign_add(self.optimizer.global_step, self.one_update)
        return True

    def _ends_window(self, step: Tensor) -> Tensor:
        return ops.logical_or(step % self.accumulate == 0, step == self.last_step)

    def _apply_pending(self, window: Tensor) -> bool:
        """Update by the mean of `window` batches' gradients, each of which is divided by `accumulate` already."""
        missing = self.accumulate / window.astype(mstype.float32)
        self._apply(self.map(F.partial(_scaled, missing), self.pending))
        self.map(_clear, self.pending)
        ops.assign(self.window, 0)
        return True

    def _apply(self, gradients: tuple[Tensor, ...]) -> bool:
        if self.figures:
            ops.assign(self.grad_norm, norms.global_norm(gradients))
        if self.grad_clip > 0 and self.clip_each:
            gradients = self.map(F.partial(_clip, self.grad_clip), gradients)
        elif self.grad_clip > 0:
            gradients = ops.clip_by_global_norm(gradients, self.grad_clip)
        self.optimizer(gradients)
        if self.figures:
            ops.assign(self.weight_norm, norms.global_norm(self.weights))
        if self.ema_decay > 0:
            count = self.updates.astype(mstype.float32)
            decay = ops.minimum((1 + count) / (10 + count), self.ema_decay)
            self.map(F.partial(_blend, 1 - decay), self.ema, self.tracked)
            ops.assign_add(self.updates, 1)
        return True


def overwrite(parameters: Iterable[Parameter], values: Iterable[np.ndarray]) -> None:
    """Give parameters of a step that has run new values.

    In PyNative mode into their own memory, since its gradients would go on with that after `set_data`; which is faster.
    """
    is_pynative = ms.get_context("mode") == ms.PYNATIVE_MODE
    for parameter, value in zip(parameters, values):
        new = Tensor(value, parameter.dtype)
        ops.assign(parameter, new) if is_pynative else parameter.set_data(new)


def _running_statistics(model: nn.Cell) -> list[Parameter]:
    """Those that a step in training mode moves: of every batch normalisation that is not frozen."""
    norms = [cell for _, cell in model.cells_and_names() if hasattr(cell, "moving_mean")]
    moving = [norm for norm in norms if getattr(norm, "use_batch_statistics", None) is not False]
    return [parameter for norm in moving for parameter in (norm.moving_mean, norm.moving_variance)]
