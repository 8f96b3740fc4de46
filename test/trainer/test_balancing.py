"""Task balancing ..."""

import math

import pytest
import torch

from proving_ground.balancing import Balance

CPU = torch.device("cpu")
HEADS = ("detection", "lanes")


def losses(*values: float) -> dict[str, torch.Tensor]:
    """A loss for each head."""
    return {head: torch.tensor(value, requires_grad=True) for head, value in zip(HEADS, values, strict=True)}


def test_that_is_fixed_is_the_sum() -> None:
    balance = Balance({"method": "fixed"}, HEADS, CPU)
    assert balance.combine(losses(2.0, 3.0)).item() == 5.0
    assert (balance.current(), balance.parameters()) == ({"detection": 1.0, "lanes": 1.0}, [])


def test_by_uncertainty_has_the_gradient_of_its_own_loss() -> None:
    balance = Balance({"method": "uncertainty"}, HEADS, CPU)
    (learned,) = balance.parameters()
    with torch.no_grad():
        learned.copy_(torch.tensor([0.5, -1.0]))
    values = losses(2.0, 3.0)
    total = balance.combine(values)
    assert total.item() == pytest.approx(2 * math.exp(-0.5) + 0.25 + 3 * math.e - 0.5)
    total.backward()
    assert values["lanes"].grad is not None
    assert values["lanes"].grad.item() == pytest.approx(math.e)
    balance.set_gradient({"detection": 2.0, "lanes": 3.0})
    s = torch.tensor([0.5, -1.0], requires_grad=True)
    (torch.tensor([2.0, 3.0]) * torch.exp(-s) + s / 2).sum().backward()
    assert learned.grad is not None
    assert s.grad is not None
    torch.testing.assert_close(learned.grad, s.grad)


def test_by_uncertainty_weighs_the_noisier_head_less() -> None:
    balance = Balance({"method": "uncertainty"}, HEADS, CPU)
    optimizer = torch.optim.Adam(balance.parameters(), lr=0.1)
    for _ in range(300):
        balance.set_gradient({"detection": 4.0, "lanes": 0.25})
        optimizer.step()
    # At the optimum a weight is half of one over its loss.
    assert balance.current()["detection"] == pytest.approx(1 / 8, rel=0.02)
    assert balance.current()["lanes"] == pytest.approx(2, rel=0.02)


def test_by_dynamic_weight_average_gives_more_to_what_falls_slowly() -> None:
    balance = Balance({"method": "dwa", "temperature": 2}, HEADS, CPU)
    for epoch, means in enumerate([(4.0, 1.0), (2.0, 0.9)]):
        balance.begin_epoch(epoch)
        assert balance.current() == {"detection": 1.0, "lanes": 1.0}
        balance.end_epoch(dict(zip(HEADS, means, strict=True)))
    balance.begin_epoch(2)
    shares = [math.exp(0.5 / 2), math.exp(0.9 / 2)]
    expected = [2 * share / sum(shares) for share in shares]
    assert list(balance.current().values()) == pytest.approx(expected)
    assert balance.combine(losses(1.0, 1.0)).item() == pytest.approx(2.0)


def test_by_gradient_norms_raises_the_head_with_the_small_gradient_and_keeps_the_sum() -> None:
    balance = Balance({"method": "gradnorm", "alpha": 0.0, "learning_rate": 0.01}, HEADS, CPU)
    for _ in range(2000):
        balance.follow_gradients([1.0, 3.0], {"detection": 1.0, "lanes": 1.0})
    weights = balance.current()
    # With alpha 0 the weighted norms become equal: 1.5 and 0.5.
    assert weights["detection"] == pytest.approx(1.5, abs=0.03)
    assert sum(weights.values()) == pytest.approx(2.0)


def test_by_gradient_norms_pulls_the_head_that_lags_behind() -> None:
    balance = Balance({"method": "gradnorm", "alpha": 1.0, "learning_rate": 0.01}, HEADS, CPU)
    balance.follow_gradients([1.0, 1.0], {"detection": 1.0, "lanes": 1.0})
    for _ in range(100):
        balance.follow_gradients([1.0, 1.0], {"detection": 0.2, "lanes": 0.9})
    assert balance.current()["lanes"] > 1.2 > 0.8 > balance.current()["detection"]


def test_measures_each_heads_gradient_at_the_shared_weight() -> None:
    balance = Balance({"method": "gradnorm", "alpha": 1.0, "learning_rate": 0.01}, HEADS, CPU)
    shared = torch.tensor([3.0, 4.0], requires_grad=True)
    values = {"detection": (shared * shared).sum() / 2, "lanes": torch.tensor(1.0, requires_grad=True)}
    assert balance.gradient_norms(values, shared).tolist() == [5.0, 0.0]
    balance.combine(values).backward()
    assert shared.grad is not None


def test_by_curriculum_lets_heads_in_one_after_the_other() -> None:
    settings = {"method": "curriculum", "start": {"lanes": 2}, "ramp_epochs": 4}
    balance = Balance(settings, HEADS, CPU)
    seen = []
    for epoch in (0, 1.9, 2, 3, 5, 6, 9):
        balance.begin_epoch(epoch)
        seen.append(balance.current()["lanes"])
        assert balance.current()["detection"] == 1.0
    assert seen == pytest.approx([0, 0, 0, 0.25, 0.75, 1, 1])
    at_once = Balance({**settings, "ramp_epochs": 0}, HEADS, CPU)
    at_once.begin_epoch(2)
    assert at_once.current()["lanes"] == 1.0


@pytest.mark.parametrize("method", ["uncertainty", "dwa", "gradnorm"])
def test_goes_on_from_its_state(method: str) -> None:
    settings = {"method": method, "temperature": 2, "alpha": 1.5, "learning_rate": 0.05}
    one, other = Balance(settings, HEADS, CPU), Balance(settings, HEADS, CPU)

    def turn(balance: Balance, number: int) -> None:
        means = {"detection": 1.0 / (number + 1), "lanes": 0.5}
        balance.begin_epoch(number)
        if balance.needs_gradients:
            balance.follow_gradients([1.0, 2.0 + number], means)
        balance.set_gradient(means)
        for parameter in balance.parameters():
            parameter.data -= 0.1 * parameter.grad
        balance.end_epoch(means)

    for number in range(6):
        turn(one, number)
        if number == 2:
            other.load(one.state())
        if number > 2:
            turn(other, number)
    assert one.current() == other.current() != {"detection": 1.0, "lanes": 1.0}
