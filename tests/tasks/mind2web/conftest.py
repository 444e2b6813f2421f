"""Recorded runs of the original, read from outside the repository, and official data made of them."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from agentx.tasks.mind2web.samples import WebStep

SHARED = Path(os.environ.get("AGENTX_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))

PAGE = """<html backend_node_id="1"><body backend_node_id="2">
<a backend_node_id="3"><text>home</text></a>
<label backend_node_id="4"><text>town</text></label>
<input backend_node_id="5" type="text" aria_label="town"/>
<select backend_node_id="6" name="size"><option backend_node_id="7"><text>small</text></option></select>
<a backend_node_id="8"><text>about us</text></a>
<a backend_node_id="9"><text>contact</text></a>
<button backend_node_id="10"><text>go</text></button>
</body></html>"""


@pytest.fixture(scope="session")
def recorded() -> Path:
    folder = SHARED / "conformance" / "mind2web"
    if not folder.is_dir():
        pytest.skip("no recorded runs of the original: set AGENTX_SHARED_DATA to the folder that has conformance/")
    return folder


@pytest.fixture(scope="session")
def agentbench() -> Path:
    folder = SHARED / "agentbench"
    if not (folder / "mind2web").is_dir():
        pytest.skip("no AgentBench prompts: set AGENTX_SHARED_DATA to the folder that has agentbench/")
    return folder


@pytest.fixture(scope="session")
def official_root(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mind2web")
    (root / "data_std").mkdir()
    (root / "data_std" / "tasks.json").write_bytes((recorded / "tasks.json").read_bytes())
    scores = json.loads((recorded / "scores.json").read_text(encoding="utf-8"))
    (root / "scores_all_data.pkl").write_bytes(pickle.dumps(scores))
    return root


@pytest.fixture
def make_step() -> Any:
    """Makes a step on a small page: node 5 is to be typed into, 3, 6, 8, 9 and 10 are the wrong ones."""

    def make(**changes: Any) -> WebStep:
        fields: dict[str, Any] = {
            "annotation_id": "t",
            "action_uid": "0",
            "website": "site",
            "task": "Type the town Bath, then go.",
            "previous": (),
            "in_words": "[input]  town -> TYPE: Bath",
            "steps": 1,
            "operation": "TYPE",
            "value": "Bath",
            "positives": ("5",),
            "negatives": ("3", "6", "8", "9", "10"),
            "html": PAGE,
            "where": "pages.json, record 0",
            "ranks": {"3": 1, "5": 0, "6": 2, "8": 3, "9": 4, "10": 5},
        }
        return WebStep(**(fields | changes))

    return make
