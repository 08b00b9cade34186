"""TFRecord files as fastserve and as TensorFlow read them."""

from pathlib import Path

import tensorflow as tf

from fastserve.errors import ServingError
from fastserve.servables.tfrecord import read_records

Read = tuple[list[bytes], str]
"""The records that a reader gives, and the text of the error that ends it ("" for none)."""


def read(path: Path) -> Read:
    records = []
    try:
        for record in read_records(path):
            records.append(record)
    except ServingError as error:
        return records, str(error)
    return records, ""


def read_by_tensorflow(path: Path) -> Read:
    records = []
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(path)):
            records.append(record)
    except tf.errors.DataLossError as error:
        return records, f"DATA_LOSS: {error.message}"
    return records, ""
