"""Writes ResNet-50 with random weights: image [?,224,224,3] -> logits [?,1000].

python bench/load/resnet50_model.py --out DIR

Keras' own network, 25.6 million weights from a fixed seed: what a run costs does not depend on
what the weights have learnt.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tensorflow as tf  # type: ignore[import-untyped]


def export(path: Path) -> None:
    tf.keras.utils.set_random_seed(1)
    network = tf.keras.applications.ResNet50(weights=None, classifier_activation=None)
    image = tf.TensorSpec([None, 224, 224, 3], tf.float32, name="image")

    @tf.function(input_signature=[image])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": network(image, training=False)}

    module = tf.Module()
    module.weights = [weight.value for weight in network.weights]  # tracked, so that they are saved
    tf.saved_model.save(module, str(path), {"serving_default": serve})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="the version folder")
    options = parser.parse_args()
    export(options.out)


if __name__ == "__main__":
    main()
