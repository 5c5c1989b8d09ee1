"""What `orchestrate doctor` says of containment."""

from __future__ import annotations

import json

from orchestrator_nb.system.sandbox.policy import Level
from tests.cli.conftest import Call
from tests.system.sandbox.place import need


def test_the_doctor_names_the_level_of_containment(call: Call) -> None:
    box = need(Level.BUBBLEWRAP)
    told = json.loads(call("doctor", "--json").out)
    (fact,) = [fact for fact in told["machine"] if fact["name"] == "sandbox"]
    assert fact["ok"]
    assert fact["value"].startswith(box.why)


def test_h1_the_doctor_tries_to_break_out_and_prints_what_is_open(call: Call) -> None:
    need(Level.LANDLOCK)
    box = need(Level.BUBBLEWRAP)
    told = call("doctor", "--probe")
    assert told.code == 0, told.err
    lines = [line.split("  ") for line in told.out.splitlines()]
    modes = {line[0]: [cell.strip() for cell in line if cell.strip()] for line in lines}
    assert modes["bubblewrap, network off"] == ["bubblewrap, network off", "40 / 40", "-"]
    assert modes["bubblewrap, network on"][1] == ("37 / 40" if box.means.landlock >= 6 else "36 / 40")
    assert "chmod_outside" in modes["landlock, network off"][2]
    assert "uncontained" in modes
    assert "loopback_tcp    Connect to a TCP server on 127.0.0.1." in told.out
