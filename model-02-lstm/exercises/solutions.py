"""One way to write each function of exercises.py. Others are as good: check.py looks at what they return.

Where an exercise or its chapter asks a question, the answer stands here, with the lines (>>>) that show it. Type them
into Python, started in this folder, after `from solutions import *`.

B batch, T time, E embedding, H hidden
"""

import math

import torch
from torch import Tensor, nn


def step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Gates of 0 are half open: half of the cell is kept, half of tanh(0) is written, and half of tanh(.5) is shown.

    >>> h, c = step(torch.zeros(1, 4), torch.ones(1, 1))
    >>> round(h.item(), 3), round(c.item(), 3)
    (0.231, 0.5)
    """
    i, f, g, o = gates.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def forget_bias(steps: int) -> float:
    """Half is to be left after ten steps, or after a thousand: what bias does that take?

    2.63 and 7.27. `open_forget_gates` begins with 1, which is less than either. Such a gate keeps sigmoid(1) = .73, so
    half is gone after 2.2 steps, and after the 40 words of a chunk four millionths are left. The start only makes sure
    that some gradient comes back from a few steps away. What is to be kept for long, training must learn to keep: it
    raises a bias, or has the gate opened by the word and the hidden state.

    >>> [round(forget_bias(steps), 2) for steps in (2, 10, 1000)]
    [0.88, 2.63, 7.27]
    >>> gate = 1 / (1 + math.exp(-1))
    >>> round(gate, 2), round(math.log(0.5) / math.log(gate), 1), round(gate**40, 6)
    (0.73, 2.2, 4e-06)
    """
    # sigmoid(b) ** steps = 1 / 2, so sigmoid(b) = p with p = 2 ** (-1 / steps), and b = log(p / (1 - p)).
    return -math.log(math.expm1(math.log(2) / steps))


def latch() -> tuple[Tensor, Tensor, Tensor]:
    """Can the RNN's equation do it too? Yes: h = tanh(2 h + 4 x - .1), from h = 0.

    While it reads zeros, h falls to -.966 and rests there. A 1 throws it over to the other side, and there .946 rests:
    tanh(2 * .946 - .1) is .946 again. Whatever disturbs h a little, it is pulled back to one of these two places. But
    the same pull shrinks the gradient. At .946 tanh's slope is 1 - .946^2 = .105. So a step back multiplies the
    gradient by 2 * .105 = .21, and ten steps by 1.7 * 10^-7. The RNN can hold a bit, and hardly learn from far away to
    hold it.

    The LSTM's cell is multiplied by sigmoid(20) at each step, and so is its gradient: after a thousand steps all but
    two millionths of both is left. And a cell can hold any number, where two places to rest hold a yes or a no.

    >>> lstm = nn.LSTM(1, 1)
    >>> names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    >>> lstm.load_state_dict(dict(zip(names, (*latch(), torch.zeros(4)))))
    <All keys matched successfully>
    >>> hidden, _ = lstm(torch.tensor([[0.0], [0.0], [1.0], [0.0], [1.0], [0.0]]))
    >>> [round(h, 2) for h in hidden.flatten().tolist()]
    [0.0, 0.0, 0.76, 0.76, 0.96, 0.96]
    >>> def read(inputs):
    ...     h, states = 0, []
    ...     for x in inputs:
    ...         h = math.tanh(2 * h + 4 * x - 0.1)
    ...         states.append(h)
    ...     return states
    >>> states = read([0] * 500 + [1] + [0] * 499)
    >>> round(max(states[:500]), 3), round(states[499], 3), round(min(states[500:]), 3)
    (-0.1, -0.966, 0.946)
    >>> factor = 2 * (1 - states[-1] ** 2)
    >>> round(factor, 3), f"{factor**10:.1e}"
    (0.21, '1.7e-07')
    >>> f"{1 - (1 / (1 + math.exp(-20))) ** 1000:.0e}"
    '2e-06'
    """
    # The gates stay open: keep all, let all in, show all. What is let in is tanh(20 x): nothing, or a 1.
    w_ih = torch.tensor([[0.0], [0.0], [20.0], [0.0]])
    w_hh = torch.zeros(4, 1)
    bias = torch.tensor([20.0, 20.0, 0.0, 20.0])
    return w_ih, w_hh, bias


def read_in_chunks(lstm: nn.LSTM, x: Tensor, length: int) -> Tensor:
    """The gradient of the state after step 5 reaches inputs 4 and 5, its chunk's, and none before them.

    >>> lstm, x = nn.LSTM(1, 1, batch_first=True), torch.zeros(1, 10, 1, requires_grad=True)
    >>> read_in_chunks(lstm, x, length=4)[0, 5].backward()
    >>> x.grad.flatten().nonzero().flatten().tolist()
    [4, 5]
    """
    state, hidden = None, []
    for chunk in x.split(length, dim=1):
        states, (h, c) = lstm(chunk, state)
        state = h.detach(), c.detach()  # both: a gradient would go back through either
        hidden.append(states)
    return torch.cat(hidden, dim=1)
