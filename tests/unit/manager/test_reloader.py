"""Configurations replace each other whole, and one that is refused changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from fastserve.config.models import ModelConfig
from fastserve.errors import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNKNOWN,
    ServingError,
)
from fastserve.manager.reloader import ConfigFileWatcher, ConfigReloader
from unit.manager.lifecycle import BROKEN, WAIT_S, Lifecycle, model


class Source:
    """A source that has seen one version of each of its models, number 1, as soon as it is told."""

    def __init__(self, m: Lifecycle) -> None:
        self._m = m
        self.models: Sequence[ModelConfig] = ()
        self.missing: set[str] = set()

    def set_models(self, models: Sequence[ModelConfig]) -> None:
        for gone in {old.name for old in self.models} - {new.name for new in models}:
            self._m.manager.set_aspired(gone, {})
        self.models = models
        for new in models:
            if new.name in self.missing:
                self._m.manager.set_source_error(new.name, ServingError(NOT_FOUND, "no path"))
            else:
                self._m.manager.set_aspired(new.name, {1: f"/{new.name}/1"})
                self._m.manager.set_source_error(new.name, None)
        self._m.scheduler.run_all()


class Setting:
    """A reloader with a real manager, which serves `m`."""

    def __init__(self) -> None:
        self.m = Lifecycle()
        self.m.configure()
        self.source = Source(self.m)
        self.reloader = ConfigReloader(self.m.manager, self.source, allow_unavailable_labels=False)
        self.reloader.start([model("m")])

    @property
    def served(self) -> list[str]:
        return sorted(self.m.tables[-1].servables)


@pytest.fixture
def setting() -> Setting:
    return Setting()


def failure(reload: ConfigReloader, *models: ModelConfig) -> tuple[int, str]:
    with pytest.raises(ServingError) as caught:
        reload.reload(models)
    return caught.value.code, caught.value.message


def test_new_models_come_unnamed_ones_go_and_the_others_are_not_touched(setting: Setting) -> None:
    setting.reloader.reload([model("m"), model("a")])
    assert setting.served == ["a", "m"]
    setting.reloader.reload([model("m"), model("b")])
    assert setting.served == ["b", "m"]
    assert [servable.name for servable in setting.m.loader.loaded] == ["m", "a", "b"]
    setting.reloader.reload([])
    assert setting.served == []


def test_new_model_that_fails_is_named_and_the_rest_is_in_force(setting: Setting) -> None:
    setting.m.loader.failures[1] = BROKEN
    code, message = failure(setting.reloader, model("a"))
    assert code == UNKNOWN
    assert message == (
        "1 model(s) did not become available: "
        "{{{name: a version: 1} due to error: FAILED_PRECONDITION: no graph}, }"
    )
    assert setting.served == []


def test_missing_path_of_one_model_is_its_own_error_and_blocks_nothing(setting: Setting) -> None:
    setting.source.missing.add("a")
    code, message = failure(setting.reloader, model("m"), model("a"), model("b"))
    assert (code, setting.served) == (UNKNOWN, ["b", "m"])
    assert message == (
        "1 model(s) did not become available: {{{name: a} due to error: NOT_FOUND: no path}, }"
    )
    setting.reloader.reload([model("c")])
    assert setting.served == ["c"]


def test_label_that_may_not_move_refuses_the_whole_configuration(setting: Setting) -> None:
    code, _ = failure(setting.reloader, model("m", labels={"hot": 2}), model("a"))
    assert (code, setting.served) == (FAILED_PRECONDITION, ["m"])
    setting.reloader.reload([model("m", labels={"hot": 1})])
    assert setting.m.tables[-1].labels == {"m": {"hot": 1}}


def test_first_configuration_may_label_what_is_still_to_come() -> None:
    m = Lifecycle()
    ConfigReloader(m.manager, Source(m), allow_unavailable_labels=False).start(
        [model("a", labels={"hot": 1})]
    )
    assert m.manager.find_servable("a", None, "hot").version == 1


class File:
    """What a config file says, or the error of reading it."""

    def __init__(self, *models: ModelConfig) -> None:
        self.content: Sequence[ModelConfig] | ServingError = models
        self.reads = 0
        self.was_read = threading.Event()

    def read(self) -> Sequence[ModelConfig]:
        self.reads += 1
        self.was_read.set()
        if isinstance(self.content, ServingError):
            raise self.content
        return self.content


def watcher(setting: Setting, file: File) -> ConfigFileWatcher:
    made = ConfigFileWatcher(file.read, setting.reloader, poll_wait_s=0)
    made.start([model("m")])
    return made


def test_changed_file_is_applied_and_an_unchanged_one_is_not(setting: Setting) -> None:
    file = File(model("m"))
    watching = watcher(setting, file)
    tables = len(setting.m.tables)
    watching.poll()
    assert len(setting.m.tables) == tables
    file.content = [model("a")]
    watching.poll()
    assert setting.served == ["a"]
    watching.stop()


def test_unreadable_file_changes_nothing_and_is_told_of_once(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    file = File()
    watching = watcher(setting, file)
    file.content = ServingError(INVALID_ARGUMENT, "Invalid protobuf file: 'f'")
    watching.poll()
    watching.poll()
    assert setting.served == ["m"]
    told = [text for text in caplog.messages if text.startswith("Failed to read")]
    assert told == [
        "Failed to read ModelServerConfig file: INVALID_ARGUMENT: Invalid protobuf file: 'f'"
    ]
    file.content = [model("b")]
    watching.poll()
    assert setting.served == ["b"]
    watching.stop()


def test_refused_file_is_tried_again_until_it_can_be_applied(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    file = File(model("m", labels={"hot": 2}))
    watching = watcher(setting, file)
    watching.poll()
    assert setting.served == ["m"]
    assert any("PollFilesystemAndReloadConfig failed" in text for text in caplog.messages)
    setting.m.manager.set_aspired("m", {1: "/m/1", 2: "/m/2"})
    setting.m.scheduler.run_all()
    watching.poll()
    assert setting.m.tables[-1].labels == {"m": {"hot": 2}}
    watching.stop()


def test_told_to_reload_it_reads_the_file_at_once(setting: Setting) -> None:
    file = File(model("m"))
    watching = watcher(setting, file)
    watching.reload_now()
    assert file.was_read.wait(WAIT_S)
    watching.stop()
