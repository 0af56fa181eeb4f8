"""Export to TensorFlow Serving, and a client for the exported models."""
