# Written by scripts/write_stubs.py.
__version__: str
from tfzoo import losses as losses
from tfzoo import metrics as metrics
from tfzoo import models as models
from tfzoo import sampling as sampling
from tfzoo.api import FittedModel as FittedModel
from tfzoo.api import TunedSettings as TunedSettings
from tfzoo.api import compare as compare
from tfzoo.api import fit as fit
from tfzoo.api import load as load
from tfzoo.api import tune as tune
from tfzoo.closed_forms import fit_closed_form as fit_closed_form
from tfzoo.data.datasets import list_datasets as list_datasets
from tfzoo.data.datasets import load_dataset as load_dataset
from tfzoo.data.datasets.files import from_dataframe as from_dataframe
from tfzoo.data.datasets.files import from_file as from_file
from tfzoo.data.interactions import Interactions as Interactions
from tfzoo.evaluation.any_score import evaluate_ranking as evaluate_ranking
from tfzoo.models import create_model as create_model
from tfzoo.models import list_models as list_models
from tfzoo.models import model_info as model_info
from tfzoo.models.retrieval import retrieval_vectors as retrieval_vectors
from tfzoo.models.saved import load_model as load_model
from tfzoo.pretrained import list_pretrained as list_pretrained
from tfzoo.pretrained import load_pretrained as load_pretrained
from tfzoo.training.recipe import load_recipe as load_recipe
