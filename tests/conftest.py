"""What holds for all tests: where `shared` lies, and one thread of arithmetic."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The models are so small that a second thread costs more than it saves, most of all where other programs are busy too;
# and sums come out the same whatever the number of cores.
torch.set_num_threads(1)
