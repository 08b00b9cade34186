"""How models are loaded, platform by platform, out of a PlatformConfigMap."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastserve import protos
from fastserve.config.any_proto import unpack_any
from fastserve.config.batching import BatchingConfig, BatchingParameters
from fastserve.config.server import LiteConfig, PlatformConfig, WarmupConfig, set_mixed_precision
from fastserve.config.text_proto import read_text_proto
from fastserve.errors import UNIMPLEMENTED, ConfigError, ServingError

_LOGGER = logging.getLogger(__name__)

_REFUSED: Mapping[str, str] = {
    "session_target": "sessions run in this process; leave it out",
}
"""Fields of a SessionBundleConfig that ask for what there is not."""

_WITHOUT_EFFECT: Mapping[str, str] = {
    "session_run_load_threadpool_index": "a version is loaded on a thread of its own",
    "experimental_transient_ram_bytes_during_load": "no limit is set to the memory of a load",
    "resource_estimation_uses_validation_result": "no limit is set to the memory of a load",
    "in_graph_batching_parameters": "it is for the TFRT runtime, which is not used",
    "experimental_fixed_input_tensors": "TensorFlow Serving does not read it either",
    "enable_session_metadata": "there is no reader of the metadata",
}
_WITHOUT_EFFECT_IN_WARMUP: Mapping[str, str] = {
    "num_model_warmup_threads": "the requests are run one after the other",
    "model_name": "each version is warmed up under its own name",
    "model_version": "each version is warmed up under its own number",
    "enable_all_batch_sizes_warmup": "the requests are run as they are",
}


def read_platform_config_file(
    path: str, *, gpu_memory_growth: bool, warmup: WarmupConfig
) -> Mapping[str, PlatformConfig]:
    """Returns the platforms that a file in text format describes, by name.

    It says nothing of `gpu_memory_growth` (which it can only turn on), nor of anything in `warmup`
    but whether and how often. Warns of fields without effect. Raises ServingError: as
    read_text_proto() and unpack_any() do, and for a field that cannot be obeyed.
    """
    platforms = read_text_proto(path, protos.PlatformConfigMap).platform_configs
    types = (protos.SavedModelBundleSourceAdapterConfig,)
    return {
        name: _platform(
            name,
            unpack_any(platforms[name].source_adapter_config, types).legacy_config,
            gpu_memory_growth,
            warmup,
        )
        for name in sorted(platforms)
    }


def _platform(
    name: str, bundle: Any, gpu_memory_growth: bool, warmup: WarmupConfig
) -> PlatformConfig:
    """Maps a tensorflow.serving.SessionBundleConfig as servables/tensorflow/ does."""
    given = {field.name for field, _ in bundle.ListFields()}
    for refused in sorted(given & _REFUSED.keys()):
        raise ConfigError(f"{refused} of platform {name} cannot be used: {_REFUSED[refused]}")
    if bundle.enable_saved_model_config:
        raise ServingError(
            UNIMPLEMENTED,
            "Saved model config functionality is not implemented. (enable_saved_model_config of "
            f"platform {name})",
        )
    options = bundle.model_warmup_options
    _warn_without_effect(name, bundle, _WITHOUT_EFFECT)
    _warn_without_effect(name, options, _WITHOUT_EFFECT_IN_WARMUP)
    session = bundle.session_config
    if gpu_memory_growth:
        session.gpu_options.allow_growth = True
    set_mixed_precision(session, bundle.mixed_precision)
    iterations = 1
    if options.HasField("num_request_iterations"):
        iterations = options.num_request_iterations.value
    if iterations < 1:
        raise ConfigError(
            f"num_request_iterations of platform {name} is {iterations}; it must be at least 1. To "
            "run no warm-up requests, leave enable_model_warmup out"
        )
    return PlatformConfig(
        tags=tuple(bundle.saved_model_tags) or ("serve",),
        config_proto=session.SerializeToString(),
        warmup=replace(warmup, enabled=bundle.enable_model_warmup, iterations=iterations),
        batching=_batching(bundle),
        lite=_lite(bundle),
    )


def _lite(bundle: Any) -> LiteConfig:
    if not bundle.prefer_tflite_model:
        return LiteConfig()
    return LiteConfig(
        preferred=True,
        pools=max(1, bundle.num_tflite_pools or bundle.num_tflite_interpreters),
        interpreters_per_pool=max(1, bundle.num_tflite_interpreters_per_pool),
    )


def _batching(bundle: Any) -> BatchingConfig | None:
    if bundle.wrap_session_with_no_threading_params or not bundle.HasField("batching_parameters"):
        return None
    return BatchingConfig(
        parameters=BatchingParameters.from_proto(bundle.batching_parameters),
        per_model=bundle.enable_per_model_batching_params,
    )


def _warn_without_effect(platform: str, message: Any, reasons: Mapping[str, str]) -> None:
    for field, _ in message.ListFields():
        if field.name in reasons:
            _LOGGER.warning(
                "%s of platform %s has no effect: %s", field.name, platform, reasons[field.name]
            )
