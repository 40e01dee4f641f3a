"""What a network says of itself, so that nobody has to know it by name."""

from typing import Protocol, runtime_checkable

from mindspore import nn


@runtime_checkable
class Declares(Protocol):
    """Every network has these; each head of a detector has `class_layers` of its own parameters.

    train_columns: names of its inputs in training mode, in their order.
    loss_names: names of the scalars that it returns then, already weighted; their sum is minimised.
    output_names: names of what it returns in evaluation mode, in their order.
    class_layers: beginnings of the names of its parameters whose shape follows the number of classes: they start fresh
        in fine-tuning.

    A network may have `starts_from`: (beginning of names that a network with another head has, the beginning here of
    parameters that start from those in fine-tuning), one pair a part.
    """

    train_columns: tuple[str, ...]
    loss_names: tuple[str, ...]
    output_names: tuple[str, ...]
    class_layers: tuple[str, ...]


def class_layers_of(**heads: nn.Cell) -> tuple[str, ...]:
    """The `class_layers` of heads that are attributes of these names: `bbox_head=head` gives 'bbox_head.fc_cls.'."""
    return tuple(f"{name}.{layer}" for name, head in heads.items() for layer in head.class_layers)
