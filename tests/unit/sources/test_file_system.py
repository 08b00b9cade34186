"""When a version is taken up, dropped and tried again, and what is said about it."""

import logging
import os
import shutil
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from fastserve.config.models import (
    AllPolicy,
    LatestPolicy,
    ModelConfig,
    SpecificPolicy,
    VersionPolicy,
)
from fastserve.errors import (
    FAILED_PRECONDITION,
    INTERNAL,
    PERMISSION_DENIED,
    ServingError,
)
from fastserve.sources import file_system
from fastserve.sources.file_system import SETTLE_WAIT_S, FileSystemSource

WAIT_S = 20


class Listener:
    """Keeps what a source tells; `failed` holds the versions that could not be loaded."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        """Model and what was told of it: the set of versions, an error's text, None, "retry n"."""
        self.failed: dict[str, set[int]] = {}
        self.broken: set[str] = set()
        self.seen = threading.Condition()

    def set_aspired(self, name: str, versions: Mapping[int, str]) -> None:
        if name in self.broken:
            raise RuntimeError("broken")
        self._tell(name, dict(versions))

    def set_source_error(self, name: str, error: ServingError | None) -> None:
        self._tell(name, str(error) if error else None)

    def failed_versions(self, name: str) -> Collection[int]:
        return self.failed.get(name, set())

    def retry(self, name: str, version: int) -> None:
        self._tell(name, f"retry {version}")

    def _tell(self, name: str, what: object) -> None:
        with self.seen:
            self.told.append((name, what))
            self.seen.notify_all()

    def wait_for(self, name: str, what: object, times: int = 1) -> None:
        with self.seen:
            assert self.seen.wait_for(lambda: self.told.count((name, what)) >= times, WAIT_S)

    def take(self) -> list[object]:
        """Returns what was told since the last call, of all models."""
        told = [what for _, what in self.told]
        self.told.clear()
        return told

    def versions(self, name: str = "m") -> list[int]:
        """Returns the versions of a model as last told."""
        sets = [what for model, what in self.told if model == name and isinstance(what, dict)]
        return sorted(sets[-1])

    def outcomes(self, name: str = "m") -> list[object]:
        """Returns the errors, and their ends."""
        return [what for model, what in self.told if model == name and not isinstance(what, dict)]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "m"
    path.mkdir()
    return path


def add(base: Path, name: str, *, whole: bool = True) -> Path:
    version = base / name
    version.mkdir(parents=True)
    (version / "variables").mkdir()
    if whole:
        (version / "saved_model.pb").write_bytes(b"graph")
    return version


def model(base: Path, policy: VersionPolicy | None = None, name: str = "m") -> ModelConfig:
    return ModelConfig(name=name, base_path=str(base), version_policy=policy or LatestPolicy())


def source(
    base: Path,
    listener: Listener,
    policy: VersionPolicy | None = None,
    *,
    always_present: bool = False,
    fail_if_no_versions: bool = False,
) -> FileSystemSource:
    watched = FileSystemSource(
        listener,
        poll_wait_s=1,
        always_present=always_present,
        fail_if_no_versions=fail_if_no_versions,
    )
    watched.set_models([model(base, policy)])
    return watched


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


# Taking versions up.


def test_first_look_takes_what_has_a_main_file(base: Path, listener: Listener) -> None:
    add(base, "1")
    add(base, "2", whole=False)
    assert source(base, listener).poll()
    assert listener.take() == [{1: f"{base}/1"}, None]


@pytest.mark.parametrize("file", ["saved_model.pb", "saved_model.pbtxt", "model.tflite"])
def test_version_found_later_is_taken_at_the_second_equal_look(
    base: Path, listener: Listener, file: str
) -> None:
    add(base, "1")
    watched = source(base, listener)
    assert not watched.poll()
    (add(base, "2", whole=False) / file).write_bytes(b"graph")
    assert watched.poll()
    assert listener.versions() == [1]
    assert not watched.poll()
    assert listener.versions() == [2]


