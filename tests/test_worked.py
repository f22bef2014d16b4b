"""Claims about the worked pictures: what they show is what torch, mathematics and stage 4's own code say."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from shared.results import worked
from shared.stages import ROOT


@pytest.mark.parametrize(("start", "size"), worked.CURVES)
def test_shares_of_a_gradient_are_those_of_the_chain_rule(start, size):
    torch.manual_seed(0)
    cell, gain, h = torch.nn.RNNCell(32, 32), worked.STARTS[start], torch.zeros(32)
    if gain:
        torch.nn.init.orthogonal_(cell.weight_hh, gain=gain)
        torch.nn.init.zeros_(cell.bias_ih), torch.nn.init.zeros_(cell.bias_hh)
    with torch.no_grad():
        memories = [h := cell(x_t, h) for x_t in size * torch.randn(40, 32)]
        gradient = torch.ones(32)
        for h in reversed(memories[1:]):
            gradient = cell.weight_hh.T @ (gradient * (1 - h**2))
    share = gradient.norm().item() / 32**0.5
    assert worked.backward_shares(start, size)[-1].item() == pytest.approx(share, rel=1e-3)


def test_pairs_turn_by_their_angle_and_products_depend_on_the_distance_alone():
    angles, pairs, products = (part.numpy() for part in worked.turned_pairs())
    np.testing.assert_allclose(angles, [10000.0 ** (-2 * pair / worked.SIZE) for pair in worked.PAIRS])
    turned = np.arctan2(pairs[..., 1], pairs[..., 0]) - angles[:, None] * np.arange(8)
    np.testing.assert_allclose(np.cos(turned), 1)
    np.testing.assert_allclose(products[0], products[1])
    assert products[0].std() > 1  # and depend on it they do


def test_worked_pictures_and_their_numbers_are_made_by_one_call(tmp_path):
    paths = worked.draw_worked(tmp_path)
    titles = [Image.open(path).text["Title"].replace("\n", " ") for path in paths]
    assert titles == [worked.KEEPS, worked.DISTANCE]
    assert (tmp_path / worked.RNN / "results" / "gradients.json").is_file()


@pytest.mark.claims
def test_only_an_orthogonal_start_and_small_inputs_keep_the_gradient():
    kept = json.loads((ROOT / worked.RNN / "results" / "gradients.json").read_text(encoding="utf-8"))
    left = {(curve["start"], curve["inputs"]): curve["shares"][-1] for curve in kept["curves"]}
    assert left.pop(("orthogonal", worked.SMALL)) > 0.9
    assert left.pop(("orthogonal, times 3", worked.SMALL)) > 1000 and max(left.values()) < 1e-9
