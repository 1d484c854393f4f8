"""Exports that somebody has changed: under new checksums, as whoever changes them can."""

import json
import shutil

import tensorflow as tf

from keras_transfer.exports import integrity


def reseal(folder, **changes):
    """Give an export new checksums."""
    file = folder / "export.json"
    metadata = json.loads(file.read_text(encoding="utf-8")) | changes
    metadata.pop("checksums", None)
    file.write_text(json.dumps(integrity.with_checksums(metadata, folder)), encoding="utf-8")


def add_to_graph(folder, act):
    """Make the SavedModel of an export call a function before it answers."""
    loaded = tf.saved_model.load(str(folder))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_default(image_bytes):
        act()
        return loaded.signatures["serving_default"](image_bytes=image_bytes)

    module = tf.Module()
    module.loaded = loaded
    shutil.rmtree(folder / "variables")
    (folder / "saved_model.pb").unlink()
    tf.saved_model.save(module, str(folder), signatures=serving_default)
    reseal(folder)
