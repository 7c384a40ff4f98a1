"""Functions of the user's that are pickled here and called where their folder is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.data.parallel.travelling import pickled
from penstock.project import user_code

pytestmark = pytest.mark.needs("cloudpickle")

CALLED = """
import pickle
import sys

print(pickle.load(open(sys.argv[1], "rb"))(*map(int, sys.argv[2:])))
"""


@pytest.fixture
def told(tmp_path):
    """Pickle a function of a module file, take its folder away, and return what it says."""

    def call(files, function="outer", numbers=("1",), there="pass"):
        import cloudpickle

        folder, elsewhere = tmp_path / "user", tmp_path / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        loaded = user_code.load_function(function, module_file=str(folder / "outermost.py"))
        (elsewhere / "function").write_bytes(pickled(loaded, cloudpickle))
        folder.rename(tmp_path / "hidden")
        done = subprocess.run(
            [sys.executable, "-c", f"{there}\n{CALLED}", "function", *numbers],
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
        )
        (tmp_path / "hidden").rename(folder)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    yield call
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def test_a_sibling_that_is_imported_at_the_top_goes_along(told):
    files = {
        "outermost.py": "import first\n\ndef outer(x):\n    return first.inner(x)\n",
        "first.py": "def inner(x):\n    return x + 1\n",
    }
    assert told(files) == "2"


def test_a_sibling_that_a_function_imports_goes_along(told):
    files = {
        "outermost.py": "def outer(x):\n    import second\n    return second.inner(x)\n",
        "second.py": "def inner(x):\n    return x + 1\n",
    }
    assert told(files) == "2"


def test_what_such_a_sibling_imports_goes_along(told):
    files = {
        "outermost.py": "def outer(x):\n    from third import inner\n    return inner(x)\n",
        "third.py": "import fourth\n\ndef inner(x):\n    return fourth.innermost(x)\n",
        "fourth.py": "def innermost(x):\n    return x + 2\n",
    }
    assert told(files) == "3"


def test_a_module_of_a_package_that_a_function_imports_goes_along(told):
    files = {
        "outermost.py": "def outer(x):\n    from fifth.part import inner\n    return inner(x)\n",
        "fifth/__init__.py": "STEP = 3\n",
        "fifth/part.py": "from . import STEP\n\ndef inner(x):\n    return x + STEP\n",
    }
    assert told(files) == "4"


def test_a_sibling_in_a_package_that_a_function_imports_goes_along(told):
    files = {
        "outermost.py": "def outer(x):\n    from .seventh import inner\n    return inner(x)\n",
        "__init__.py": "",
        "seventh.py": "def inner(x):\n    return x + 4\n",
    }
    assert told(files) == "5"


def test_a_function_that_a_function_has_made_brings_what_it_imports(told):
    text = "def outer():\n    def made(x):\n        import eighth\n        return eighth.Y + x\n"
    files = {
        "outermost.py": f"{text}    return made\n\nouter = outer()\n",
        "eighth.py": "Y = 5\n",
    }
    assert told(files) == "6"


def test_a_sibling_that_has_changed_is_the_new_one_where_the_old_one_was(told, tmp_path):
    module = "def outer(x):\n    import ninth\n    return ninth.Y + x\n"
    told({"outermost.py": module, "ninth.py": "Y = 1\n"})
    (tmp_path / "elsewhere" / "function").rename(tmp_path / "elsewhere" / "before")
    old = "import pickle\nassert pickle.load(open('before', 'rb'))(1) == 2"
    assert told({"outermost.py": module, "ninth.py": "Y = 20\n"}, there=old) == "21"


def test_a_file_keeps_its_name_here(told, tmp_path):
    files = {
        "outermost.py": "def outer(x):\n    import tenth\n    return tenth.Y\n",
        "tenth.py": "Y = 7\n",
    }
    assert told(files) == "7"
    own = str(tmp_path / "user" / "outermost.py")
    [file] = [m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None) == own]
    assert type(file) is str
