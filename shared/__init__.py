"""What the four stages share."""

import os

# PyTorch's threads wait for each other in a busy loop, and with another program on the same cores that slows all of
# them. With a short wait a step takes as long on a quiet machine, and two thirds of the time beside one busy program.
# It is read while PyTorch is loaded: so every program of the stages imports `shared` before its model.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
