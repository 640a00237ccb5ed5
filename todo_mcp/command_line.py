"""The command line: ``todo-mcp`` of a wheel, ``manage.py`` of a checkout."""

import os
import sys
from importlib import import_module
from textwrap import shorten

from django.core.exceptions import ImproperlyConfigured
from django.core.management import ManagementUtility, get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.db import Error

from todo_mcp import __version__
from todo_mcp.process.commands import database_problem

SETTINGS = "todo_mcp.settings"
PACKAGES = ("todo_mcp", "tasks", "conversations")
# Commands of Django and its libraries that help an operator. The others exist too.
OF_LIBRARIES = ("changepassword", "check", "createapplication", "dbshell", "sendtestemail", "shell", "showmigrations")
HELP_WIDTH = 96  # characters of what a command does
FORMER_NAMES = {"run_local": "run"}


def main() -> None:
    """Run the command that the arguments name. An error that a person can correct is one sentence."""
    arguments = [sys.argv[0], *(FORMER_NAMES.get(word, word) for word in sys.argv[1:2]), *sys.argv[2:]]
    if arguments[1:] in (["--version"], ["version"]):
        print(__version__)
        return
    module = os.environ["DJANGO_SETTINGS_MODULE"] = os.environ.get("DJANGO_SETTINGS_MODULE") or SETTINGS
    if sys.stdin is None:  # closed, as by `<&-`; a question then finds its end instead of nothing
        sys.stdin = open(os.devnull)  # noqa: SIM115 (for the whole process)
    try:
        if module != SETTINGS and (problem := settings_problem(module)):
            sys.exit(f"todo-mcp: DJANGO_SETTINGS_MODULE is {module!r}, which {problem}; set it to {SETTINGS}.")
        CommandLine(arguments).execute()
    except EOFError:
        print(file=sys.stderr)  # the question has no line end
        sys.exit("todo-mcp: This command asks a question, and nobody answered. Run it at a terminal, or see its help.")
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports it; the person at the terminal knows why
    except ImproperlyConfigured as error:
        sys.exit(f"todo-mcp: {error}")
    except Error as error:
        if not (problem := database_problem(error)):
            raise
        sys.exit(f"todo-mcp: {problem}")


class CommandLine(ManagementUtility):
    """Django's command line, with a help for people who use todo-mcp."""

    def main_help_text(self, commands_only: bool = False) -> str:
        """Our commands with what they do, then those of libraries. Bare names only if ``commands_only``."""
        if commands_only or self.settings_exception:
            return super().main_help_text(commands_only)
        apps = get_commands()
        ours = sorted(name for name, app in apps.items() if str(app).startswith(PACKAGES))
        lines = [f"{self.prog_name} COMMAND [options]; {self.prog_name} COMMAND --help explains one.", ""]
        lines += map(_help_line, ours)
        lines += ["", "Of Django and its libraries:", "", *map(_help_line, filter(apps.__contains__, OF_LIBRARIES))]
        return "\n".join(lines)


def _help_line(name: str) -> str:
    app = get_commands()[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
    return f"  {name:<17} {shorten(command.help.partition('. ')[0].rstrip('.'), HELP_WIDTH, placeholder=' …')}"


def settings_problem(module: str) -> str:
    """Why this cannot be the module of the settings, or "". Another one may build on ours."""
    try:
        return "" if "tasks" in getattr(import_module(module), "INSTALLED_APPS", ()) else "has other settings"
    except ImproperlyConfigured:
        raise
    except ModuleNotFoundError as error:
        return "does not exist" if f"{module}.".startswith(f"{error.name}.") else f"cannot be imported ({error})"
    except Exception as error:  # a module of another program may raise anything
        return f"cannot be imported ({type(error).__name__})"
