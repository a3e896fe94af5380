"""Former names of modules."""

import subprocess
import sys

import pytest

from wholeword.core.moved import MOVED

LOOK = """
import importlib, warnings
from wholeword.core.moved import CHANGED, MOVED

for former, present in MOVED.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        old = importlib.import_module(f"wholeword.{former}")
    if present is not None:
        new = importlib.import_module(f"wholeword.{present}")
        names = [name for name in vars(new) if name.isidentifier() and not name.startswith("_") and name not in CHANGED.get(former, {})]
        assert names and all(getattr(old, name) is getattr(new, name) for name in names), former
        print(*(item.message for item in caught if item.category is DeprecationWarning))
"""


def test_former_names_hand_out_what_the_present_modules_have() -> None:
    finished = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    printed = finished.stdout.splitlines()
    assert printed == [f"wholeword.{former} is now wholeword.{present}" for former, present in MOVED.items() if present]


def test_a_name_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        import wholeword.core.nothing  # noqa: F401
