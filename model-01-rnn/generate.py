"""Write text with stage 1, the plain RNN:  python generate.py --prompt "To be or not to be" --visualize"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository's root, for `shared`

from shared.run.stage import generate_stage

if __name__ == "__main__":
    generate_stage(Path(__file__).resolve().parent)
