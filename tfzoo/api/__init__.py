"""From a data frame to recommendations: the few functions that most users need."""

from tfzoo.api.comparing import compare
from tfzoo.api.fitted import FittedModel
from tfzoo.api.fitting import fit
from tfzoo.api.loading import load
from tfzoo.api.tuning import TunedSettings, tune

__all__ = ["FittedModel", "TunedSettings", "compare", "fit", "load", "tune"]
