"""How Sphinx builds the site: `make docs`."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "kfp-pachyderm"
author = "the authors of kfp-pachyderm"
version = release = installed("kfp-pachyderm")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "building.extension",
]
exclude_patterns = ["building"]

# As the forge makes them: a link to a heading works in both.
myst_heading_anchors = 4

# In docstrings a word in backquotes is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"kfp-pachyderm {release}"
html_static_path = ["building/static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
