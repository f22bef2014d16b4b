"""A series cut into windows: so many steps of past, so many of future; what a window lacks of either is padding.

B batch, Tp past steps, Tf future steps, Fp past columns, Ff future columns, O targets
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.errors import UserError

from series import Series, Span


@dataclass(frozen=True)
class Batch:
    """Windows side by side: past (B, Tp, Fp), future (B, Tf, Ff), targets (B, Tf, O).

    past_lengths, future_lengths (B): how many of a window's steps are real. Behind them stand zeros.
    """

    past: Tensor
    future: Tensor
    targets: Tensor
    past_lengths: Tensor
    future_lengths: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """What a model may see."""
        return self.past, self.future

    @property
    def lengths(self) -> dict[str, Tensor]:
        """What a model has to be told of the padding, by name: nothing where every step is real."""
        if self.past_lengths.min() == self.past.size(1) and self.future_lengths.min() == self.future.size(1):
            return {}
        return {"past_lengths": self.past_lengths, "future_lengths": self.future_lengths}

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device; the lengths stay on the CPU, where packing wants them."""
        numbers = (self.past.to(device), self.future.to(device), self.targets.to(device))
        return Batch(*numbers, self.past_lengths, self.future_lengths)


class Windows:
    """All windows of a part of a series: what is forecast lies in it, while the past may reach back before it.

    Without `pad` a window has all its steps. With it, one step of each will do: every row of the part but a table's
    first is a place to forecast from, and a short table, or the beginning of a long one, is not thrown away.
    """

    def __init__(self, series: Series, part: str, past_length: int, horizon: int, pad: bool = False):
        self.series, self.past_length, self.horizon = series, past_length, horizon
        least = (1, 1) if pad else (past_length, horizon)
        found = [self.starts_in(span, part, *least) for span in series.spans]
        starts, begins, ends = (torch.cat(column) for column in zip(*found))  # (windows) each
        self.starts = starts  # the first row to be forecast
        self.past_lengths = (starts - begins).clamp(max=past_length)
        self.future_lengths = (ends - starts).clamp(max=horizon)
        if not len(starts):
            hint = "" if pad else ", or --pad"
            raise UserError(
                f"the {part} part of {series.name} has too few rows for one window; give a longer series, or less than "
                f"--past-length {past_length} and --horizon {horizon}{hint}"
            )

    @staticmethod
    def starts_in(span: Span, part: str, least_past: int, least_future: int) -> tuple[Tensor, Tensor, Tensor]:
        """The windows of one table: first rows to be forecast, where the past begins and where the future ends."""
        first, last = span.part(part)
        first = max(first, span.begin + least_past)
        starts = torch.arange(first, max(first, last - least_future + 1))
        return starts, torch.full_like(starts, span.begin), torch.full_like(starts, last)

    def __len__(self) -> int:
        return len(self.starts)

    def table(self, which: int) -> str:
        """The name of the table that a window is cut from."""
        return [span.name for span in self.series.spans if span.begin <= self.starts[which]][-1]

    def batch(self, which: Tensor) -> Batch:
        """The windows of these numbers (B), from 0 to len - 1, padded to the longest among them."""
        series, starts = self.series, self.starts[which]
        past_lengths, future_lengths = self.past_lengths[which], self.future_lengths[which]
        past = self.rows(starts - past_lengths, past_lengths)  # (B, Tp, Fp)
        coming = self.rows(starts, future_lengths)  # (B, Tf, Fp)
        future, targets = coming[..., -series.num_known :], coming[..., : series.num_targets]
        return Batch(past, future, targets, past_lengths, future_lengths)

    def rows(self, first: Tensor, lengths: Tensor) -> Tensor:
        """So many rows (B) from the `first` (B) on, and zeros behind them: (B, T, Fp)."""
        steps = torch.arange(int(lengths.max()))
        real = steps < lengths[:, None]  # (B, T)
        places = torch.where(real, first[:, None] + steps, 0)
        return self.series.values[places].where(real[..., None], 0.0)

    def batches(self, batch_size: int, step: int = 1) -> Iterator[Batch]:
        """Every `step`-th window once, in order."""
        for which in torch.arange(0, len(self), step).split(batch_size):
            yield self.batch(which)


def windows_of(series: Series, part: str, settings: dict) -> Windows:
    """The windows of a part that a run's settings ask for."""
    return Windows(series, part, settings["past_length"], settings["horizon"], settings.get("pad", False))


def columns_of(steps: Tensor, num_past: int, past_lengths: Tensor) -> Tensor:
    """Where steps (...) stand when past (B, num_past) and future are laid end to end: (B, ...).

    Step 0 is the first that is forecast. Between the last real step of a past and that one stands the past's padding.
    A number below 0: the table begins later.

    >>> columns_of(torch.tensor([-4, -1, 0, 1]), 5, torch.tensor([5, 2])).tolist()
    [[1, 4, 5, 6], [-2, 1, 5, 6]]
    """
    lengths = past_lengths.view(-1, *[1] * steps.dim())  # (B, 1 ...)
    return torch.where(steps < 0, lengths + steps, num_past + steps)
