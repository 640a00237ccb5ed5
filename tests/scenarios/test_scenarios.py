"""Each everyday request, played through one of the doors. All doors have about the same number of scenarios."""

import pytest

from tests.scenarios.dialogue import Call, Scenario
from tests.scenarios.running import TestClock, run
from tests.scenarios.scripts import BY_NAME, SCENARIOS
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller

pytestmark = pytest.mark.anyio


def test_there_are_many_scenarios_and_each_has_its_own_name() -> None:
    assert len(BY_NAME) == len(SCENARIOS) >= 40


@pytest.mark.parametrize(
    ("scenario", "door"),
    [pytest.param(scenario, DOORS[number % len(DOORS)], id=scenario.name) for number, scenario in enumerate(SCENARIOS)],
)
async def test_a_scenario_does_what_it_says_within_its_cost(
    scenario: Scenario, door: str, plain_caller: Caller, orm: Orm, clock: TestClock
) -> None:
    result = await run(scenario, plain_caller, door, orm, clock)
    assert len(result.answers) == scenario.cost.calls == sum(isinstance(line, Call) for line in scenario.talk)
    assert result.sent <= scenario.cost.sent
    assert result.received <= scenario.cost.received
