"""Interactions, splits and tf.data pipelines; knows nothing of Keras models."""
