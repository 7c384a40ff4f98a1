"""Loading user code, its errors, and its fingerprint."""

import inspect
import sys
from pathlib import Path

import pytest

from penstock.errors import ParameterError, UserCodeError
from penstock.project import user_code


@pytest.fixture
def write(tmp_path):
    def write_file(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write_file


@pytest.fixture(autouse=True)
def same_path_and_modules():
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_a_function_comes_from_a_module_file(write):
    module = write("model.py", "def run_fn(x): return x + 1")
    assert user_code.load_function("run_fn", module_file=module)(1) == 2


def test_a_function_may_have_another_name_in_its_module(write):
    module = write("model.py", "def train(x): return x + 1")
    assert user_code.load_function("run_fn", module_file=module, function="train")(1) == 2


def test_a_function_comes_from_a_dotted_name():
    assert user_code.load_function("run_fn", function="os.path.join")("a", "b") == "a/b"


def test_a_function_comes_from_a_module_path():
    assert user_code.load_function("join", module_path="os.path")("a", "b") == "a/b"


def test_modules_beside_the_module_file_can_be_imported(write):
    write("penguin_features.py", "LABEL = 'species'")
    module = write(
        "model.py", "import penguin_features\ndef label(): return penguin_features.LABEL"
    )
    assert user_code.load_function("label", module_file=module)() == "species"


def test_a_function_may_import_a_sibling_when_it_runs(write):
    write("late_features.py", "LABEL = 'late'")
    module = write("m.py", "def label():\n    import late_features\n    return late_features.LABEL")
    assert user_code.load_function("label", module_file=module)() == "late"


def test_each_folder_gets_its_own_sibling_of_one_name(write):
    labels = []
    for folder in ("one", "two"):
        write(f"{folder}/shared_name.py", f"LABEL = {folder!r}")
        module = write(f"{folder}/m.py", "from shared_name import LABEL\ndef label(): return LABEL")
        labels.append(user_code.load_function("label", module_file=module)())
    assert labels == ["one", "two"]


def test_relative_imports_work_in_a_package(write):
    write("taxi_pkg/__init__.py", "")
    write("taxi_pkg/features.py", "LABEL = 'tips'")
    module = write("taxi_pkg/model.py", "from .features import LABEL\ndef label(): return LABEL")
    assert user_code.load_function("label", module_file=module)() == "tips"


def test_a_module_loads_once_and_again_when_it_changed(write):
    text = "import builtins\nMARK = object()\ndef f(): return MARK"
    first = user_code.load_function("f", module_file=write("m.py", text))
    again = user_code.load_function("f", module_file=write("m.py", text))
    changed = user_code.load_function("f", module_file=write("m.py", text + "\nX = 1"))
    assert first() is again()
    assert changed() is not first()


def test_the_source_of_a_loaded_function_can_be_read(write):
    module = write("m.py", "def run_fn():\n    return 7\n")
    function = user_code.load_function("run_fn", module_file=module)
    assert inspect.getsource(function) == "def run_fn():\n    return 7\n"


def test_a_missing_module_file_names_the_nearest_one(write, tmp_path):
    write("model.py", "")
    with pytest.raises(UserCodeError, match="does not exist") as caught:
        user_code.load_function("run_fn", module_file=str(tmp_path / "modle.py"))
    assert "Did you mean 'model.py'?" in str(caught.value)


def test_a_missing_function_names_the_nearest_one(write):
    module = write("model.py", "def run_fm(): pass")
    with pytest.raises(UserCodeError, match="should define a function 'run_fn'") as caught:
        user_code.load_function("run_fn", module_file=module)
    assert "Did you mean 'run_fm'?" in str(caught.value)


def test_a_name_that_is_no_function_says_what_it_is(write):
    module = write("model.py", "run_fn = 3")
    with pytest.raises(UserCodeError, match="its 'run_fn' is a int"):
        user_code.load_function("run_fn", module_file=module)


def test_a_module_that_does_not_import_shows_its_own_lines(write):
    write("broken_sibling.py", "def f():\n    return 1 / 0\n")
    module = write("model.py", "import broken_sibling\n\nbroken_sibling.f()\n")
    with pytest.raises(UserCodeError, match="ZeroDivisionError: division by zero") as caught:
        user_code.load_function("run_fn", module_file=module)
    text = str(caught.value)
    assert f"{Path(module).resolve()}:3" in text
    assert "broken_sibling.f()" in text
    assert str(caught.value.path).endswith("broken_sibling.py:2")
    assert "importlib" not in text


def test_a_syntax_error_shows_its_line(write):
    module = write("model.py", "x = 1\ndef run_fn(:\n    pass\n")
    with pytest.raises(UserCodeError, match="SyntaxError") as caught:
        user_code.load_function("run_fn", module_file=module)
    assert f"{Path(module).resolve()}:2" in str(caught.value)
    assert "def run_fn(:" in str(caught.value)


def test_a_dotted_name_without_a_module_says_what_to_give():
    with pytest.raises(ParameterError, match=r"as package\.module\.run_fn"):
        user_code.load_function("run_fn", function="run_fn")


def test_no_code_at_all_says_what_to_give():
    with pytest.raises(ParameterError, match="there is no code to take run_fn from"):
        user_code.load_function("run_fn")


def test_an_uninstalled_module_is_named():
    with pytest.raises(UserCodeError, match="'no_such_package' cannot be imported"):
        user_code.load_function("run_fn", function="no_such_package.model.run_fn")


def test_an_optional_function_may_be_absent(write):
    module = write("model.py", "def run_fn(): pass")
    assert user_code.find_function("stats_options_updater_fn", module_file=module) is None
    assert user_code.find_function("stats_options_updater_fn") is None
    assert user_code.find_function("run_fn", module_file=module) is not None


def test_an_optional_function_of_a_broken_module_is_an_error(write):
    module = write("model.py", "import no_such_module_at_all")
    with pytest.raises(UserCodeError, match="no_such_module_at_all"):
        user_code.find_function("stats_options_updater_fn", module_file=module)


def test_what_a_function_raises_shows_its_line(write):
    module = write("model.py", "def run_fn(x):\n    y = x\n    return y['label']\n")
    function = user_code.load_function("run_fn", module_file=module)
    with pytest.raises(UserCodeError, match="run_fn failed: KeyError: 'label'") as caught:
        user_code.run(function, {})
    assert str(caught.value.path).endswith("model.py:3")
    assert isinstance(caught.value.__cause__, KeyError)


async def run_fn(fn_args):
    """Train, some time."""


def test_an_async_function_has_not_run():
    with pytest.raises(UserCodeError) as raised:
        user_code.run(run_fn, None)
    assert "run_fn is an async function: calling it does not run its body" in str(raised.value)
    assert f"({__file__}:" in str(raised.value)


@pytest.fixture
def hiding(tmp_path, monkeypatch):
    """Make a file of a name importable before installed packages."""

    def hide(name: str, text: str) -> str:
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return str(file)

    yield hide
    for module in [m for m in sys.modules.values() if getattr(m, "__file__", None)]:
        if str(module.__file__).startswith(str(tmp_path)):
            del sys.modules[module.__name__]


def test_a_file_that_hides_an_installed_package_is_found(hiding):
    file = hiding("click_completion_of_mine", "x = 1")
    __import__("click_completion_of_mine")
    assert file not in user_code.hidden_packages(ValueError()).values()
    file = hiding("iniconfig", "x = 1")
    __import__("iniconfig")
    assert user_code.hidden_packages(ValueError())["iniconfig"] == file


def test_so_is_one_that_fails_while_it_is_imported(hiding):
    file = hiding("iniconfig", "raise RuntimeError('mine')")
    with pytest.raises(RuntimeError) as raised:
        __import__("iniconfig")
    assert user_code.hidden_packages(raised.value) == {"iniconfig": file}
