from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.errors import RunError
from penstock.execution.daemon import asking, places, starting
from penstock.project.keras import child_environment
from penstock_support import IMPORT_PATH, daemons
from penstock_support.daemons import children, is_alive
from penstock_support.processes import wait_until

# Each has a daemon of its own, or none.
pytestmark = pytest.mark.cold


def status(project) -> asking.DaemonStatus:
    found = asking.status_of(str(project))
    assert found is not None
    return found


def files(process_id: int) -> int:
    return len(os.listdir(f"/proc/{process_id}/fd"))


def under_way(project) -> subprocess.Popen[bytes]:
    """Start a run that waits, and return when its node has begun, with a nursery of the daemon."""
    process = subprocess.Popen(
        [sys.executable, daemons.__file__, str(project)], env=child_environment()
    )
    wait_until((project / "begun").exists)
    assert status(project).under_way > 0
    return process


def test_a_run_gets_its_nurseries_from_the_daemon(daemon, run, log, project):
    assert 0 <= run(daemons.drawing) < 1
    assert status(project).lent >= 1
    assert "they come of a copy of the project's daemon instead" in log()


def test_a_run_without_a_daemon_makes_its_own_nursery(project, run, log):
    assert 0 <= run(daemons.drawing) < 1
    assert "daemon" not in log()


def test_a_run_that_is_not_told_of_a_daemon_uses_none(daemon, run, project):
    run(daemons.drawing, daemon=False)
    assert status(project).lent == 0


@pytest.mark.parametrize(("variable", "value"), [(asking.VARIABLE, "off"), ("CI", "true")])
def test_a_variable_keeps_runs_from_using_the_daemon(
    daemon, run, project, monkeypatch, variable, value
):
    monkeypatch.delenv(asking.VARIABLE)
    monkeypatch.setenv(variable, value)
    run(daemons.drawing)
    assert status(project).lent == 0


def test_workers_have_around_them_what_those_of_a_new_process_have(
    daemon, run, project, monkeypatch, tmp_path
):
    monkeypatch.setenv("SEEN_BY_THE_RUN", "ä\udc80")
    monkeypatch.delenv("PATH")
    monkeypatch.syspath_prepend(tmp_path / "more")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before, files, ignored = os.umask(0o027), resource.getrlimit(resource.RLIMIT_NOFILE), {}
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files[0] - 1, files[1]))
        ignored = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGUSR1, signal.SIGHUP)}
        seen = [json.loads(run(daemons.looking, daemon=asked)) for asked in (True, False)]
    finally:
        os.umask(before)
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        for number, handler in ignored.items():
            signal.signal(number, handler)
    assert status(project).lent >= 1
    for each in seen:  # which readline, where pytest has it, tells new processes alone
        for name in ("COLUMNS", "LINES"):
            each["environment"].pop(name, None)
    assert seen[0] == seen[1]


def test_edited_code_of_the_user_is_what_runs(daemon, run, project, monkeypatch):
    monkeypatch.syspath_prepend(project)
    module = project / "says_of_a_daemons_project.py"
    for number, text in enumerate(("first", "second")):
        module.write_text(daemons.EDITED.format(text=text + " " * number))
        sys.modules.pop(module.stem, None)
        importlib.invalidate_caches()
        says = importlib.import_module(module.stem).says
        assert run(says, round=number).strip() == text
    assert status(project).lent >= 2


def test_runs_draw_other_random_numbers_than_each_other(daemon, run):
    assert run(daemons.drawing) != run(daemons.drawing)


def test_a_variable_that_counts_at_import_makes_a_new_nursery(
    daemon, run, log, project, monkeypatch
):
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    run(daemons.drawing)
    assert status(project).lent == 0
    assert "the variable TF_DETERMINISTIC_OPS is '1' in the run, and is not set in it" in log()


def test_a_module_of_the_run_that_hides_an_installed_one_makes_a_new_nursery(
    daemon, run, log, tmp_path, monkeypatch
):
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "numpy.py").touch()
    monkeypatch.syspath_prepend(hiding)
    with pytest.raises(RunError, match="has no attribute 'random'"):  # as without a daemon
        run(daemons.drawing)
    assert f"{hiding}/numpy.py comes before the installed numpy" in log()


def test_a_folder_of_the_run_behind_what_is_installed_hides_nothing(
    daemon, run, log, tmp_path, monkeypatch
):
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "numpy.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(behind)])
    run(daemons.drawing)
    assert "they come of a copy of the project's daemon instead" in log()


def test_a_changed_module_of_the_daemons_has_it_started_anew(
    project, run, log, tmp_path, monkeypatch
):
    packages = tmp_path / "packages"
    packages.mkdir()
    module = packages / "sitecustomize.py"
    module.write_text("")
    monkeypatch.setenv("PYTHONPATH", f"{packages}{os.pathsep}{IMPORT_PATH}")
    first = asking.start(str(project), ["numpy"], 600)
    module.write_text("edited = True")
    run(daemons.drawing)
    assert f"lends none: {module} " in log()
    wait_until(lambda: (found := asking.status_of(str(project))) and found.imported == ("numpy",))
    run(daemons.drawing)
    assert status(project).process_id != first.process_id
    assert status(project).lent >= 1


def test_the_user_s_modules_are_never_imported_by_the_daemon(project):
    assert asking.start(str(project), ["penstock_support", "json.tool"], 600).imported == (
        "json.tool",
    )


