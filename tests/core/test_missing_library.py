"""Commands on a machine without PyTorch: one line that says what to install."""

import json
import subprocess
import sys

from small_runs import write_recipe

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None\nfrom wholeword.cli import main\nmain()"


def wholeword(*arguments):
    return subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)], capture_output=True, text=True)


def test_training_says_what_to_install(tmp_path):
    result = wholeword("train", write_recipe(tmp_path), "--set", f"output={tmp_path / 'run'}", "--set", "prepare_workers=1")
    assert result.returncode == 4 and "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1] == "backend 'pytorch' needs 'torch': pip install \"wholeword[torch]\""


def test_the_doctor_says_so_too():
    found = json.loads(wholeword("doctor", "--json").stdout)
    assert found["backends"]["pytorch"] == "backend 'pytorch' needs 'torch': pip install \"wholeword[torch]\""
