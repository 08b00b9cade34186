"""Polls base paths for versions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fastserve.config.models import AllPolicy, ModelConfig, SpecificPolicy
from fastserve.errors import (
    FAILED_PRECONDITION,
    INTERNAL,
    NOT_FOUND,
    PERMISSION_DENIED,
    ServingError,
)
from fastserve.sources.versions import (
    Fingerprint,
    FoundVersions,
    find_versions,
    fingerprint,
    is_complete,
    list_names,
    select_versions,
)

_LOGGER = logging.getLogger(__name__)

SETTLE_WAIT_S = 1.0
"""Longest wait for the second look at a version that is being written."""


class SourceListener(Protocol):
    """What a source tells, and asks, on its polling thread.

    Of one poll of a model, an error comes before the set of versions, and its end after it.
    """

    def set_aspired(self, name: str, versions: Mapping[int, str]) -> None:
        """Takes all versions (number -> path) of a model that should be loaded.

        Called at every poll that could read the model's base path, so mostly with what is known.
        """
        ...

    def set_source_error(self, name: str, error: ServingError | None) -> None:
        """Takes what keeps versions of a model from being found; None when nothing does.

        Called with the outcome of a model's first poll, and then whenever that changes.
        """
        ...

    def failed_versions(self, name: str) -> Collection[int]:
        """Returns the versions of a model that could not be loaded."""
        ...

    def retry(self, name: str, version: int) -> None:
        """Takes note that the files of a failed version have changed, and rest now."""
        ...


@dataclass(slots=True)
class _Watched:
    """What is remembered of one model between two polls."""

    config: ModelConfig
    aspired: Mapping[int, str] = field(default_factory=dict)
    """As last told."""
    names: Sequence[bytes] | None = None
    """The entries of the base path; None has them looked at anew."""
    polled: bool = False
    whole: set[int] = field(default_factory=set)
    """Versions that need not be looked into any more."""
    unsettled: dict[int, Fingerprint | None] = field(default_factory=dict)
    """The others that could be wanted, as the last poll found them."""
    tried: dict[int, Fingerprint | None] = field(default_factory=dict)
    """The aspired versions, as they were when their load was last asked for."""
    changing: dict[int, Fingerprint | None] = field(default_factory=dict)
    """Failed versions that are not what was tried, as the last poll found them."""
    lacking: bool = False
    """The last look found no version that the policy wants."""
    had_versions: bool = False
    """Some look found one."""
    outcome: str | None = None
    """The error that was told; empty: that there is none; None: nothing yet."""
    notes: Sequence[str] = ()
    """What was logged about the last look: it is not said again until it changes."""


class FileSystemSource:
    """Tells, for each model and poll, the set of versions that its policy wants.

    A version is not taken up before it is whole: its directory has a model's main file, and nothing
    in it changes from one poll to the next (a model's first poll takes what it finds). While all
    that the policy could choose from is being written, the versions of before stay aspired. A base
    path that is missing, or cannot be read, changes nothing for its model, nor for others.

    The listener is called by the polling thread only, and never with a lock held.
    """

    def __init__(
        self,
        listener: SourceListener,
        *,
        poll_wait_s: float,
        always_present: bool = False,
        fail_if_no_versions: bool = False,
        wait: Callable[[float | None], object] | None = None,
    ) -> None:
        """Watches nothing yet.

        `poll_wait_s`: 0 polls once after each set_models(), a negative number never.
        `always_present`: having no version is an error, and what was aspired stays so.
        `fail_if_no_versions`: having no version is an error until the model's first one is found.
        `wait` sleeps for some seconds, or without end for None; set_models() and stop() wake only
        the one that is built in.
        """
        self._listener = listener
        self._poll_wait_s = poll_wait_s
        self._always_present = always_present
        self._fail_if_no_versions = fail_if_no_versions
        self._wake = threading.Event()
        self._wait = wait or self._wake.wait
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.run, name="fastserve-source", daemon=True)
        self._lock = threading.Lock()
        # What set_models() leaves for the polling thread, guarded by the lock.
        self._configs: dict[str, ModelConfig] = {}
        self._left: set[str] = set()
        self._replaced = False
        # Of the polling thread.
        self._watched: dict[str, _Watched] = {}

    def set_models(self, models: Sequence[ModelConfig]) -> None:
        """Replaces the set of watched models, at once. Any thread, before or after start().

        A model that is left out is told once more, as wanting no version, and forgotten. One with
        another base path is looked at afresh; any other keeps what is known of it.
        """
        configs = {model.name: model for model in models}
        with self._lock:
            self._left |= self._configs.keys() - configs.keys()
            self._configs = configs
            self._replaced = True
        self._wake.set()

    def start(self) -> None:
        """Begins to poll, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends polling; the listener is not called afterwards. Not to be called by it."""
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Polls until stop()."""
        if self._poll_wait_s < 0:
            _LOGGER.warning("--file_system_poll_wait_seconds is negative: no version is looked for")
        while True:
            self._wake.clear()  # Before what it stands for is read, so that none is lost.
            if self._stopped.is_set():
                return
            replaced = self._take_models()
            due = self._poll_wait_s > 0 or (self._poll_wait_s == 0 and replaced)
            unsettled = self._poll_all() if due else False
            self._wait(self._pause(unsettled))

    def poll(self) -> bool:
        """Looks at every base path once. True when a version there is still being written.

        Not to be called once start() was.
        """
        self._take_models()
        return self._poll_all()

    def _pause(self, unsettled: bool) -> float | None:
        if self._poll_wait_s <= 0:
            return None
        return min(self._poll_wait_s, SETTLE_WAIT_S) if unsettled else self._poll_wait_s

    # The set of models

    def _take_models(self) -> bool:
        """Puts what set_models() left into force; False when it left nothing."""
        with self._lock:
            replaced, self._replaced = self._replaced, False
            configs, left, self._left = self._configs, self._left, set()
        if not replaced:
            return False
        before = self._watched
        self._watched = {
            name: _watch(config, before.get(name), returns=name in left)
            for name, config in configs.items()
        }
        for name in sorted(left - configs.keys()):
            self._forget(name)
        return True

    def _forget(self, name: str) -> None:
        try:
            if not self._stopped.is_set():
                self._listener.set_aspired(name, {})
        except Exception:
            _LOGGER.exception("Giving up the versions of servable %s", name)

    # One poll

    def _poll_all(self) -> bool:
        unsettled = False
        for model in self._watched.values():
            if self._stopped.is_set():
                break
            try:
                unsettled |= self._poll_model(model)
            except Exception as error:  # A fault of ours must not end polling for all models.
                self._tell_fault(model, error)
        return unsettled

    def _poll_model(self, model: _Watched) -> bool:
        config = model.config
        # There is no second look when each poll may be the last.
        trusting = not model.polled or self._poll_wait_s == 0
        model.polled = True
        # Listing the names is what a quiet poll costs. The directory's times would cost less, but
        # mounts of object stores often do not keep them, and other machines' clocks differ.
        try:
            names = list_names(config.base_path)
        except OSError as error:
            model.names = None
            self._tell_access_error(model, error)
            return False
        if names != model.names or model.unsettled:
            self._look(model, names, trusting)
        failure = self._lack_of_versions(model)
        if failure:
            self._tell_outcome(model, failure)
        self._listener.set_aspired(config.name, model.aspired)
        if not failure:
            self._tell_outcome(model, None)
        self._retry_changed(model)
        return bool(model.unsettled or model.changing)

    def _look(self, model: _Watched, names: Sequence[bytes], trusting: bool) -> None:
        """Chooses the aspired versions anew."""
        policy = model.config.version_policy
        found = find_versions(model.config.base_path, names, policy)
        self._settle(model, found.paths, trusting)
        model.lacking = not select_versions(policy, found.paths)
        model.had_versions |= not model.lacking
        chosen = select_versions(policy, model.whole)
        stay = self._always_present if model.lacking else bool(model.unsettled)
        if chosen or not stay:
            _aspire(model, {version: found.paths[version] for version in chosen})
        self._note(model, found)
        model.names = names

    @staticmethod
    def _settle(model: _Watched, paths: Mapping[int, str], trusting: bool) -> None:
        """Sorts the versions found into those that are whole and those that are not yet."""
        policy = model.config.version_policy
        before, model.unsettled = model.unsettled, {}
        model.whole &= paths.keys()
        others = paths.keys() - model.whole
        if trusting:
            model.whole |= {version for version in others if is_complete(paths[version])}
            others -= model.whole
        chosen = select_versions(policy, model.whole)
        for version in others:
            if version not in select_versions(policy, chosen | {version}):
                continue  # It would not be wanted if it were whole.
            now = fingerprint(paths[version])
            if now is not None and now == before.get(version):
                model.whole.add(version)
            else:
                model.unsettled[version] = now

    def _retry_changed(self, model: _Watched) -> None:
        """Has failed versions tried again whose files have changed and come to rest."""
        name = model.config.name
        before, model.changing = model.changing, {}
        for version in model.tried.keys() & set(self._listener.failed_versions(name)):
            now = fingerprint(model.aspired[version])
            if now == model.tried[version]:
                continue
            if now is not None and now == before.get(version):
                model.tried[version] = now
                self._listener.retry(name, version)
            else:
                model.changing[version] = now

    # What is told

    def _lack_of_versions(self, model: _Watched) -> ServingError | None:
        """Returns the error of a model for which there is no version, where that is one."""
        at_start = self._fail_if_no_versions and not model.had_versions
        if not model.lacking or not (self._always_present or at_start):
            return None
        return ServingError(
            NOT_FOUND,
            "Unable to find a numerical version path for servable "
            f"{model.config.name} at: {_printable(model.config.base_path)}",
        )

    def _tell_outcome(self, model: _Watched, error: ServingError | None) -> None:
        outcome = str(error) if error else ""
        if outcome != model.outcome:
            model.outcome = outcome
            self._listener.set_source_error(model.config.name, error)

    def _tell_access_error(self, model: _Watched, error: OSError) -> None:
        failure = _access_error(model.config, error)
        if str(failure) != model.outcome:
            _LOGGER.error(
                "FileSystemStoragePathSource encountered a filesystem access error: %s",
                failure.message,
            )
        self._tell_outcome(model, failure)

    def _tell_fault(self, model: _Watched, error: Exception) -> None:
        name = model.config.name
        model.names = None
        failure = ServingError(
            INTERNAL,
            f"Looking for versions of servable {name} failed: "
            f"{type(error).__name__}: {_printable(str(error))}",
        )
        if str(failure) != model.outcome:
            _LOGGER.exception("Looking for versions of servable %s", name)
        try:
            self._tell_outcome(model, failure)
        except Exception:
            _LOGGER.exception("Telling of versions of servable %s", name)

    def _note(self, model: _Watched, found: FoundVersions) -> None:
        """Logs what a look found, as far as it is new."""
        config = model.config
        # Upstream hands both to its manager, where the second is an error.
        ambiguous = isinstance(config.version_policy, AllPolicy)
        level = logging.ERROR if ambiguous else logging.WARNING
        notes = [(level, text) for text in found.duplicates]
        notes += ((logging.WARNING, text) for text in _missing(config, found.paths))
        if self._always_present and model.lacking:
            text = f"Refusing to unload all versions for Servable: {config.name}"
            notes.append((logging.ERROR, text))
        for version in sorted(model.unsettled):
            text = (
                f"Version {version} of servable {config.name} is not whole yet (no saved_model.pb, "
                "or still being written); it is left alone until it is"
            )
            notes.append((logging.INFO, text))
        for level, text in notes:
            if text not in model.notes:
                _LOGGER.log(level, "%s", text)
        model.notes = [text for _, text in notes]


def _watch(config: ModelConfig, known: _Watched | None, *, returns: bool) -> _Watched:
    """Returns what is remembered of a model that gets another configuration.

    `returns`: it had left the set in between, so its listener may have forgotten the outcome.
    """
    if known is None:
        return _Watched(config)
    if returns or known.config.base_path != config.base_path:
        return _Watched(config, aspired=known.aspired)
    if known.config != config:
        known.config = config
        known.names = None
    return known


def _aspire(model: _Watched, aspired: Mapping[int, str]) -> None:
    """Sets the aspired versions, and notes the files of new ones before their load begins.

    So those that were half-copied, or are mended while the load still fails, differ from it.
    """
    tried: dict[int, Fingerprint | None] = {}
    for version, path in aspired.items():
        if version not in model.aspired:
            tried[version] = fingerprint(path)
        elif model.aspired[version] == path:
            tried[version] = model.tried.get(version)
        else:  # What may have failed elsewhere has not been tried here.
            tried[version] = None
    model.aspired, model.tried = aspired, tried


def _missing(config: ModelConfig, paths: Mapping[int, str]) -> Iterable[str]:
    """Returns the warnings about what a model's policy asks for and the file system lacks."""
    policy = config.version_policy
    if isinstance(policy, SpecificPolicy):
        if not policy.versions:
            yield f"No specific versions requested for servable {config.name}."
            return
        for version in sorted(policy.versions - paths.keys()):
            yield (
                f"Version {version} of servable {config.name}, which was requested to be served as "
                "a 'specific' version in the servable's version policy, was not found in the file "
                "system"
            )
    if not select_versions(policy, paths):
        yield (
            f"No versions of servable {config.name} found under base path "
            f"{_printable(config.base_path)}. Did you forget to name your leaf directory as a "
            "number (eg. '/1/')?"
        )


def _access_error(config: ModelConfig, error: OSError) -> ServingError:
    """Returns the error of a base path that cannot be listed, in TensorFlow's words."""
    path = _printable(config.base_path)
    code, reason = FAILED_PRECONDITION, f"{path}; {error.strerror}"
    if isinstance(error, FileNotFoundError):
        code, reason = NOT_FOUND, f"{path} not found"
    elif isinstance(error, PermissionError):
        code = PERMISSION_DENIED
    cause = ServingError(code, reason)
    return ServingError(
        code, f"Could not find base path {path} for servable {config.name} with error {cause}"
    )


def _printable(text: str) -> str:
    """Returns a text that can be encoded: file names need not be UTF-8."""
    return text.encode(errors="backslashreplace").decode()
