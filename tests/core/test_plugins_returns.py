"""What plugins of other distributions are given and return: exporters, masking, cleaners and segmenters."""

import json
import subprocess
import sys

from plugin_sites import RECIPE, SMALL, TOMORROW, environment, install, run

from wholeword.core.testing import tiny_model
from wholeword.core.training.export import export

EXPORTER = """
from pathlib import Path
from wholeword import hookimpl

@hookimpl
def register_exporters(register): register("card", "cards_plugin:Card"); register("needy", "cards_plugin:Needy")

class Card:
    def __init__(self, *, level: int = 2, notes: Path | None = None): self.level, self.notes = level, notes
    def export(self, model, folder):
        (folder / "card.txt").write_text(f"level {self.level} {self.notes.read_text() if self.notes else ''}")

class Needy:
    def __init__(self, *, level: int): pass
    def export(self, model, folder): pass
"""


def test_exporters_take_settings_from_a_recipe(site):
    install(site, "cards", EXPORTER)
    recipe = site / "mine.yaml"
    (site / "notes.txt").write_text("as promised")
    recipe.write_text(RECIPE.replace("[pytorch-bin]", "[pytorch-bin, {name: card, level: 3, notes: notes.txt}, cards:card]"))
    program = f"""
from wholeword.core.config import load_recipe
print(load_recipe({str(recipe)!r}).resolved()["export"])
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment(site)).stdout
    assert printed.strip() == ("['pytorch-bin', {'name': 'card', 'level': 3, 'notes': 'notes.txt'}, 'cards:card']")
    for text, problem in {
        "{name: card, level: high}": "mine.yaml:11:30: export.0.level: 'high' is text; expected a whole number",
        "{name: card, levl: 3}": "mine.yaml:11:23: export.0.levl: unknown setting; did you mean 'level'?",
        "needy": "mine.yaml:11:10: export.0: needy needs the setting 'level', but only its name is given; expected {name: needy,",
        "{name: needy}": "mine.yaml:11:10: export.0.level: missing; needy needs it",
    }.items():
        recipe.write_text(RECIPE.replace("[pytorch-bin]", f"[{text}]"))
        assert problem in run(site, "check", recipe, code=2).stderr


VERIFIED = """
from wholeword import hookimpl

@hookimpl
def register_exporters(register):
    for name in ("plain", "careful", "strict", "helpless", "mute", "nothing", "raises", "pytorch-bin"):
        register(name, f"tools_plugin:{name.title().replace('-', '')}")

class Plain:
    def export(self, model, folder): (folder / "size.txt").write_text(str(len(model.weights)))

class PytorchBin(Plain): pass

class Careful(Plain):
    def verify(self, model, folder): yield f"{(folder / 'size.txt').read_text()} tensors counted"

class Strict(Plain):
    def verify(self, model, folder):
        from wholeword.core.errors import IntegrityError
        raise IntegrityError(f"{folder}: not the model")

class Helpless(Plain):
    def verify(self, model, folder): import a_library_nobody_has

class Mute(Plain):
    def verify(self, model, folder): return None

class Nothing:
    def export(self, model, folder): pass

class Raises:
    def export(self, model, folder): folder / 1
"""


def test_exporters_of_others_verify_their_files_or_say_that_they_cannot(site):
    install(site, "tools", VERIFIED)
    export(tiny_model(), "tf-checkpoint", site / "model")
    for name, code, answer in (
        ("careful", 0, "careful: 46 tensors counted"),
        ("plain", 4, "plain: written, but not verified: tools 1.2 offers no verification for it"),
        ("tools:pytorch-bin", 4, "tools:pytorch-bin: written, but not verified: tools 1.2 offers no verification for it"),
        ("strict", 3, "not the model"),
        ("helpless", 4, "exporter 'helpless' of tools needs 'a_library_nobody_has': pip install a_library_nobody_has"),
        ("mute", 4, "exporter 'mute' of tools 1.2 failed: TypeError: 'NoneType' object is not iterable"),
    ):
        result = run(site, "export", "model", "--to", name, "-o", name, "--verify", code=code)
        assert answer in result.stdout + result.stderr and (site / name / "size.txt").exists() and "Traceback" not in result.stderr
        assert run(site, "export", "model", "--to", name, "-o", f"{name}-again").stdout == f"{name}: {name}-again\n"
    for name, answer in (("nothing", "wrote no file"), ("raises", "failed: TypeError: unsupported operand")):
        result = run(site, "export", "model", "--to", name, "-o", name, code=4)
        assert f"exporter '{name}' of tools 1.2" in result.stderr and answer in result.stderr and not (site / name).exists()


RETURNS = """
import numpy as np
from wholeword import hookimpl

