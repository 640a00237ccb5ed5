"""An action on a row, as an admin page declares it, and what operators read of rows that it leaves out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GONE = "no longer there"
NOT_REACHED = "not reached, because the database is busy"
NOT_LISTED = "no longer in this list"


@dataclass(frozen=True, kw_only=True)
class RowAction:
    """An action on a row, offered on the list and on the row's page.

    Args:
        name: the value of ``action`` in the POST, and the ``tool`` in the task's history.
        done: the past tense, for the message: "Completed" 3 tasks.
        of: what stands between the label and the rows, such as " of" in "Revoke all tokens" of 3 users.
        perform: the service call that does it; it may raise a ``TodoError``. With ``asks_reason`` it also gets ``by``,
            the operator's id, and ``reason``.
        permission: the Django permission that it needs: ``change``, ``delete``, or a complete name of another one.
        confirm: what it destroys. If this is set, the operator must confirm first.
        typed: the operator confirms by typing the row's key, so the action works on one row at a time.
        asks_reason: the confirmation page has a field for a reason.
        on_any_row: the operator may also do it to rows that ``may_act`` keeps from other actions.
        removes: the row no longer exists afterwards.
        receipt: ``perform`` returns how much of each kind it removed. The log keeps that, and the operator sees it.
        applies: whether the action makes sense for a row in its current state.
        unless: what a row is to which the action does not apply, such as "already deleted".
    """

    name: str
    label: str
    done: str
    perform: Callable[..., object]
    permission: str = "change"
    confirm: str = ""
    typed: bool = False
    of: str = ""
    asks_reason: bool = False
    on_any_row: bool = False
    removes: bool = False
    receipt: bool = False
    applies: Callable[[Any], bool] = lambda row: True
    unless: str = ""

    @property
    def style(self) -> str:
        """The CSS class of the button."""
        return "todo-destroys" if self.confirm else ""


def left_in_words(left: Counter[str], *, will_be: bool = False) -> list[str]:
    """For each reason, how many rows an action does not change, such as "1 not changed: it is already deleted"."""
    verb = "will not be changed" if will_be else "not changed"
    return [f"{n} {verb}: {'it is' if n == 1 else 'they are'} {why}." for why, n in left.items() if n > 0]
