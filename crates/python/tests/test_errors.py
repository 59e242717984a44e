"""Mistakes are exceptions, in the words of the command line."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

import cei
from conftest import SMALL, in_folder, run_command


def words(call: Callable[[], object], kind: type[cei.CeiError]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_the_words_are_those_of_the_command(posterior: cei.Posterior, tmp_path: Path) -> None:
    def told(*arguments: Any) -> str:
        told = run_command(*arguments, cwd=tmp_path)
        assert told.returncode in (1, 2) and told.stderr.startswith("error: "), told
        return told.stderr.removeprefix("error: ").rstrip()

    typo = {"trainig": {"max_epochs": 1}}
    mistakes: list[tuple[Callable[[], object], type[cei.CeiError], list[Any]]] = [
        (lambda: cei.load("nowhere"), cei.RunFolderError, ["evaluate", "nowhere"]),
        (lambda: cei.simulate("ocs", 1), cei.ConfigError, ["simulate", "--preset", "ocs", "-o", "a.csv"]),
        (
            lambda: cei.simulate("ocs-wide", 1, changes={"detector.momentum_nois_au": 2}),
            cei.ConfigError,
            ["simulate", "--preset", "ocs-wide", "--set", "detector.momentum_nois_au=2", "-o", "a.csv"],
        ),
        (
            lambda: cei.train("wide-cinn", out=tmp_path / "new", changes=typo),
            cei.ConfigError,
            ["train", "--preset", "wide-cinn", "-o", "new", "--set", "trainig.max_epochs=1"],
        ),
        (lambda: posterior.sample("gone.csv"), cei.DataError, ["predict", posterior.path, "gone.csv", "-o", "d.csv"]),
        (
            lambda: cei.load(posterior.path, device="gpu"),
            cei.ConfigError,
            ["evaluate", posterior.path, "--device", "gpu"],
        ),
        (lambda: cei.calibrate(posterior, events=3), cei.CeiValueError, ["calibrate", posterior.path, "--events", 3]),
        (
            lambda: cei.train("wide-cinn", out=posterior.path),
            cei.RunFolderError,
            ["train", "--preset", "wide-cinn", "-o", posterior.path],
        ),
    ]
    for call, kind, arguments in mistakes:
        assert words(call, kind) == told(*arguments)


def test_hints_are_at_hand() -> None:
    with pytest.raises(cei.ConfigError) as caught:
        cei.simulate("ocs-wide", 1, changes={"detector.momentum_nois_au": 2})
    assert caught.value.hints == ["did you mean `momentum_noise_au`?"]


def test_wrong_shapes_are_value_errors(posterior: cei.Posterior, measured: cei.Events) -> None:
    y = measured.momenta
    for call, what in [
        (lambda: posterior.sample(y[:, :8]), r"momenta have the shape \(40, 8\), but must be \(rows, 9\)"),
        (lambda: posterior.sample("abc".split()[0:0]), "momenta"),
        (lambda: posterior.sample(y, -1), "`n` is `-1`"),
        (lambda: posterior.sample(y, 0), "must be at least 1"),
        (lambda: posterior.sample(y, seed=-1), "`seed` is `-1`"),
        (lambda: posterior.sample(y, columns=["a"]), "are for tables and files"),
        (lambda: posterior.log_prob(measured.positions[:3], y), "3 rows of positions, but 40 of momenta"),
        (lambda: posterior.log_prob(measured.positions, y, frame="lab"), "`frame` is `lab`"),
        (lambda: posterior.bond_lengths(np.zeros((4, 5))), "5"),
        (lambda: posterior.to_arviz(np.zeros((4, 5))), r"draws have the shape"),
        (lambda: cei.explode([[0, 0, 0], [1, 0, 0]], ["C", "O"]), "an element and a charge"),
        (lambda: cei.explode([[0, 0, 0], [1, 0, 0]], ["C", "Xy"], [1, 1]), "unknown element"),
        (lambda: cei.explode([[0, 0, 0]], ["C", "O"], [1, 1]), "components"),
        (lambda: cei.evaluate(posterior, split="training"), "`split`"),
        (lambda: cei.train("wide-cinn"), "`out` is missing"),
        (lambda: cei.train("wide-cinn", data=3, out="x"), "`data` is int"),
    ]:
        with pytest.raises(ValueError, match=what):
            call()


def test_cells_that_are_no_numbers_are_named(posterior: cei.Posterior, measured: cei.Events) -> None:
    momenta = measured.momenta.copy()
    momenta[4, 2] = np.nan
    assert words(lambda: posterior.sample(momenta), cei.DataError).startswith(
        f"`the table`, row 5, column `{posterior.momentum_names[2]}`: "
    )


def test_momenta_that_are_no_measurements_have_no_draws(posterior: cei.Posterior, measured: cei.Events) -> None:
    momenta = measured.momenta.copy()
    momenta[4] *= 1e9
    with pytest.warns(cei.CeiWarning, match="no measurement"):
        draws = posterior.sample(momenta, 3)
    assert np.isnan(draws[4]).all() and np.isfinite(np.delete(draws, 4, axis=0)).all()


def test_a_cvae_has_no_density(events: cei.Events, measured: cei.Events, tmp_path: Path) -> None:
    small = {"model": {"encoder_hidden": [16], "decoder_hidden": [16]}, "training": {"max_epochs": 1, "patience": 1}}
    cvae = cei.train("wide-cvae", data=events, out=tmp_path / "run", changes=small)
    with pytest.raises(cei.NotPossibleError, match="has no exact density"):
        cvae.log_prob(measured.positions, measured.momenta)


def test_a_run_is_pickled_by_its_folder(posterior: cei.Posterior, measured: cei.Events) -> None:
    again = pickle.loads(pickle.dumps(posterior))
    assert np.array_equal(again.sample(measured.momenta, 3), posterior.sample(measured.momenta, 3))


def test_other_threads_run_meanwhile(posterior: cei.Posterior, measured: cei.Events) -> None:
    """Python's lock is released: a counter goes on."""
    counted, done = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    begun = time.monotonic()
    posterior.sample(measured.momenta, 20_000)
    seconds = time.monotonic() - begun
    done.set()
    thread.join()
    # A held lock lets it count between chunks only, which are told every 100 ms.
    assert counted > 100 * seconds


