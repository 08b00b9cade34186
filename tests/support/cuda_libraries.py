"""Prints, as JSON, where TensorFlow's own loader finds CUDA's libraries; null where it does not.

Run by a Python that has fastserve. Needs nothing else of the tests, so that it runs in an image
too, and no GPU. x86-64.
"""

import ctypes
import json
import os

from fastserve.servables.runtime import load_runtime, preload_cusolver, tensorflow_directory

#: As tsl/platform/default/dso_loader.h calls them.
NAMES = ("CudaRuntime", "Cublas", "CublasLt", "Cufft", "Cusolver", "Cusparse", "Cudnn", "Cupti")

#: What an absl::Status that is OK holds.
OK = 1

RTLD_DI_LINKMAP = 2


class StatusOrHandle(ctypes.Structure):
    """absl::StatusOr<void*>, which a function returns where its hidden first argument points."""

    _fields_ = (("status", ctypes.c_size_t), ("handle", ctypes.c_void_p))


class LinkMap(ctypes.Structure):
    """The beginning of struct link_map of link.h."""

    _fields_ = (("address", ctypes.c_void_p), ("path", ctypes.c_char_p))


def find(framework: ctypes.CDLL, name: str) -> str | None:
    function = f"Get{name}DsoHandle"
    found = StatusOrHandle()
    framework[f"_ZN3tsl8internal9DsoLoader{len(function)}{function}Ev"](ctypes.byref(found))
    if found.status != OK:
        return None
    library = ctypes.POINTER(LinkMap)()
    dlinfo = ctypes.CDLL(None).dlinfo
    assert dlinfo(ctypes.c_void_p(found.handle), RTLD_DI_LINKMAP, ctypes.byref(library)) == 0
    return os.path.realpath(os.fsdecode(library.contents.path))


def main() -> None:
    directory = tensorflow_directory()
    preload_cusolver(directory)  # as load_runtime() does where there is a GPU
    load_runtime()
    framework = ctypes.CDLL(os.path.join(directory, "libtensorflow_framework.so.2"))
    print(json.dumps({name: find(framework, name) for name in NAMES}))


if __name__ == "__main__":
    main()
