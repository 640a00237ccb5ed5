"""Loads the templates of installed apps, and hides the theme's icons from screen readers."""

import re

from django.template import Origin
from django.template.loaders import app_directories

# An icon is a word in an icon font, such as ``filter_list``. A screen reader would read it aloud. The theme has icons
# in 60 templates; an override of each would copy most of the theme.
_ICON = re.compile('<(span|div) (class="[^"]*material-symbols-outlined)')


class Loader(app_directories.Loader):
    def get_contents(self, origin: Origin) -> str:
        return _ICON.sub(r'<\1 aria-hidden="true" \2', super().get_contents(origin))
