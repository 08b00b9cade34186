"""The demo model: a classifier of handwritten digits, trained once a machine.

usage: python -m fastserve.demo DIRECTORY     trains it and exports version 1 there
"""

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from fastserve.errors import ConfigError

MODEL_NAME = "mnist"
_LEAST_ACCURACY = 0.95


def base_path() -> Path:
    """Returns the demo model's base path, after making the model if this machine has none yet.

    Training needs TensorFlow's Python package and scikit-learn, so it is done in another process.
    Raises ConfigError.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "fastserve" / "demo" / MODEL_NAME
    if not (path / "1" / "saved_model.pb").exists():
        print(f"making the demo model in {path} (once; takes a moment)", flush=True)
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, "-m", "fastserve.demo", str(path)]
        if subprocess.run(command, env=environment, check=False).returncode != 0:
            raise ConfigError(
                "the demo model could not be made (see above);"
                " it needs the extra packages of: pip install 'fastserve[demo]'"
            )
    return path


def load_digits() -> tuple[Any, Any]:
    """Returns scikit-learn's handwritten digits: images [1797, 784] of 0 to 1, and labels."""
    import numpy as np
    from sklearn.datasets import load_digits as load  # type: ignore[import-untyped]

    digits = load()
    # 8x8 to 28x28 by linear interpolation along either axis.
    places = np.linspace(0, 7, 28)
    low = np.minimum(places.astype(int), 6)
    weight = places - low
    rows = (
        digits.images[:, low] * (1 - weight)[:, None] + digits.images[:, low + 1] * weight[:, None]
    )
    pixels = rows[:, :, low] * (1 - weight) + rows[:, :, low + 1] * weight
    return (pixels / 16.0).reshape(-1, 784).astype(np.float32), digits.target


def split_digits() -> tuple[Any, Any, Any, Any]:
    """Returns training and held-out images, training and held-out labels; always the same."""
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

    images, labels = load_digits()
    parts: tuple[Any, Any, Any, Any] = tuple(
        train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    )
    return parts


def make(directory: Path) -> None:
    """Trains, prints the held-out accuracy, and exports version 1 in `directory`."""
    from sklearn.neural_network import MLPClassifier  # type: ignore[import-untyped]

    train, held_out, train_labels, held_out_labels = split_digits()
    classifier = MLPClassifier((64,), max_iter=60, random_state=0, early_stopping=False, tol=1e-3)
    with warnings.catch_warnings():  # It stops before it converges: the digits are learnt by then.
        warnings.simplefilter("ignore")
        classifier.fit(train, train_labels)
    accuracy = float(classifier.score(held_out, held_out_labels))
    print(f"demo model: held-out accuracy {accuracy:.1%} on {len(held_out)} digits", flush=True)
    if accuracy < _LEAST_ACCURACY:
        raise SystemExit(f"the demo model's accuracy is below {_LEAST_ACCURACY:.0%}")
    directory.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=directory, prefix="making-"))
    try:
        _export(classifier, scratch / "model")
        try:
            (scratch / "model").rename(directory / "1")
        except OSError:
            if not (directory / "1").exists():  # Else another process was quicker.
                raise
    finally:
        shutil.rmtree(scratch)


def _export(classifier: Any, path: Path) -> None:
    """Writes scikit-learn's network as a SavedModel: images [?,784] -> scores [?,10]."""
    import numpy as np
    import tensorflow as tf  # type: ignore[import-untyped]

    module = tf.Module()
    module.layers = [
        (tf.Variable(weights.astype(np.float32)), tf.Variable(bias.astype(np.float32)))
        for weights, bias in zip(classifier.coefs_, classifier.intercepts_, strict=True)
    ]

    @tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32, name="images")])  # type: ignore[untyped-decorator]
    def predict(images: Any) -> dict[str, Any]:
        hidden = images
        for weights, bias in module.layers[:-1]:
            hidden = tf.nn.relu(tf.matmul(hidden, weights) + bias)
        weights, bias = module.layers[-1]
        return {"scores": tf.nn.softmax(tf.matmul(hidden, weights) + bias)}

    signatures = {"predict_images": predict, "serving_default": predict}
    tf.saved_model.save(module, str(path), signatures)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    make(Path(sys.argv[1]))