def test_base_path_that_appears_later_is_not_taken_at_first_sight(
    base: Path, listener: Listener
) -> None:
    watched = source(base / "late", listener)
    watched.poll()
    add(base / "late", "1")
    assert watched.poll()
    assert listener.versions() == []
    assert not watched.poll()
    assert listener.versions() == [1]


def test_version_that_is_still_copied_is_left_alone_until_it_rests(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    data = add(base, "2") / "variables" / "variables.data"
    for size in range(1, 5):  # The file grows between any two looks.
        data.write_bytes(b"x" * size)
        assert watched.poll()
        assert listener.versions() == [1]
    assert not watched.poll()
    assert listener.versions() == [2]


def test_copy_without_its_main_file_never_pushes_the_old_version_out(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    half = add(base, "2", whole=False)
    shutil.rmtree(base / "1")
    for _ in range(3):
        assert watched.poll()
        assert listener.versions() == [1]
    (half / "saved_model.pb").write_bytes(b"graph")
    watched.poll()
    watched.poll()
    assert listener.versions() == [2]


def test_half_version_that_would_not_be_wanted_keeps_nobody_busy(
    base: Path, listener: Listener
) -> None:
    add(base, "1", whole=False)
    add(base, "3")
    watched = source(base, listener)
    assert not watched.poll()
    add(base, "2", whole=False)
    assert not watched.poll()
    assert listener.versions() == [3]


def test_older_version_that_was_there_from_the_start_is_taken_at_once_when_wanted(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    add(base, "2")
    watched = source(base, listener)
    watched.poll()
    shutil.rmtree(base / "2")
    assert not watched.poll()
    assert listener.versions() == [1]


def test_plain_file_is_taken_as_a_version(base: Path, listener: Listener) -> None:
    (base / "5").touch()
    assert not source(base, listener).poll()
    assert listener.take() == [{5: f"{base}/5"}, None]


def test_removed_version_is_dropped_and_looked_at_anew_when_it_returns(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    add(base, "2")
    watched = source(base, listener, LatestPolicy(num_versions=2))
    watched.poll()
    shutil.rmtree(base / "2")
    watched.poll()
    assert listener.versions() == [1]
    add(base, "2")
    watched.poll()
    assert listener.versions() == [1]
    watched.poll()
    assert listener.versions() == [1, 2]


def test_every_poll_tells_the_set_and_only_the_first_an_outcome(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    watched = source(base, listener)
    for _ in range(3):
        watched.poll()
    assert listener.take() == [{1: f"{base}/1"}, None, {1: f"{base}/1"}, {1: f"{base}/1"}]


def test_quiet_poll_looks_into_no_version(
    base: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    monkeypatch.delattr(file_system, "fingerprint")
    monkeypatch.delattr(file_system, "is_complete")
    monkeypatch.delattr(file_system, "find_versions")
    watched.poll()
    assert listener.outcomes() == [None]


def test_base_path_that_is_a_link_may_be_pointed_elsewhere(base: Path, listener: Listener) -> None:
    add(base / "a", "1")
    add(base / "b", "2")
    current = base / "current"
    current.symlink_to("a")
    watched = source(current, listener)
    watched.poll()
    (base / "next").symlink_to("b")
    (base / "next").replace(current)
    watched.poll()
    watched.poll()
    assert listener.versions() == [2]


# What a policy lacks.


def test_missing_specific_versions_are_told_once_a_change(
    base: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    add(base, "0042")
    add(base, "7")
    watched = source(base, listener, SpecificPolicy(frozenset([42, 8, 9])))
    watched.poll()
    watched.poll()
    assert listener.versions() == [42]

    def text(version: int) -> str:
        return (
            f"Version {version} of servable m, which was requested to be served as a 'specific' "
            "version in the servable's version policy, was not found in the file system"
        )

    assert messages(caplog, logging.WARNING) == [text(8), text(9)]
    add(base, "8")
    watched.poll()
    watched.poll()
    assert listener.versions() == [8, 42]
    shutil.rmtree(base / "8")
    watched.poll()
    assert messages(caplog, logging.WARNING) == [text(8), text(9), text(8)]


def test_specific_policy_without_versions_wants_nothing_and_says_so(
    base: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    add(base, "1")
    watched = source(base, listener, SpecificPolicy(frozenset()))
    watched.poll()
    watched.poll()
    assert listener.take() == [{}, None, {}]
    assert messages(caplog, logging.WARNING) == ["No specific versions requested for servable m."]


@pytest.mark.parametrize(
    ("policy", "level", "taken"),
    [(LatestPolicy(), logging.WARNING, "1"), (AllPolicy(), logging.ERROR, "001")],
)
def test_second_name_of_a_version_is_told_once(
    base: Path,
    listener: Listener,
    caplog: pytest.LogCaptureFixture,
    policy: VersionPolicy,
    level: int,
    taken: str,
) -> None:
    add(base, "1")
    add(base, "001")
    watched = source(base, listener, policy)
    watched.poll()
    watched.poll()
    assert listener.told[0] == ("m", {1: f"{base}/{taken}"})
    (message,) = messages(caplog, level)
    assert message.startswith("Duplicate version directories detected. Version 1 ")


def test_empty_base_path_wants_nothing_and_is_told_once(
    base: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    add(base, "1")
    watched = source(base, listener, fail_if_no_versions=True)
    watched.poll()
    shutil.rmtree(base / "1")
    watched.poll()
    watched.poll()
    assert listener.versions() == []
    assert listener.outcomes() == [None]
    assert messages(caplog, logging.WARNING) == [
        f"No versions of servable m found under base path {base}. Did you forget to name your leaf "
        "directory as a number (eg. '/1/')?"
    ]


def test_model_that_must_start_with_a_version_is_in_error_until_it_has_one(
    base: Path, listener: Listener
) -> None:
    watched = source(base, listener, fail_if_no_versions=True)
    watched.poll()
    watched.poll()
    error = f"NOT_FOUND: Unable to find a numerical version path for servable m at: {base}"
    assert listener.take() == [error, {}, {}]
    add(base, "1")
    watched.poll()
    watched.poll()
    assert listener.take() == [{}, None, {1: f"{base}/1"}]


def test_model_that_must_always_have_a_version_keeps_its_last_ones(
    base: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    add(base, "1")
    watched = source(base, listener, always_present=True)
    watched.poll()
    shutil.rmtree(base / "1")
    watched.poll()
    watched.poll()
    error = f"NOT_FOUND: Unable to find a numerical version path for servable m at: {base}"
    kept = {1: f"{base}/1"}
    assert listener.take() == [kept, None, error, kept, kept]
    assert messages(caplog, logging.ERROR) == ["Refusing to unload all versions for Servable: m"]
    add(base, "2")
    watched.poll()
    watched.poll()
    assert listener.take() == [kept, None, {2: f"{base}/2"}]


# Base paths that cannot be read.


def test_missing_base_path_changes_nothing_and_is_told_once_a_change(
    base: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    listener.take()
    text = f"Could not find base path {base} for servable m with error NOT_FOUND: {base} not found"
    line = f"FileSystemStoragePathSource encountered a filesystem access error: {text}"
    for times in (1, 2):
        base.rename(base.with_name("away"))
        for _ in range(3):
            assert not watched.poll()
        assert listener.take() == [f"NOT_FOUND: {text}"]
        assert messages(caplog, logging.ERROR) == [line] * times
        base.with_name("away").rename(base)
        assert not watched.poll()
        assert listener.take() == [{1: f"{base}/1"}, None]


@pytest.mark.parametrize(
    ("raised", "code", "cause"),
    [
        (None, FAILED_PRECONDITION, "FAILED_PRECONDITION: {base}; Not a directory"),
        (PermissionError, PERMISSION_DENIED, "PERMISSION_DENIED: {base}; Permission denied"),
    ],
)
def test_base_path_that_cannot_be_listed_is_an_error_of_its_kind(
    base: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    raised: type[OSError] | None,
    code: int,
    cause: str,
) -> None:
    errors: list[ServingError | None] = []
    monkeypatch.setattr(listener, "set_source_error", lambda _, error: errors.append(error))
    base.rmdir()
    base.touch()
    if raised:  # Root may list anything.

        def denied(path: str) -> None:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(file_system, "list_names", denied)
    source(base, listener).poll()
    (error,) = errors
    assert error is not None
    assert error.code == code
    assert error.message == (
        f"Could not find base path {base} for servable m with error {cause.format(base=base)}"
    )


def test_base_path_that_is_not_utf8_gives_an_error_that_can_be_sent(
    base: Path, listener: Listener
) -> None:
    watched = source(base / os.fsdecode(b"\xff"), listener)
    watched.poll()
    (error,) = listener.take()
    assert isinstance(error, str)
    assert error.encode().endswith(rb"\udcff not found")


def test_missing_base_path_does_not_keep_other_models_from_updates(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.set_models([model(base / "gone", name="gone"), model(base)])
    watched.poll()
    assert listener.versions() == [1]


def test_fault_in_one_model_is_logged_once_and_leaves_the_others_alone(
    base: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.set_models([model(base, name="a"), model(base)])
    listener.broken = {"a"}
    watched.poll()
    watched.poll()
    assert listener.versions() == [1]
    (fault,) = listener.outcomes("a")
    text = "Looking for versions of servable a failed: RuntimeError: broken"
    assert fault == str(ServingError(INTERNAL, text))
    (record,) = caplog.records
    assert record.exc_info is not None
    listener.broken = set()
    watched.poll()
    assert listener.versions("a") == [1]
    assert listener.outcomes("a") == [fault, None]


def test_listener_that_refuses_everything_does_not_end_polling(
    base: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(base, "1")

    def refuse(name: str, _: object) -> None:
        raise RuntimeError(name)

    watched = source(base, listener)
    with monkeypatch.context() as broken:
        broken.setattr(listener, "set_aspired", refuse)
        broken.setattr(listener, "set_source_error", refuse)
        watched.poll()
        watched.set_models([])
        watched.poll()
    watched.set_models([model(base)])
    watched.poll()
    assert listener.versions() == [1]


# Failed versions.


@pytest.fixture
def failing(base: Path, listener: Listener) -> Path:
    """A version that the listener could not load."""
    listener.failed = {"m": {1}}
    return add(base, "1")


def test_failed_version_is_tried_again_once_its_files_have_changed_and_rest(
    base: Path, listener: Listener, failing: Path
) -> None:
    watched = source(base, listener)
    for _ in range(3):
        assert not watched.poll()
    for size in (10, 20):
        (failing / "saved_model.pb").write_bytes(b"x" * size)
        assert watched.poll()
        assert "retry 1" not in listener.take()
    assert not watched.poll()
    assert listener.take() == [{1: f"{base}/1"}, "retry 1"]
    for _ in range(3):
        assert not watched.poll()
    assert "retry 1" not in listener.take()


def test_version_that_was_mended_before_its_load_had_failed_is_tried_again(
    base: Path, listener: Listener, failing: Path
) -> None:
    listener.failed = {}
    watched = source(base, listener)
    watched.poll()
    (failing / "saved_model.pb").write_bytes(b"mended")
    watched.poll()
    listener.failed = {"m": {1}}
    watched.poll()
    watched.poll()
    assert listener.take()[-1] == "retry 1"


def test_failed_version_without_its_main_file_is_not_tried(
    base: Path, listener: Listener, failing: Path
) -> None:
    watched = source(base, listener)
    watched.poll()
    (failing / "saved_model.pb").unlink()
    for _ in range(3):
        assert watched.poll()
    (failing / "saved_model.pb").write_bytes(b"new")
    assert watched.poll()
    assert "retry 1" not in listener.take()
    assert not watched.poll()
    assert "retry 1" in listener.take()


def test_failed_version_that_is_not_wanted_any_more_is_not_looked_into(
    base: Path, listener: Listener, failing: Path
) -> None:
    add(base, "2")
    watched = source(base, listener)
    watched.poll()
    (failing / "saved_model.pb").write_bytes(b"mended")
    assert not watched.poll()


def test_failed_version_is_tried_at_another_base_path(
    base: Path, listener: Listener, failing: Path
) -> None:
    watched = source(base, listener)
    watched.poll()
    add(base / "other", "1")
    watched.set_models([model(base / "other")])
    watched.poll()
    watched.poll()
    assert listener.take()[-2:] == [{1: f"{base}/other/1"}, "retry 1"]


# The set of models.


def test_model_that_is_left_out_is_told_once_more(base: Path, listener: Listener) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    listener.take()
    watched.set_models([])
    watched.poll()
    watched.poll()
    assert listener.told == [("m", {})]


def test_model_that_comes_back_is_looked_at_afresh(base: Path, listener: Listener) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    watched.set_models([])
    watched.poll()
    add(base, "2")
    watched.set_models([model(base)])
    listener.take()
    watched.poll()
    assert listener.take() == [{2: f"{base}/2"}, None]


def test_model_that_leaves_and_returns_between_two_polls_gives_its_outcome_again(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    watched.set_models([])
    watched.set_models([model(base)])
    listener.take()
    watched.poll()
    assert listener.take() == [{1: f"{base}/1"}, None]


def test_unchanged_model_keeps_what_is_known_of_it(base: Path, listener: Listener) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    add(base, "2")
    watched.poll()
    listener.take()
    watched.set_models([model(base), model(base, name="other")])
    watched.poll()
    assert listener.told == [
        ("m", {2: f"{base}/2"}),
        ("other", {2: f"{base}/2"}),
        ("other", None),
    ]


def test_changed_policy_takes_effect_without_a_second_look_at_what_is_whole(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    add(base, "2")
    watched = source(base, listener)
    watched.poll()
    watched.set_models([model(base, SpecificPolicy(frozenset([1])))])
    listener.take()
    watched.poll()
    assert listener.take() == [{1: f"{base}/1"}]


def test_changed_base_path_is_looked_at_afresh(base: Path, listener: Listener) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    add(base / "other", "2")
    listener.take()
    watched.set_models([model(base / "other")])
    watched.poll()
    assert listener.take() == [{2: f"{base}/other/2"}, None]


@pytest.mark.parametrize("exists", [False, True])
def test_changed_base_path_without_versions_keeps_what_must_be_present(
    base: Path, listener: Listener, exists: bool
) -> None:
    add(base, "1")
    watched = source(base, listener, always_present=True)
    watched.poll()
    if exists:
        (base / "other").mkdir()
    watched.set_models([model(base / "other")])
    watched.poll()
    assert listener.versions() == [1]
    assert str(listener.outcomes()[-1]).startswith("NOT_FOUND: ")


# The polling thread.


def running(listener: Listener, *, poll_wait_s: float, polls: int) -> list[float | None]:
    """Has a source of no thread run for some turns; returns how long it wanted to wait."""
    pauses: list[float | None] = []

    def wait(seconds: float | None) -> None:
        pauses.append(seconds)
        if len(pauses) == polls:
            watched.stop()

    watched = FileSystemSource(listener, poll_wait_s=poll_wait_s, wait=wait)
    watched.set_models([model(Path(path), name=path) for path in sorted(listener.failed)])
    watched.run()
    return pauses


@pytest.mark.parametrize(
    ("poll_wait_s", "polls", "pause"), [(-1, 0, None), (0, 1, None), (60, 4, 60)]
)
def test_number_of_polls_follows_the_period(
    base: Path, listener: Listener, poll_wait_s: float, polls: int, pause: float | None
) -> None:
    add(base, "1")
    listener.failed = {str(base): set()}
    assert running(listener, poll_wait_s=poll_wait_s, polls=4) == [pause] * 4
    assert listener.take().count({1: f"{base}/1"}) == polls


@pytest.mark.parametrize(("poll_wait_s", "pause"), [(60, SETTLE_WAIT_S), (0.25, 0.25)])
def test_second_look_at_a_growing_version_comes_soon(
    base: Path, listener: Listener, poll_wait_s: float, pause: float
) -> None:
    add(base, "1", whole=False)
    listener.failed = {str(base): set()}
    assert running(listener, poll_wait_s=poll_wait_s, polls=1) == [pause]


def test_new_set_of_models_wakes_the_poller(base: Path, listener: Listener) -> None:
    add(base, "1")
    watched = FileSystemSource(listener, poll_wait_s=3600)
    watched.start()
    watched.set_models([model(base)])
    listener.wait_for("m", None)
    watched.set_models([])
    listener.wait_for("m", {})
    watched.stop()


def test_source_that_polls_once_polls_once_more_for_a_new_set(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    watched = FileSystemSource(listener, poll_wait_s=0)
    watched.set_models([model(base)])
    watched.start()
    listener.wait_for("m", None)
    add(base, "2")
    watched.set_models([model(base), model(base / "gone", name="gone")])
    listener.wait_for("m", {2: f"{base}/2"})
    watched.set_models([model(base, name="late")])
    listener.wait_for("late", None)
    watched.stop()
    sets = [told for told in listener.told if isinstance(told[1], dict)]
    assert sets == [
        ("m", {1: f"{base}/1"}),
        ("m", {2: f"{base}/2"}),
        ("gone", {}),
        ("m", {}),
        ("late", {2: f"{base}/2"}),
    ]


def test_source_that_never_polls_still_gives_models_up(base: Path, listener: Listener) -> None:
    add(base, "1")
    watched = FileSystemSource(listener, poll_wait_s=-1)
    watched.set_models([model(base)])
    watched.start()
    watched.set_models([])
    listener.wait_for("m", {})
    watched.stop()
    assert listener.told == [("m", {})]


def test_sets_of_models_may_be_replaced_by_many_threads_while_polling(
    base: Path, listener: Listener
) -> None:
    add(base, "1")
    watched = FileSystemSource(listener, poll_wait_s=0.0001)
    watched.start()

    def replace(number: int) -> None:
        for _ in range(50):
            watched.set_models([model(base, name=f"{number}")])

    threads = [threading.Thread(target=replace, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watched.set_models([model(base, name="last")])
    listener.wait_for("last", {1: f"{base}/1"}, times=2)
    watched.stop()
    last = {name: what for name, what in listener.told if isinstance(what, dict)}
    assert last.pop("last") == {1: f"{base}/1"}
    assert set(last) == {"0", "1", "2", "3"}
    assert not any(last.values())


def test_stop_ends_the_thread_and_its_wait(base: Path, listener: Listener) -> None:
    add(base, "1")
    watched = FileSystemSource(listener, poll_wait_s=3600)
    watched.set_models([model(base)])
    watched.start()
    listener.wait_for("m", None)
    watched.stop()
    assert "fastserve-source" not in [thread.name for thread in threading.enumerate()]


def test_nothing_is_told_after_stop(base: Path, listener: Listener) -> None:
    add(base, "1")
    watched = source(base, listener)
    watched.poll()
    watched.stop()
    listener.take()
    watched.poll()
    watched.set_models([])
    watched.poll()
    assert listener.told == []
