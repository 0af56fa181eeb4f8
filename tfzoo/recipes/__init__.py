"""One YAML file per model and recipe, with the figures that the paper prints."""
