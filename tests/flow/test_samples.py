"""The sample flows are valid, explained, and do what their scenarios say."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.flow.document import AbTest, Condition, Launch, Limit, Split, Step, Wait
from engine.flow.jsonschema import flow_schema
from engine.flow.schema import DEFAULT
from engine.flow.source.source import load, locate
from engine.flow.validate import check
from engine.simulation.scenario import load as load_scenario
from engine.simulation.scenario import test as run_scenario
from tests.reference.jsonschema import accepts

FOLDER = Path(__file__).parents[2] / "engine" / "flow" / "samples"
SCENARIOS = sorted(FOLDER.glob("*.test.yaml"))
FLOWS = [path for path in sorted(FOLDER.glob("*.yaml")) if path not in SCENARIOS]


def name(path: Path) -> str:
    return path.name


def test_each_flow_has_a_scenario_of_its_own() -> None:
    assert {path.stem for path in FLOWS} == {
        *("abandoned-cart", "birthday", "post-purchase", "subscription-reminder", "win-back")
    }
    assert {path.name.removesuffix(".test.yaml") for path in SCENARIOS} == {path.stem for path in FLOWS}


@pytest.mark.parametrize("path", FLOWS, ids=name)
def test_a_sample_is_valid(path: Path) -> None:
    loaded = load(path.read_bytes(), yaml=True)
    checked = check(loaded.demand(), DEFAULT)
    assert locate(checked.problems, loaded) == []
    assert checked.flow is not None
    assert checked.flow.id == path.stem
    schema = flow_schema()
    assert accepts(schema, loaded.raw, schema)


@pytest.mark.parametrize("path", FLOWS, ids=name)
def test_a_sample_begins_with_its_purpose(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_together_they_show_every_kind_of_node() -> None:
    kinds = set()
    for path in FLOWS:
        flow = check(load(path.read_bytes(), yaml=True).demand(), DEFAULT).flow
        assert flow is not None
        kinds |= {type(node) for node in flow.nodes.values()}
    assert kinds == {Launch, Step, Wait, Condition, Split, AbTest, Limit}


@pytest.mark.parametrize("path", SCENARIOS, ids=name)
def test_a_sample_passes_its_scenario(path: Path) -> None:
    result = run_scenario(load_scenario(path))
    assert result.passed, result.difference
    assert result.records > 1
