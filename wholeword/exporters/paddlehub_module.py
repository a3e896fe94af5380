"""Models as PaddleHub 2 modules: a Python package that holds its weights. The package's code is `paddlehub_module.py.template`."""

import json
import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

from wholeword.core.bert.parts import without_lacking_parts
from wholeword.core.contracts import ModelFiles
from wholeword.core.files import write_file
from wholeword.exporters.model_card import model_card
from wholeword.exporters.paddlenlp import write_model


class PaddleHubModule:
    """Writes a folder named like the module into the target folder: PaddleHub imports a module by the name of its folder."""

    def export(self, model: ModelFiles, folder: Path) -> None:
        """Parts that the model lacks are left out. Raises: UserError for an activation that paddlenlp lacks; DiskError."""
        model = without_lacking_parts(model)
        name = module_name(model)
        (folder / name / "assets").mkdir(parents=True)
        write_model(model, folder / name / "assets")
        write_file(folder / name / "__init__.py", b"")
        write_file(folder / name / "module.py", _code(model, name).encode())
        write_file(folder / "README.md", model_card(model, "paddlehub", module=name).encode())


def module_name(model: ModelFiles) -> str:
    """The model's name as a Python identifier that is not a module of the standard library."""
    name = re.sub(r"\W+", "_", model.provenance.name or "bert", flags=re.ASCII).strip("_").lower()
    fits = name.isidentifier() and not keyword.iskeyword(name) and name not in sys.stdlib_module_names
    return name if fits else f"bert_{name}".rstrip("_")


def _code(model: ModelFiles, name: str) -> str:
    config = model.config
    summary = f"A Chinese BERT: {config.num_hidden_layers} layers, {config.hidden_size} wide"
    template = Template(files("wholeword.exporters").joinpath("paddlehub_module.py.template").read_text(encoding="utf-8"))
    return template.substitute(name=json.dumps(name), summary=json.dumps(summary))
