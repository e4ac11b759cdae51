"""Nothing that ships can unpickle, evaluate text or import by configuration (a test of the source text).

The one exception is `models/checkpoints/convert.py`: it may subclass `pickle.Unpickler`, whose `find_class` it
overrides.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CONVERTER = REPOSITORY / "models" / "checkpoints" / "convert.py"
MODULES = sorted(
    path
    for path in [*(REPOSITORY / "models").rglob("*.py"), *(REPOSITORY / "app").rglob("*.py"), REPOSITORY / "main.py"]
    if path.is_file()
)

PICKLE_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
FORBIDDEN_PREFIXES = ("torch.load", "torch.hub", "torch.jit.load", "torch.package", "torch.serialization", "runpy",
                      "pandas.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "importlib.reload",
                      "importlib.util", "importlib.machinery", "imp", "codeop", "code")  # fmt: skip
FORBIDDEN_BUILTINS = {"eval", "exec", "compile", "__import__"}
NUMPY_LOADERS = {"numpy.load", "numpy.lib.format.read_array", "numpy.lib.npyio.NpzFile", "numpy.DataSource"}


def offences(source: str, *, converter: bool = False) -> list[str]:
    """What in a module's text could run code from data, as "line: what"."""
    tree = ast.parse(source)
    names = imported_names(tree)
    allowed: set[ast.AST] = set()
    found: list[str] = []
    for node in ast.walk(tree):
        if converter and isinstance(node, ast.ClassDef) and overrides_find_class(node):
            allowed.update(base for base in node.bases if dotted(base, names) == "pickle.Unpickler")
        if isinstance(node, ast.Call):
            target = dotted(node.func, names)
            if target in NUMPY_LOADERS and refuses_pickle(node):
                allowed.add(node.func)
            if target == "importlib.import_module" and node.args and isinstance(node.args[0], ast.Constant):
                allowed.add(node.func)
        for what in suspicious(node, names, converter):
            if node not in allowed:
                found.append(f"{node.lineno}: {what}")
            # The parts of a forbidden dotted name are visited later; one report is enough.
            allowed.update(ast.walk(node) if not isinstance(node, ast.Import | ast.ImportFrom) else ())
        if node in allowed and isinstance(node, ast.Attribute | ast.Name):
            allowed.update(ast.walk(node))
    return found


def suspicious(node: ast.AST, names: dict[str, str], converter: bool) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        plain = isinstance(node, ast.Import) and all(alias.asname is None for alias in node.names)
        known = {"pickle"} if converter and plain else set()
        bad = [module for module in modules if module.split(".")[0] in PICKLE_MODULES - known]
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            bad += [
                name for name in full if forbidden(name) or name == "importlib.import_module" or name in NUMPY_LOADERS
            ]
            bad += [name for name in full if name.startswith("builtins.")]
        elif isinstance(node, ast.Import):
            bad += [module for module in modules if forbidden(module)]
        return [f"import {module}" for module in bad]
    if isinstance(node, ast.Name) and node.id in FORBIDDEN_BUILTINS and node.id not in names:
        return [node.id]
    if isinstance(node, ast.Attribute):
        name = dotted(node, names)
        head = name.split(".")[0]
        if head in PICKLE_MODULES or head == "builtins" or name in NUMPY_LOADERS or forbidden(name):
            return [name]
        if name == "importlib.import_module" or node.attr in ("__reduce__", "find_class"):
            return [name]
    if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
        literal = isinstance(node.value, ast.Constant) and node.value.value is False
        return [] if literal else ["allow_pickle"]
    return []


def forbidden(name: str) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in FORBIDDEN_PREFIXES)


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Local name -> the dotted name that it stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """The full dotted name of an attribute chain, '' when it does not start at an imported name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *reversed(parts)])


def refuses_pickle(call: ast.Call) -> bool:
    values = [keyword.value for keyword in call.keywords if keyword.arg == "allow_pickle"]
    return len(values) == 1 and isinstance(values[0], ast.Constant) and values[0].value is False


def overrides_find_class(node: ast.ClassDef) -> bool:
    """Whether a class replaces both hooks of the unpickler without ever calling the base's."""
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    if not {"find_class", "persistent_load"} <= methods.keys():
        return False
    calls_base = [
        inner for inner in ast.walk(methods["find_class"]) if isinstance(inner, ast.Name) and inner.id == "super"
    ]
    return not calls_base


HOOKS = "    def find_class(self, a, b): ...\n    def persistent_load(self, p): ..."


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_that_no_module_can_run_code_from_data(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8"), converter=path == CONVERTER) == []


def test_that_the_modules_are_found() -> None:
    assert CONVERTER in MODULES
    assert REPOSITORY / "models" / "checkpoints" / "read.py" in MODULES


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "import _pickle",
        "def f():\n    import dill",
        "import torch\ntorch.load('x', weights_only=True)",
        "import torch as t\nreader = t.load",
        "from torch import load as read",
        "from torch.serialization import load",
        "import torch.serialization",
        "import torch\ntorch.jit.load('x')",
        "import torch\ntorch.hub.load('x', 'y')",
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nflag = False\nnp.load('x', allow_pickle=flag)",
        "import numpy as np\nnp.load('x', **{'allow_pickle': False})",
        "import numpy as np\nread = np.load",
        "from numpy import load",
        "import numpy as np\nnp.savez('x', allow_pickle=True)",
        "eval('1')",
        "exec('1')",
        "run = eval",
        "compile('1', '', 'eval')",
        "__import__('os')",
        "import builtins\nbuiltins.eval('1')",
        "from builtins import exec as run",
        "import importlib\nimportlib.import_module(name)",
        "from importlib import import_module",
        "import importlib.util\nimportlib.util.spec_from_file_location('a', 'b')",
        "import runpy",
        "import yaml\nyaml.load('x')",
        "import marshal",
        "import shelve",
    ],
)
def test_that_the_search_finds(source: str) -> None:
    assert offences(source)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.loads(b'')",
        "import pickle\nread = pickle.load",
        "import pickle\npickle.Unpickler(None)",
        "import pickle\nclass U(pickle.Unpickler):\n    pass",
        "import pickle\nclass U(pickle.Unpickler):\n" + HOOKS.replace("...", "super()", 1),
        "import pickle\nclass U(pickle._Unpickler):\n" + HOOKS,
        "from pickle import Unpickler",
        "import torch\ntorch.load('x')",
    ],
)
def test_that_the_converter_may_only_subclass_the_unpickler(source: str) -> None:
    assert offences(source, converter=True)


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nwith np.load('x', allow_pickle=False) as data: pass",
        "model.eval()",
        "import re\nre.compile('x')",
        "import torch\ntorch.compile(model)\ntorch.save",
        "import importlib\nimportlib.import_module('app.ui')",
        "import pickletools",
        "from .checkpoint import load_checkpoint",
        "self.load('x')",
        "import json\njson.loads('1')",
        "import importlib.resources",
    ],
)
def test_that_the_search_leaves_ordinary_code_alone(source: str) -> None:
    assert offences(source) == []


def test_that_the_unpickler_is_allowed_in_the_converter_alone() -> None:
    source = "import pickle\nclass U(pickle.Unpickler):\n" + HOOKS
    assert offences(source, converter=True) == []
    assert offences(source)