def test_what_a_run_has_asked_for_is_imported_for_the_next(project, run):
    asking.start(str(project), [], 600)
    run(daemons.drawing)
    wait_until(lambda: status(project).imported == ("numpy",))


def test_no_file_and_no_process_is_left_of_runs(daemon, run, project):
    run(daemons.drawing)
    wait_until(lambda: status(project).under_way == 0)
    before = files(daemon.process_id)
    for _ in range(3):
        run(daemons.drawing)
    wait_until(lambda: status(project).under_way == 0)
    wait_until(lambda: files(daemon.process_id) <= before)  # it has closed what answered us
    assert children(daemon.process_id) == []


def test_a_run_goes_on_whose_daemon_is_killed(daemon, project, tmp_path):
    process = under_way(project)
    os.kill(daemon.process_id, signal.SIGKILL)
    (project / "end").touch()
    assert process.wait() == 0


def test_a_run_does_without_a_daemon_that_was_killed(daemon, run, project):
    os.kill(daemon.process_id, signal.SIGKILL)
    wait_until(lambda: not is_alive(daemon.process_id))
    assert 0 <= run(daemons.drawing) < 1
    assert asking.status_of(str(project)) is None


def test_a_daemon_can_be_started_where_one_was_killed(daemon, project):
    os.kill(daemon.process_id, signal.SIGKILL)
    wait_until(lambda: not is_alive(daemon.process_id))
    assert asking.start(str(project), [], 600).process_id != daemon.process_id


def test_a_daemon_that_hangs_keeps_no_run(daemon, run, log):
    os.kill(daemon.process_id, signal.SIGSTOP)
    try:
        assert 0 <= run(daemons.drawing) < 1
    finally:
        os.kill(daemon.process_id, signal.SIGCONT)
    assert "it does not answer" in log()


def test_a_killed_run_ends_its_nursery_and_workers(daemon, project):
    process = under_way(project)
    nurseries = children(daemon.process_id)
    family = [*nurseries, *(worker for nursery in nurseries for worker in children(nursery))]
    assert len(family) > len(nurseries) > 0
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_alive, family)))
    assert status(project).under_way == 0


def test_a_daemon_that_is_stopped_lets_its_runs_end(daemon, project):
    process = under_way(project)
    asking.stop(str(project))
    assert asking.status_of(str(project)) is None
    (project / "end").touch()
    assert process.wait() == 0
    wait_until(lambda: not is_alive(daemon.process_id))


def test_a_daemon_that_nobody_needs_ends(project):
    found = asking.start(str(project), [], 0.2)
    wait_until(lambda: not is_alive(found.process_id))


def test_a_daemon_ends_with_its_project(daemon, project, monkeypatch):
    monkeypatch.chdir(Path(project).parent)
    shutil.rmtree(project)
    wait_until(lambda: not is_alive(daemon.process_id))
    project.mkdir()


def test_starting_a_daemon_twice_gives_the_one_that_is_there(daemon, project):
    assert asking.start(str(project), [], 600).process_id == daemon.process_id


def test_a_daemon_with_other_variables_is_started_in_the_place_of_one(daemon, project, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert asking.start(str(project), [], 600).process_id != daemon.process_id
    monkeypatch.delenv("OMP_NUM_THREADS")


def test_a_daemon_without_runs_makes_room_for_a_run_that_it_differs_from(
    project, run, log, monkeypatch
):
    options = starting.Options(str(project), yield_seconds=0)
    with places.opened(str(project), os.environ) as place:
        assert starting.start(options, place, os.environ).wait()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run(daemons.drawing)
    assert asking.status_of(str(project)) is None
    assert "OMP_NUM_THREADS is '1' in the run, and is not set in it; it makes room" in log()


def test_a_daemon_that_had_a_run_just_now_makes_no_room(daemon, run, log, project, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run(daemons.drawing)
    assert status(project).process_id == daemon.process_id
    assert "makes room" not in log()
    monkeypatch.delenv("OMP_NUM_THREADS")


def test_another_project_has_no_daemon(daemon, project):
    (project / "below").mkdir()
    assert asking.status_of(str(project / "below")) is None


def test_cells_of_a_notebook_get_their_workers_from_the_daemon(daemon, project):
    from penstock.runners.local.display import Silent
    from penstock.surfaces.notebook.session import Session

    session = Session("cells", display=Silent())
    try:
        session.run(daemons.Draws(folder=str(project)))
        assert status(project).under_way >= 1
    finally:
        session.close()
    wait_until(lambda: status(project).under_way == 0)


@pytest.mark.needs("tensorflow")
def test_copies_of_a_daemon_that_has_tensorflow_train(project, run):
    found = asking.start(str(project), ["tensorflow"], 600)
    assert (found.imported, found.refuses) == (("tensorflow",), "")
    assert run(daemons.training) > 0
    assert run(daemons.training) > 0
    assert status(project).lent >= 2


def test_a_daemon_with_threads_lends_nothing(project, run, log, tmp_path, monkeypatch):
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "sitecustomize.py").write_text(
        "import sys, threading\n"
        "if 'penstock.execution.daemon' in sys.orig_argv:\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{packages}{os.pathsep}{IMPORT_PATH}")
    os.utime(packages / "sitecustomize.py", (1, 1))
    assert "Python has 2 threads" in asking.start(str(project), [], 600).refuses
    run(daemons.drawing)
    assert status(project).lent == 0
    assert "lends none" in log()
