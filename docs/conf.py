"""How the documentation is built: sphinx-build -W docs docs/_build."""

from xanes_hpc import __version__

project = "xanes-hpc"
smartquotes = False  # options would lose a dash
author = "the xanes-hpc developers"
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build", "jupyter_execute"]  # both are made by builds
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks hold the outputs that a test reproduces
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]
napoleon_numpy_docstring = True
napoleon_google_docstring = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
html_theme = "furo"
html_show_copyright = False
html_title = f"xanes-hpc {release}"
