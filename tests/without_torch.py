"""Run `tropho` where torch can't be imported."""

import sys

_SCRIPT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "accelerate", "transformers", "mlflow"):
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
from tropho.cli import main
sys.argv[0] = "tropho"
main()
"""

TROPHO_WITHOUT_TORCH = [sys.executable, "-c", _SCRIPT]
"""Start of a command line."""
