"""The scripts, by kind."""

from tests.scenarios.dialogue import Scenario
from tests.scenarios.scripts import adding, changing, finishing, looking, people, repeating, undoing

SCENARIOS: list[Scenario] = [
    one for module in (looking, adding, repeating, changing, finishing, undoing, people) for one in module.SCENARIOS
]
BY_NAME = {one.name: one for one in SCENARIOS}
