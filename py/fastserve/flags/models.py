"""Flags about models: which, which versions, and how they are loaded and run."""

from __future__ import annotations

from fastserve.config.models import TransitionPolicy
from fastserve.flags.flag import Flag, boolean, int32, integer, number

WHAT_TO_SERVE: tuple[Flag, ...] = (
    Flag("model_name", str, "model", "name that requests give the model"),
    Flag(
        "model_base_path",
        str,
        "/models/model",
        "directory that holds one directory a version, as /models/model/1/saved_model.pb, or a "
        "URI (s3, gs, oss, https) of one",
    ),
    Flag("demo", boolean, False, "serve a demo model, called mnist, made on first use"),
    Flag(
        "model_config_file",
        str,
        "",
        "ModelServerConfig in text format, instead of one model; SIGHUP reads it again",
    ),
    Flag(
        "model_config_file_poll_wait_seconds",
        int32,
        0,
        "between two looks at that file; 0 or less: never again",
    ),
    Flag(
        "allow_version_labels_for_unavailable_models",
        boolean,
        False,
        "let a new label name a version that is not loaded yet",
    ),
)

VERSIONS: tuple[Flag, ...] = (
    Flag("saved_model_tags", str, "serve", "tag set of the MetaGraph, joined by commas"),
    Flag(
        "file_system_poll_wait_seconds",
        int32,
        1,
        "between two looks for versions; 0: look once, negative: never",
    ),
    Flag(
        "remote_poll_wait_seconds",
        int32,
        60,
        "the same for base paths that are URIs; 0 or less: look once",
    ),
    Flag(
        "remote_cache_directory",
        str,
        "",
        "where the versions below URIs are staged; empty: ~/.cache/fastserve/models",
    ),
    Flag(
        "version_transition_policy",
        str,
        TransitionPolicy.AVAILABILITY_PRESERVING.value,
        "whether a new version loads before the old ones leave, or, to save memory, after: "
        "resource_preserving; exceptions by model follow, as "
        "availability_preserving,big=resource_preserving",
    ),
    Flag(
        "servable_versions_always_present",
        boolean,
        False,
        "keep what is loaded when no version is found; fail a start or reload without any",
    ),
    Flag(
        "fail_if_no_model_versions_found",
        boolean,
        False,
        "fail a start or reload when a model has no version",
    ),
    Flag("strict_start", boolean, False, "end when a model cannot be loaded at start"),
    Flag("num_load_threads", integer, 0, "loads at the same time; 0: automatic"),
    Flag("num_unload_threads", integer, 0, "unloads at the same time; 0: automatic"),
    Flag("max_num_load_retries", integer, 5, "further attempts to load a version"),
    Flag(
        "load_retry_interval_micros",
        integer,
        60_000_000,
        "between two attempts; negative: none",
    ),
    Flag(
        "enable_model_warmup",
        boolean,
        True,
        "answer the requests in assets.extra/tf_serving_warmup_requests before serving",
    ),
    Flag(
        "num_request_iterations_for_warmup",
        int32,
        0,
        "how often each of these is run; 0 or less: once",
    ),
    Flag(
        "synthetic_warmup",
        boolean,
        False,
        "make warm-up requests up for a version that brings none",
    ),
)

BATCHING: tuple[Flag, ...] = (
    Flag(
        "enable_batching",
        boolean,
        False,
        "run requests of a model that wait at the same time together",
    ),
    Flag(
        "batching_parameters_file",
        str,
        "",
        "BatchingParameters in text format; without it a batch is what waits when a thread is "
        "free, at most 1000 rows",
    ),
    Flag(
        "enable_per_model_batching_parameters",
        boolean,
        False,
        "take each version's batching_params.pbtxt instead; a version without one is not batched",
    ),
)

TENSORFLOW: tuple[Flag, ...] = (
    Flag(
        "tensorflow_session_parallelism",
        integer,
        0,
        "intra- and inter-op threads of TensorFlow; 0: automatic",
    ),
    Flag(
        "tensorflow_intra_op_parallelism",
        integer,
        0,
        "threads within one operation; 0: one a CPU, but one alone for short runs of small models",
    ),
    Flag("tensorflow_inter_op_parallelism", integer, 0, "operations at the same time"),
    Flag(
        "tensorflow_session_config_file",
        str,
        "",
        "ConfigProto in text format; its threads and per_process_gpu_memory_fraction are those "
        "of the flags",
    ),
    Flag(
        "per_process_gpu_memory_fraction",
        number,
        0.0,
        "share of each GPU's memory, as 0.5; 0: automatic",
    ),
    Flag(
        "gpu_memory_growth",
        boolean,
        True,
        "take GPU memory as it is needed, not all at the start",
    ),
    Flag(
        "gpu_memory_limit_mb",
        integer,
        0,
        "the most to take of each GPU's memory, in MiB; 0: see per_process_gpu_memory_fraction",
    ),
    Flag(
        "gpu_replicas",
        int32,
        1,
        "GPUs that hold a replica of each model, between which its runs are shared; 0: all",
    ),
    Flag(
        "mixed_precision",
        str,
        "",
        "bfloat16: let oneDNN compute in bfloat16 where that keeps the accuracy, on CPUs with "
        "instructions for it; another value only brings a warning",
    ),
    Flag(
        "xla_cpu_compilation_enabled",
        boolean,
        False,
        "let XLA compile what a model marks for it (jit_compile=True); a request that needs "
        "that fails otherwise. On CPU and GPU: TensorFlow has one switch for both",
    ),
    Flag(
        "xla_gpu_compilation_enabled",
        boolean,
        False,
        "the same switch as --xla_cpu_compilation_enabled",
    ),
    Flag(
        "platform_config_file",
        str,
        "",
        "PlatformConfigMap in text format: how models are loaded, platform by platform. It "
        "takes the place of the flags about sessions, tags, warm-up, batching and mixed "
        "precision",
    ),
    Flag(
        "thread_pool_factory_config_file",
        str,
        "",
        "refused with TensorFlow Serving's error, since neither server is built with a factory "
        "of thread pools; see --tensorflow_intra_op_parallelism",
    ),
    Flag(
        "prefer_tflite_model",
        boolean,
        False,
        "serve a version that has a model.tflite by that, not by its SavedModel",
    ),
    Flag(
        "num_tflite_pools",
        int32,
        0,
        "TensorFlow Lite interpreters of a version: runs at the same time; 0: one a CPU",
    ),
    Flag(
        "num_tflite_interpreters_per_pool",
        int32,
        1,
        "above 1: batch requests to TensorFlow Lite models, to 500 rows divided by this",
    ),
    Flag(
        "custom_op_libraries",
        str,
        "",
        "shared libraries of custom operations, absolute paths joined by commas",
    ),
)

REPLACED_BY_PLATFORM_CONFIG_FILE = (
    "saved_model_tags",
    "enable_model_warmup",
    "num_request_iterations_for_warmup",
    "tensorflow_session_parallelism",
    "tensorflow_intra_op_parallelism",
    "tensorflow_inter_op_parallelism",
    "tensorflow_session_config_file",
    "per_process_gpu_memory_fraction",
    "gpu_memory_limit_mb",
    "mixed_precision",
    "enable_batching",
    "batching_parameters_file",
    "enable_per_model_batching_parameters",
    "prefer_tflite_model",
    "num_tflite_pools",
    "num_tflite_interpreters_per_pool",
)
"""Flags that say what a --platform_config_file says too, which then counts alone."""