@hookimpl
def register_masking(register):
    for name in ("tuple", "ints", "special", "crash", "needy"):
        register(name, f"returns_plugin:{name.title()}")

@hookimpl
def register_cleaners(register): register("one", "returns_plugin:One")

@hookimpl
def register_segmenters(register): register("halves", "returns_plugin:Halves")

class Tuple:
    def mask(self, ids, word_starts, candidates, sample_ids, **context): return ids, candidates

class Ints(Tuple):
    def mask(self, ids, word_starts, candidates, sample_ids, **context):
        from wholeword.core.contracts import Masked
        return Masked(ids, candidates.astype(int))

class Special(Tuple):
    def mask(self, ids, word_starts, candidates, sample_ids, **context):
        from wholeword.core.contracts import Masked
        return Masked(ids, ~candidates)

class Crash(Tuple):
    def mask(self, *arguments, **context): return arguments[9]

class Needy(Tuple):
    def __init__(self, *, words: list[str]): pass

class One:
    def clean(self, lines): return "one"

class Halves:
    def segment(self, sentences): return [[sentence] for sentence in sentences[::2]]
"""


def test_what_plugins_return_is_checked_where_it_comes_in(site):
    install(site, "returns", RETURNS)
    recipe = site / "small.yaml"
    recipe.write_text(SMALL, encoding="utf-8")
    (site / "text.txt").write_text("使用语言模型来预测下一个词。\n\n图书馆的新系统。\n", encoding="utf-8")
    for name, answer in (
        ("tuple", "of returns 1.2: mask() returned tuple without an array input_ids; expected wholeword.core.contracts.Masked"),
        ("ints", "of returns 1.2: mask() returned chosen as int64"),
        ("special", "of returns 1.2: mask() returned chosen places that are no candidates"),
        ("crash", "of returns 1.2 failed: IndexError"),
    ):
        result = run(site, "mask", "图书馆的新系统。", "--strategy", name, code=4)
        assert result.stderr.startswith(f"masking '{name}' {answer}") and result.stderr.count("\n") == 1, result.stderr
    for setting, answer in (
        ("corpus.cleaning=[one]", "cleaner 'one' of returns 1.2 gave a single string; expected a sequence of lines (for the line"),
        ("segmenter=halves", "segmenter 'halves' of returns 1.2 gave 1 lists of words for 2 sentences; expected one each (among 2"),
    ):
        result = run(site, "prepare", recipe, "--set", setting, "--set", f"output={setting[:7]}", code=4)
        assert result.stderr.startswith(answer) and result.stderr.count("\n") == 1, result.stderr


def test_the_doctor_runs_the_cheap_part_of_the_checks(site):
    install(site, "returns", RETURNS)
    install(site, "tomorrow", TOMORROW.format(module="tomorrow_plugin"))
    states = json.loads(run(site, "doctor", "--json").stdout)["plugins"]
    assert states["segmenter wholeword:jieba"] == states["masking wholeword:whole-word"] == states["segmenter tomorrow:later"] == "ok"
    assert states["segmenter returns:halves"] == ("breaks its contract: 4 sentences gave 2 lists of words; expected one per sentence")
    assert states["masking returns:tuple"].startswith("breaks its contract: mask() returned tuple without input_ids")
    assert states["cleaner returns:one"].startswith("breaks its contract: clean() returned str")
    assert states["masking returns:crash"] == "masking 'crash' of returns 1.2 failed: IndexError: tuple index out of range"
    assert states["masking returns:needy"] == "ok; not checked, because it needs the setting 'words'"
    assert states["ignored tomorrow"].startswith("unknown hook")
    assert not [state for name, state in states.items() if " wholeword:" in name and "breaks its contract" in state]
