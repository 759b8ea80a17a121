"""How Sphinx builds the documentation; `make docs` calls it."""

project = "Nhịp Cầu"
author = "The Nhịp Cầu authors"
copyright = author  # noqa: A001 - the name is Sphinx's
extensions = ["myst_parser"]
exclude_patterns = ["build"]
html_theme = "furo"
html_title = "Nhịp Cầu"
html_show_sourcelink = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True
