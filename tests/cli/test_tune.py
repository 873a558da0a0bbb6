"""`jitui tune`, as people run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jitui.policy import Policy
from tests.cli.conftest import Jitui
from tests.tuning.markets import POLICY, market

TRIED = ("--try", "limit_minor=15000:60000:15000", "--try", "least_on_time_percent=0,80", "--no-caps")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return market(tmp_path_factory.mktemp("planted") / "h", buyers=4_000)


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def test_a_recommendation_for_people_and_a_policy_to_propose(
    jitui: Jitui, history: Path, policy_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    done = jitui(
        "tune", str(policy_file), "--history", str(history), *TRIED, "--incident-percent", "2", "--out", str(out)
    )
    assert done.code == 0, done.err
    assert "Recommended: limit_minor = 60000, least_on_time_percent = 80" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    proposed = Policy.from_file(out / "proposed.yaml")
    assert {one.name: one.value for one in proposed.parameters}["limit_minor"] == 60_000
    assert proposed.text.count("60000") == 1, "nothing else of the text changes"
    document = json.loads((out / "tune.json").read_text(encoding="utf-8"))
    assert document["recommended"] == {"limit_minor": 60_000, "least_on_time_percent": 80}
    assert "Give it a version of its own" in done.err
    assert sorted(path.name for path in out.iterdir()) == ["proposed.yaml", "tune.json"]
    again = jitui("tune", str(policy_file), "--history", str(history), *TRIED, "--out", str(out))
    assert again.code == 2
    assert "is there already and is not empty" in again.err


def test_nothing_to_recommend_is_exit_code_one(jitui: Jitui, history: Path, policy_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    done = jitui(
        "tune", str(policy_file), "--history", str(history), *TRIED, "--incident-percent", "0.001", "--out", str(out)
    )
    assert done.code == 1
    assert "No setting keeps to the bounds" in done.out
    assert not (out / "proposed.yaml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--try", "limit_minr"), "did you mean limit_minor?"),
        (("--try", "spare=1,2"), "spare decides nothing here"),
        ((), "Say what to try, as --try limit_minor=FROM:TO:STEP."),
        (("--try", "limit_minor", "--learn-until", "soon"), "'soon' is no date"),
        (("--try", "limit_minor", "--learn-until", "2030-01-01"), "take an earlier day with --learn-until"),
    ],
)
def test_what_cannot_be_tuned_is_said_in_a_sentence(
    jitui: Jitui, history: Path, policy_file: Path, words: tuple[str, ...], said: str
) -> None:
    done = jitui("tune", str(policy_file), "--history", str(history), *words)
    assert done.code == 2
    assert said in " ".join(done.err.split())
