# SPDX-License-Identifier: GPL-2.0-only
"""Configuration of Sphinx: make docs."""

import re
from pathlib import Path

KBUILD = Path(__file__).resolve().parent.parent / "Kbuild"

project = "Umbra"
author = "The Umbra developers"
project_copyright = author
version = re.search(r"^UMBRA_VERSION := (\S+)", KBUILD.read_text(encoding="utf-8"), re.M).group(1)
release = version

root_doc = "index"
exclude_patterns = ["man"]
# What is marked up as code is C, assembly and shell by turns.
highlight_language = "none"

html_theme = "alabaster"
html_theme_options = {"description": "A hypervisor for x86-64", "page_width": "70em"}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_copy_source = False
html_show_sphinx = False
