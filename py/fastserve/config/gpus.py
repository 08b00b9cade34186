"""Which GPUs there are, and which devices hold replicas of a model."""

from __future__ import annotations

import ctypes
import logging
from typing import Any

from fastserve.errors import ConfigError

_LOGGER = logging.getLogger(__name__)

_CUDA_ERROR_NO_DEVICE = 100


def visible_gpus() -> int:
    """Returns how many GPUs CUDA's driver shows this process, as CUDA_VISIBLE_DEVICES has it.

    TensorFlow need not be loaded, and nothing is allocated. 0 without a driver.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    error = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if error not in (0, _CUDA_ERROR_NO_DEVICE):
        _LOGGER.warning("CUDA's driver gives no GPU: error %d of cuInit or cuDeviceGetCount", error)
    return 0 if error else count.value


def session_gpus(config_proto: Any) -> int:
    """Returns how many GPUs a session of this tensorflow.ConfigProto uses."""
    count = visible_gpus()
    if listed := config_proto.gpu_options.visible_device_list:
        count = min(count, len(listed.split(",")))
    if "GPU" in config_proto.device_count:
        count = min(count, config_proto.device_count["GPU"])
    return count


def replica_devices(config_proto: Any, replicas: int) -> tuple[str, ...]:
    """Returns the devices that are to hold a replica each, as /device:GPU:0.

    They are the GPUs of a session of this tensorflow.ConfigProto; where it has none, its CPU
    devices, of which there is one unless its device_count says otherwise. `replicas`: how many; 0:
    on all of them. Raises ConfigError where there are fewer.
    """
    kind, count = "GPU", session_gpus(config_proto)
    if not count:
        kind, count = "CPU", config_proto.device_count.get("CPU", 1)
    if not 0 <= replicas <= count:
        raise ConfigError(
            f"--gpu_replicas is {replicas}; it must be 0 (one a GPU) or at most {count}, since "
            + ("there are so many GPUs" if kind == "GPU" else "CUDA's driver shows no GPU")
        )
    return tuple(f"/device:{kind}:{index}" for index in range(replicas or count))
