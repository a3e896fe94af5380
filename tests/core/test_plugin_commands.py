"""Commands that plugins add, and what `wholeword doctor` and exit codes say about faulty plugins."""

import json
import re
import subprocess
import sys

from plugin_sites import SMALL, environment, install, run

from wholeword.core.testing import tiny_model
from wholeword.core.training.export import export

COMMANDS = """
from wholeword import hookimpl

@hookimpl
def register_commands(register):
    register("count", "acme_code:count", help="Count the characters of files.")
    register("train", "acme_code:count")
    register("raises", "acme_code:raises")
    register("odd", "acme_code:odd")
    register("gone", "a_library_nobody_has:x", extra="all")
"""


CODE = """
import click

@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True))
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def count(ctx, files, as_json):
    'Count the characters of files.'
    assert ctx.command is count and ctx.parent.info_name == "wholeword"
    click.echo({"files": len(files)} if as_json else len(files))

@click.group()
def raises():
    'Fail.'

@raises.command()
@click.argument("how")
def now(how):
    'Fail.'
    from wholeword.core.errors import UserError
    raise {"user": UserError("nothing to count"), "own": KeyError("x"), "exit": SystemExit(7)}[how]

odd = print
"""


def test_a_plugin_adds_commands(site):
    before = run(site, "--help").stdout
    install(site, "acme", COMMANDS)
    install(site, "broken", "1 / 0")
    (site / "acme_code.py").write_text(CODE, encoding="utf-8")
    listing = run(site, "--help").stdout
    added = [line.split()[0] for line in listing.splitlines() if line not in before.splitlines()]
    assert added == ["acme:train", "count", "gone", "odd", "raises"]
    assert re.search(r"  count +Count the characters of files\.", listing) and re.search(r"  raises +\(of acme\)", listing)
    assert run(site, "count", "--json", "acme_code.py").stdout == "{'files': 1}\n" and run(site, "acme:train").stdout == "0\n"
    assert "Usage: wholeword count [OPTIONS] [FILES]..." in run(site, "count", "--help").stdout
    for arguments, code, answer in (
        (["count", "none.txt"], 2, "'none.txt' does not exist"),
        (["train", "--help"], 0, ""),
        (["raises", "now", "user"], 2, "nothing to count\n"),
        (["raises", "now", "own"], 4, "command 'raises' of acme 1.2 failed: KeyError: 'x'\n"),
        (["raises", "now", "exit"], 7, ""),
        (["odd"], 4, "command 'odd' of acme 1.2: acme_code:odd is builtin_function_or_method; expected what click.command makes"),
        (["gone"], 4, "command 'gone' of acme 1.2 failed: ModuleNotFoundError"),
        (["coumt"], 2, "No such command 'coumt'; did you mean 'count'?"),
    ):
        result = run(site, *arguments, code=code)
        assert answer in result.stderr and "Traceback" not in result.stderr
    assert "train [OPTIONS] RECIPE" in run(site, "train", "--help").stdout


def test_help_imports_neither_commands_nor_anything_heavy(site):
    install(site, "acme", COMMANDS)
    (site / "acme_code.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    program = "import sys\nfrom wholeword.cli import main\ntry:\n    main(['--help'])\nfinally:\n    print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(site))
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "acme_plugin" in loaded and not loaded & {"acme_code", "numpy", "pydantic", "rich", "yaml", "tokenizers"}
    (site / "acme-1.2.dist-info" / "entry_points.txt").unlink()
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(site))
    assert not set(result.stdout.splitlines()[-1].split()) & {"pluggy", "importlib.metadata"}


FAULTY = """
from wholeword import hookimpl
from wholeword.core.errors import UserError

def offer(hook, **targets):
    def function(register):
        for name, target in targets.items():
            register(name, f"{__name__}:{target}")
    function.__name__ = hook
    globals()[hook] = hookimpl(function)

offer("register_backends", torch="Speaks", raises="Raises", three="Three", exits="Exits", dies="Dies")
offer("register_trackers", dies="Dies", hollow="Hollow")
offer("register_optimizers", dies="Dies", hollow="Hollow")
offer("register_corpus_formats", dies="Dies", hollow="Hollow")
offer("register_segmenters", gone="Gone")
offer("register_exporters", gone="Gone")
offer("register_tasks", gone="Gone", dies="Dies", hollow="Hollow", wrong="Wrong", reads="Reads", level="Level")

@hookimpl
def register_optimizer_kernels(register):
    for name, target in {"adamw.jax": "Kernel", "adamw.mute": "Hollow", "adamw.none": "make", "nothing.jax": "Kernel"}.items():
        register(name, f"{__name__}:{target}")

class Kernel:
    def __init__(self, *, named_parameters, **settings): self.slots = {}
    def step(self, gradients, learning_rate, *, divisor, skip): pass

def make(named_parameters=()): return None

class Wrong:
    metrics, defaults = ("accuracy",), {}
    def __init__(self, *, data): self.head = "regression"
    def read(self, split): return []
    def score(self, examples, predictions): return {}

class Reads(Wrong):
    def __init__(self, *, data): raise UserError(f"{data}: no train.tsv")

class Level(Wrong):
    def __init__(self, *, data, level): pass

class Dies:
    def __init__(self): raise ValueError("no\\nlicence")

class Hollow: pass

class Speaks:
    def trainer(self, *arguments, **settings): pass
    def describe(self): return "speaks"

class Raises(Speaks):
    def describe(self): raise ValueError("no device")

class Three(Speaks):
    def describe(self): return 3

class Exits(Speaks):
    def describe(self): raise SystemExit("bye")
"""