def test_progress_is_told_and_may_end_the_call(posterior: cei.Posterior, measured: cei.Events) -> None:
    steps: list[tuple[int, int]] = []
    posterior.sample(measured.momenta, 10, progress=lambda done, total, text: steps.append((done, total)))
    assert steps[-1] == (40, 40)

    def enough(done: int, total: int, text: str) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        posterior.sample(measured.momenta, 10, progress=enough)


def hear_ctrl_c() -> None:
    """In a shell's background the signal is ignored, and whoever is begun there inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


INTERRUPTED = """
import sys
import cei
try:
    {call}
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("what", ["sample", "train", "simulate", "evaluate"])
def test_ctrl_c_ends_long_calls(what: str, posterior: cei.Posterior, tmp_path: Path) -> None:
    """A signal once the call has begun ends it."""
    progress = "progress=lambda *_: print('begun', flush=True)"
    table = f"{posterior.path!r} + '/table.parquet'"
    call = {
        "sample": f"cei.load({posterior.path!r}).sample({table}, 9_000, {progress})",
        "train": f"cei.train('wide-spline', data={table}, out='run', changes={{'training.patience': 1000}}, {progress})",
        "simulate": f"cei.simulate('ocs-wide', n=50_000_000, {progress})",
        "evaluate": f"cei.evaluate({posterior.path!r}, data={table}, draws=200, {progress})",
    }[what]
    code = INTERRUPTED.format(call=call)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=hear_ctrl_c,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert out.endswith("interrupted\n") and process.returncode == 0, (out[-200:], error)
    if what == "train":
        # The state is saved, and the folder is free.
        told = run_command("train", "-o", tmp_path / "run", "--resume", "--set", "training.max_epochs=1")
        assert "hold" not in told.stderr and (tmp_path / "run" / "checkpoint.safetensors").exists(), told.stderr


def test_the_command_of_the_wheel_keeps_exit_codes(tmp_path: Path) -> None:
    assert run_command("--version").stdout.startswith("cei ")
    assert run_command("--version").returncode == 0
    assert run_command("simulate", "--bogus").returncode == 2
    assert run_command("evaluate", tmp_path / "nowhere").returncode == 1
    told = in_folder(
        "import cei._command, sys; sys.argv = ['cei', 'config', '--preset', 'ocs']; cei._command.main()", tmp_path
    )
    assert told.returncode == 2 and "unknown preset" in told.stderr


def test_ctrl_c_ends_the_command(tmp_path: Path) -> None:
    """With 130, and without a trace of unfinished files."""
    import sysconfig

    command = str(Path(sysconfig.get_path("scripts")) / "cei")
    words = [command, "simulate", "--preset", "ocs-wide", "--events", "50000000", "-o", "events.csv"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=tmp_path, preexec_fn=hear_ctrl_c)
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    try:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
    assert not [path.name for path in tmp_path.iterdir() if "partial" in path.name]


def test_the_command_does_not_load_numpy(tmp_path: Path) -> None:
    """It begins at once, and has no threads that would take its signals."""
    told = in_folder(
        "import cei, sys; print('numpy' in sys.modules, sorted(cei.presets())); print('numpy' in sys.modules)", tmp_path
    )
    assert told.stdout.split("\n")[0].startswith("False"), told
