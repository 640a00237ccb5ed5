"""The map in docs/architecture.md shows the existing packages in the order of the layers, and folders are small."""

import configparser
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
MAP = (ROOT / "docs/architecture.md").read_text().split("<!-- map -->")[1].split("<!-- /map -->")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in MAP.strip().splitlines()[2:]]
PRODUCTION = ("todo_mcp", "tasks", "conversations")
OF_DJANGO = ("migrations", "apps")  # in several rooms; the text above the map explains them once
LOOSE = {"admin", "apps", "asgi", "command_line", "settings", "urls"}  # modules of todo_mcp itself
MODULES_MAX = 14  # in one folder
SMALL = 30  # lines; a module with fewer is small
SMALL_SHARE_MAX = 0.15


def modules() -> Iterator[Path]:
    """Every module of production code, without ``__init__.py``."""
    for package in PRODUCTION:
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "__init__.py":
                yield path.relative_to(ROOT)


def rooms_on_disk() -> set[str]:
    """Every package that holds modules, and the modules of todo_mcp itself."""
    paths = [path for path in modules() if "migrations" not in path.parts]
    return {str(path if path.parent == Path("todo_mcp") else path.parent) for path in paths}


def room_names() -> list[str]:
    return [row[0].strip("`") for row in ROWS]


def test_the_rooms_of_the_map_are_the_packages_on_disk() -> None:
    assert Counter(room_names()) == Counter(rooms_on_disk())


def test_the_rooms_of_the_map_are_in_the_order_of_the_layers() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = re.findall(r"[\w.]+", contracts["importlinter:contract:layers"]["layers"])

    names = [name.removesuffix(".py").replace("/", ".") for name in room_names()]
    assert names.pop() == "todo_mcp.apps"  # Django needs it; it is in no layer
    room_layers = [".".join(name.split(".")[: 2 if name.startswith("todo_mcp.") else 1]) for name in names]
    assert [
        layer for layer, before in zip(room_layers, [None, *room_layers], strict=False) if layer != before
    ] == layers


def test_the_map_names_every_module_of_each_room_and_no_other() -> None:
    for name, _question, contents in ROWS:
        room = ROOT / name.strip("`")
        if room.suffix != ".py":
            on_disk = {path.stem for path in room.glob("*.py")} - {"__init__", *OF_DJANGO}
            assert set(re.findall(r"`([a-z][a-z0-9_]*)`", contents)) == on_disk, name


def test_todo_mcp_itself_holds_no_other_modules() -> None:
    assert {path.stem for path in modules() if path.parent == Path("todo_mcp")} == LOOSE


def test_no_folder_holds_too_many_modules() -> None:
    counts = Counter(str(path.parent) for path in modules())
    assert {folder: count for folder, count in counts.items() if count > MODULES_MAX} == {}


def test_few_modules_are_very_small() -> None:
    candidates = [path for path in modules() if path.name != "apps.py"]
    small = [str(path) for path in candidates if len((ROOT / path).read_text().splitlines()) < SMALL]
    assert len(small) <= SMALL_SHARE_MAX * len(candidates), "\n".join(sorted(small))
