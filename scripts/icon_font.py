"""Makes the icon font of the admin: the icons of the theme's font that a page may show, 20 KB instead of 290 KB.

Run it after you use a new icon. A test names icons that the font lacks.

    uv run --with fonttools --with brotli scripts/icon_font.py
"""

import re
import string
from pathlib import Path

from fontTools import subset

ROOT = Path(__file__).parent.parent
THEME = next(ROOT.glob(".venv/lib/python3.*/site-packages/unfold"))
FONT = THEME / "static/unfold/fonts/material-symbols/Material-Symbols-Outlined.woff2"
TARGET = ROOT / "todo_mcp/static/todo_mcp/icons.woff2"
_NAME = re.compile(r"\b[a-z][a-z0-9_]+\b")


def words() -> set[str]:
    """Every word of the theme's and our templates, and of our modules. Few of them are names of icons."""
    ours = [path for name in ("todo_mcp", "tasks", "conversations") for path in (ROOT / name).rglob("*.py")]
    templates = [*(ROOT / "todo_mcp/templates").rglob("*.html"), *(THEME / "templates").rglob("*.html")]
    return {word for path in [*ours, *templates] for word in _NAME.findall(path.read_text())}


def main() -> None:
    # A page shows an icon by its name, which the font draws as a ligature. So keep the letters and these ligatures.
    options = subset.Options(flavor="woff2", layout_closure=False, layout_features=["liga", "rlig"], hinting=False)
    font = subset.load_font(str(FONT), options)
    letters = [font.getBestCmap()[ord(letter)] for letter in string.ascii_lowercase + string.digits + "_"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(glyphs=[*letters, *(words() & set(font.getGlyphOrder()))])
    subsetter.subset(font)
    subset.save_font(font, str(TARGET), options)


if __name__ == "__main__":
    main()