def test_the_doctor_names_every_faulty_plugin_and_finishes(site):
    install(site, "faulty", FAULTY)
    install(site, "twin", FAULTY)
    report = json.loads(run(site, "doctor", "--json").stdout)
    backends, states = report["backends"], report["plugins"]
    assert {"pytorch", "tensorflow"} <= set(backends)
    for distribution in ("faulty", "twin"):
        assert backends[f"{distribution}:torch"] == "speaks"
        assert backends[f"{distribution}:raises"] == f"backend 'raises' of {distribution} 1.2 failed: ValueError: no device"
        assert (
            backends[f"{distribution}:three"]
            == f"backend 'three' of {distribution} 1.2 failed: TypeError: describe() returned 3; expected text"
        )
        assert backends[f"{distribution}:exits"] == f"backend 'exits' of {distribution} 1.2 failed: SystemExit: bye"
        assert backends[f"{distribution}:dies"] == f"backend 'dies' of {distribution} 1.2 failed: ValueError: no licence"
        for kind in ("backend", "tracker", "optimizer", "corpus_format"):
            assert states[f"{kind} {distribution}:dies"] == f"{kind} 'dies' of {distribution} 1.2 failed: ValueError: no licence"
        for kind in ("tracker", "optimizer", "corpus_format"):
            assert states[f"{kind} {distribution}:hollow"].startswith("breaks its contract: Hollow has no ")


def test_the_doctor_checks_tasks_and_kernels_too(site):
    install(site, "faulty", FAULTY)
    states = json.loads(run(site, "doctor", "--json").stdout)["plugins"]
    assert states["task wholeword:xnli"] == states["task wholeword:cmrc2018"] == states["task wholeword:tagging"] == "ok"
    for name, state in {
        "dies": "task 'dies' of faulty 1.2 failed: ",
        "hollow": "breaks its contract: Hollow has no head, metrics, defaults, read, score; expected contracts.Task",
        "wrong": "breaks its contract: head is 'regression'; expected one of classification, span, tagging",
        "reads": "ok; not checked, because it reads its files at once",
        "level": "ok; not checked, because it needs the setting 'level'",
    }.items():
        assert states[f"task faulty:{name}"].startswith(state), states[f"task faulty:{name}"]
    assert states["optimizer_kernel faulty:adamw.jax"] == "ok"
    assert states["optimizer_kernel faulty:adamw.mute"].startswith("breaks its contract: Hollow takes no named_parameters")
    assert states["optimizer_kernel faulty:nothing.jax"] == "never used: there is no optimizer 'nothing'"


def test_a_backend_of_one_other_distribution_keeps_its_bare_name(site):
    install(site, "faulty", FAULTY)
    assert json.loads(run(site, "doctor", "--json").stdout)["backends"]["torch"] == "speaks"


def test_the_exit_code_tells_a_wrong_name_from_a_broken_plugin(site):
    install(site, "faulty", FAULTY)
    export(tiny_model(), "tf-checkpoint", site / "model")
    recipe = site / "small.yaml"
    recipe.write_text(SMALL, encoding="utf-8")
    (site / "text.txt").write_text("图书馆的新系统。\n", encoding="utf-8")
    for arguments, answer in (
        (["export", "model", "--to", "pytorch-bn", "-o", "out"], "unknown exporter 'pytorch-bn'; did you mean 'pytorch-bin'?"),
        (["mask", "今天天气", "--segmenter", "jeiba"], "unknown segmenter 'jeiba'; did you mean 'jieba'?"),
        (["report", recipe, "--compare", "jieba,charcters"], "unknown segmenter 'charcters'; did you mean 'characters'?"),
        (["check", recipe, "--set", "segmenter=jeiba"], "unknown segmenter 'jeiba'; did you mean 'jieba'?"),
        (["check", recipe, "--set", "segmenter=gone", "--set", "masking=whole-wrd"], "unknown masking 'whole-wrd'"),
    ):
        assert answer in run(site, *arguments, code=2).stderr
    for arguments in (
        ["mask", "今天天气", "--segmenter", "gone"],
        ["check", recipe, "--set", "segmenter=gone"],
        ["check", recipe, "--set", "segmenter=gone", "--set", "export=[gone]"],
    ):
        errors = [line for line in run(site, *arguments, code=4).stderr.splitlines() if not line.endswith(" ...")]  # announced waits
        assert errors and all("'gone' of faulty 1.2 failed: AttributeError" in line for line in errors)
