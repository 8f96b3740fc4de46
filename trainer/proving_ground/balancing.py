"""Losses of several heads become one: how much each counts is fixed, learned, or follows from how training goes.

Each method's weights stand on top of the recipe's own weight of each loss. All that a method has learned is in its
state, so that a resumed run goes on with it; all ranks hold the same, since they are given the ranks' mean losses.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Balance:
    """Weights of the heads' losses.

    settings are the recipe's `balance`. parameters are what the optimizer learns beside the network: the logarithms of
    the variances of uncertainty weighting, [heads] float32; empty for every other method.
    """

    def __init__(self, settings: dict[str, Any], heads: Sequence[str], device: torch.device) -> None:
        self.settings, self.method, self.heads = settings, settings["method"], list(heads)
        learned = len(heads) if self.method == "uncertainty" else 0
        self.log_variance = nn.Parameter(torch.zeros(learned, device=device))
        # What dwa, gradnorm and curriculum weigh by: the same on every rank.
        self.weights = dict.fromkeys(self.heads, 1.0)
        self.epochs: list[dict[str, float]] = []
        self.first: dict[str, float] = {}
        self.moments = [[0.0, 0.0] for _ in self.heads]
        self.steps = 0
        self.begin_epoch(0.0)

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer learns for this method."""
        return [self.log_variance] if self.method == "uncertainty" else []

    def combine(self, losses: dict[str, Tensor]) -> Tensor:
        """The scalar whose gradient is taken; losses are scalars by head, in the order of the heads.

        Uncertainty weighting (Kendall, Gal and Cipolla 2018, eq. 7, with s = log of the variance): exp(-s) loss + s / 2
        for each head; the factor of one half on the loss is in the recipe's own weights.
        """
        values = torch.stack([losses[head] for head in self.heads])
        if self.method == "uncertainty":
            held = self.log_variance.detach()
            return (values * torch.exp(-held) + held / 2).sum()
        if self.method == "fixed":
            return values.sum()
        factors = torch.tensor([self.weights[head] for head in self.heads], device=values.device)
        return (values * factors).sum()

    def set_gradient(self, means: dict[str, float]) -> None:
        """Gradient of what the optimizer learns, from the ranks' mean losses: the same on every rank, without a sum."""
        if self.method == "uncertainty":
            losses = torch.tensor([means[head] for head in self.heads], device=self.log_variance.device)
            self.log_variance.grad = 0.5 - torch.exp(-self.log_variance.detach()) * losses

    def current(self) -> dict[str, float]:
        """Weight of each head now."""
        if self.method == "uncertainty":
            return dict(zip(self.heads, torch.exp(-self.log_variance.detach()).tolist(), strict=True))
        return dict(self.weights)

    def begin_epoch(self, epoch: float) -> None:
        """Set the weights that follow from where training is; `epoch` counts from 0, with its fraction."""
        if self.method == "curriculum":
            start, ramp = self.settings["start"], self.settings["ramp_epochs"]
            for head in self.heads:
                since = epoch - start.get(head, 0)
                if head not in start:
                    self.weights[head] = 1.0
                elif ramp > 0:
                    self.weights[head] = min(max(since / ramp, 0.0), 1.0)
                else:
                    self.weights[head] = float(since >= 0)
        elif self.method == "dwa" and len(self.epochs) >= 2:
            # Dynamic weight average (Liu, Johns and Davison 2019, eq. 7): by how slowly each loss fell.
            before, last = self.epochs[-2:]
            temperature = self.settings["temperature"]
            rates = [last[head] / before[head] if before[head] > 0 else 1.0 for head in self.heads]
            highest = max(rates)
            shares = [math.exp((rate - highest) / temperature) for rate in rates]
            for head, share in zip(self.heads, shares, strict=True):
                self.weights[head] = len(self.heads) * share / sum(shares)

    def end_epoch(self, means: dict[str, float]) -> None:
        """Remember an epoch's mean loss of each head, the same on every rank."""
        if self.method == "dwa":
            self.epochs = [*self.epochs, {head: means[head] for head in self.heads}][-2:]

    @property
    def needs_gradients(self) -> bool:
        """Whether the norm of each head's gradient is asked for in every step."""
        return self.method == "gradnorm"

    def gradient_norms(self, losses: dict[str, Tensor], shared: Tensor) -> Tensor:
        """Norm of each unweighted loss's gradient at the last weight that all heads share: [heads]; keeps the graph."""
        norms = []
        for head in self.heads:
            (gradient,) = torch.autograd.grad(losses[head], shared, retain_graph=True, allow_unused=True)
            norms.append(torch.zeros((), device=shared.device) if gradient is None else gradient.norm())
        return torch.stack(norms)

    def follow_gradients(self, norms: Sequence[float], losses: dict[str, float]) -> None:
        """A step of GradNorm (Chen et al. 2018, algorithm 1) from the ranks' mean norms and losses.

        The gradient of sum |w_i g_i - mean(w g) r_i^alpha| by w_i, the target held fixed, is g_i times a sign; the step
        is Adam's, the weights are then scaled to sum to their number.
        """
        if not self.first:
            self.first = {head: max(losses[head], 1e-12) for head in self.heads}
        weights = [self.weights[head] for head in self.heads]
        rates = [losses[head] / self.first[head] for head in self.heads]
        mean_rate = sum(rates) / len(rates) or 1.0
        mean_norm = sum(weight * norm for weight, norm in zip(weights, norms, strict=True)) / len(norms)
        self.steps += 1
        for number, head in enumerate(self.heads):
            target = mean_norm * (rates[number] / mean_rate) ** self.settings["alpha"]
            gradient = math.copysign(norms[number], weights[number] * norms[number] - target)
            self.weights[head] = max(weights[number] - self.adam(number, gradient), 1e-3)
        total = sum(self.weights.values())
        self.weights = {head: len(self.heads) * weight / total for head, weight in self.weights.items()}

    def adam(self, number: int, gradient: float) -> float:
        """Adam's step (Kingma and Ba 2015) of one weight."""
        first, second = self.moments[number]
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        self.moments[number] = [first, second]
        mean, square = first / (1 - 0.9**self.steps), second / (1 - 0.999**self.steps)
        return self.settings["learning_rate"] * mean / (math.sqrt(square) + 1e-8)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "log_variance": self.log_variance.detach(),
            "weights": self.weights,
            "epochs": self.epochs,
            "first": self.first,
            "moments": self.moments,
            "steps": self.steps,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        with torch.no_grad():
            self.log_variance.copy_(state["log_variance"])
        for name in ("weights", "epochs", "first", "moments", "steps"):
            setattr(self, name, copy.deepcopy(state[name]))
