"""`lazy_imports.defer`: a module runs when a name of it is needed."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import ModuleType

import pytest

from reconciler.cli.parsing import lazy_imports

THREADS = 8


@pytest.fixture
def deferred(tmp_path, monkeypatch):
    """Return a function that writes a module, defers it and imports it."""
    names = []

    def make(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        lazy_imports.defer([name])
        return __import__(name)

    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for name in names:
        del sys.modules[name]


def test_a_module_runs_once_when_many_threads_need_it(deferred, tmp_path):
    """Each of them sees it whole; afterwards it is an ordinary module."""
    log = tmp_path / "log"
    text = f"with open({str(log)!r}, 'a') as log:\n    log.write('ran\\n')\nvalue = 5\n"
    module, start = deferred("deferred_once", text), Barrier(THREADS)
    assert not log.exists()

    def read(_):
        start.wait()
        return module.value

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(read, range(THREADS))) == [5] * THREADS
    assert log.read_text() == "ran\n"
    assert type(module) is ModuleType
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = module.other


def test_a_module_that_could_not_run_is_tried_again(deferred):
    """As after an ordinary import that failed; and a name of its own that is not set is missing."""
    text = (
        "import sys\n"
        "had_value = hasattr(sys.modules[__name__], 'value')\n"
        "if not sys.deferred_again_is_ready:\n    raise OSError('not yet')\nvalue = 1\n"
    )
    module, sys.deferred_again_is_ready = deferred("deferred_again", text), False
    try:
        with pytest.raises(OSError, match="not yet"):
            _ = module.value
        sys.deferred_again_is_ready = True

        assert (module.value, module.had_value) == (1, False)
    finally:
        del sys.deferred_again_is_ready


def test_a_module_that_is_loaded_or_does_not_exist_is_left_alone():
    """Nothing is put in its place."""
    before = sys.modules["json"] if "json" in sys.modules else __import__("json")

    lazy_imports.defer(["json", "no_such_module_anywhere"])

    assert sys.modules["json"] is before
    assert "no_such_module_anywhere" not in sys.modules
