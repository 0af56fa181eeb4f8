"""A search for settings: trials that are judged by validation, from a space to a recipe file."""
