"""The commands that read work without what only POSIX has, as on Windows."""

import pytest

from tests import acme, factories

# Loaded by Python before the program: removes the names that Windows does not have.
WITHOUT_POSIX = """
import builtins, os, signal, stat, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {"fcntl", "grp", "pwd", "resource", "termios"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
for name in ("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "fchmod", "fork", "geteuid",
             "getuid", "killpg", "setsid"):
    delattr(os, name)
for name in ("SIGALRM", "SIGHUP", "SIGKILL"):
    delattr(signal, name)

real_open = os.open

def open_file(path, flags, mode=0o777, *, dir_fd=None):
    if dir_fd is not None:
        raise NotImplementedError("dir_fd unavailable on this platform")
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return real_open(path, flags, mode)

os.open = open_file
os.supports_dir_fd = os.supports_fd = os.supports_follow_symlinks = frozenset()
open(os.environ["LOADED"], "w").close()
"""


@pytest.fixture
def outside(tmp_path_factory):
    """A folder outside of the repository, with the module that removes POSIX."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "sitecustomize.py").write_text(WITHOUT_POSIX)
    return folder


@pytest.fixture
def run(world, outside):
    """Run a command without POSIX in a repository with files in nested folders."""
    repo = world(factories.seed(acme.live_flag("a", 10), acme.live_flag("b", 10)))
    repo.write("reconciler.yaml", "version: 1\ntargets: {default: {paths: [config]}}\n")
    repo.write("config/a.yaml", acme.flag("a", 50))
    repo.write("config/deep/er/b.yaml", acme.flag("b", 10))
    repo.commit()
    environ = {"PYTHONPATH": str(outside), "LOADED": str(outside / "loaded")}

    def run_command(*words):
        done = repo.run(*words, real_process=True, **environ)
        assert (outside / "loaded").exists()
        return done

    run_command.folder = repo.folder
    return run_command


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("validate",), 0, "Valid: 2 resources"),
        (("plan",), 0, "1 to update"),
        (("plan", "--out", "plan.json"), 0, "1 to update"),
        (("drift",), 2, "rollout_percentage"),
        (("explain", "FeatureFlag"), 0, "filters"),
        (("schema",), 0, "FeatureFlag"),
        (("pull", "--out", "pulled"), 0, "pulled"),
        (("apply", "--yes"), 0, "1 done"),
    ],
)
def test_a_command_works_without_posix(run, words, code, text):
    """Its output and exit code are those of any other machine."""
    done = run(*words)

    assert (code, True) == (done.code, text in done.out), done.out + done.err


def test_links_out_of_the_repository_are_refused_without_posix(run, outside):
    """A link to a file, to a folder, and a link inside the repository, which is fine."""
    (outside / "secret.yaml").write_text("kind: Secret\n")
    (outside / "secrets").mkdir()
    (run.folder / "config/file.yaml").symlink_to(outside / "secret.yaml")
    (run.folder / "config/folder").symlink_to(outside / "secrets")
    (run.folder / "config/inside.yaml").symlink_to("deep/er/b.yaml")

    done = run("validate")

    assert 1 == done.code
    assert "config/file.yaml:1:1: leads out of the repository" in done.err
    assert "config/folder:1:1: leads out of the repository" in done.err
    assert "inside.yaml" not in done.err
    assert "Secret" not in done.err
