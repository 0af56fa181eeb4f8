"""Makes `import tfzoo` work in the folder above a clone named ``tfzoo``.

There the name finds the clone before an installed package. This file, which no installation has, puts
the package that is inside the clone in its place.
"""

import importlib.util
import sys
from pathlib import Path

if __name__ == "tfzoo":
    _folder = Path(__file__).parent / "tfzoo"
    _spec = importlib.util.spec_from_file_location(
        __name__, _folder / "__init__.py", submodule_search_locations=[str(_folder)]
    )
    if _spec is None or _spec.loader is None:
        raise ImportError(f"{_folder} is not the package 'tfzoo': clone it anew, or work in another folder.")
    sys.modules[__name__] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[__name__])
