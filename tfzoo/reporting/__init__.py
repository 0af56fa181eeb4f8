"""Tables and plots, made from run records alone."""
