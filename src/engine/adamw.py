"""AdamW as PyTorch defines it, from elementary operators (Loshchilov and Hutter, arXiv:1711.05101)."""

import math

from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.nn.learning_rate_schedule import LearningRateSchedule
from mindspore.ops import functional as F

_update = ops.MultitypeFuncGraph("adamw_update")


class AdamW(nn.Optimizer):
    """torch.optim.AdamW. With lr the rate of an update and wd the decay of a parameter's group, update t (from 1) is

        w = (1 - lr wd) w
        m = m + (1 - beta1) (g - m),   v = beta2 v + (1 - beta2) g g
        w = w - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    t counts the updates that were made, wherever in the schedule they lie: a run that begins within it starts with
    t = 1, as its moments do, and an update that is left out counts for nothing.

    groups: MindSpore's, each parameter in one; those without a rate of their own ("lr") have that of `rates`.
    """

    def __init__(self, groups: list[dict], rates: LearningRateSchedule, beta1: float, beta2: float, eps: float):
        super().__init__(rates, groups)
        self.exp_avg = self.parameters.clone(prefix="exp_avg", init="zeros")
        self.exp_avg_sq = self.parameters.clone(prefix="exp_avg_sq", init="zeros")
        self.exp_avg_updates = Parameter(Tensor(0, mstype.int32), name="exp_avg_updates", requires_grad=False)
        self.decays = tuple(float(decay) for decay in self.group_weight_decay)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.logs = tuple(math.log(beta) if beta else -math.inf for beta in (beta1, beta2))

    def construct(self, gradients: tuple[Tensor, ...]) -> bool:
        """One update by these gradients, one a parameter."""
        rates = self.get_lr()
        if not self.is_group_lr:
            rates = (rates,) * self.param_length
        ops.assign_add(self.global_step, self.global_step_increase_tensor)
        count = self.exp_avg_updates + 1
        ops.assign(self.exp_avg_updates, count)
        count = count.astype(mstype.float32)
        first, root = _correction(count, self.logs[0]), ops.sqrt(_correction(count, self.logs[1]))
        update = F.partial(_update, self.beta1, self.beta2, self.eps, first, root)
        self.hyper_map(update, rates, self.decays, self.parameters, gradients, self.exp_avg, self.exp_avg_sq)
        return True


def _correction(count: Tensor, log: float) -> Tensor:
    """1 - beta ** count, given log(beta), to all digits: 0.999 alone is 1.3e-8 off in float32, its distance from 1
    by a thousand times as much of itself.
    """
    return -ops.expm1(count * log)


@_update.register(*["Number"] * 3, *["Tensor"] * 3, "Number", *["Tensor"] * 4)
def _update_parameter(beta1, beta2, eps, first, root, rate, decay, parameter, gradient, mean, square):
    """The three are assigned after all is worked out: MindSpore copies what is read again after an assignment."""
    value = parameter
    if decay > 0:
        value = parameter * (1 - rate * decay)
    new_mean = mean + (gradient - mean) * (1 - beta1)
    new_square = square * beta2 + gradient * gradient * (1 - beta2)
    value = value - rate / first * new_mean / (ops.sqrt(new_square) / root + eps)
    ops.assign(mean, new_mean)
    ops.assign(square, new_square)
    ops.assign(parameter, value)
    return True
