"""A cassette on disk: whole takes or none, lanes, secrets, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_nb.agents.cassettes.tape import FORMAT, Cassette, Content, Take, check_of, hashed, key_of
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.core.ports import Success
from orchestrator_nb.errors import CassetteError

REQUEST = {"agent": "model", "prompt": "What is it?"}
KEY = key_of(hashed(REQUEST))


@pytest.fixture
def cassette(tmp_path: Path) -> Cassette:
    made = Cassette(tmp_path / "cassette")
    made.make()
    return made


def record(cassette: Cassette, number: int = 1, task: str = "T-01", **fields: Any) -> str:
    """Put a take on the tape; returns its directory."""
    draft = cassette.begin(task, Redactor(["a-secret-value"]), "s1")
    prompt = draft.put("prompt.md", b"What is it?")
    take = Take(format=FORMAT, task=task, request=hashed(REQUEST), key=KEY, prompt=prompt, **fields)
    return cassette.keep(draft, take, number)


def edit(cassette: Cassette, directory: str, **fields: Any) -> None:
    """Change a take as somebody would who knows how its hash is made."""
    path = cassette.root.path / directory / "take.json"
    take = msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=Take), **fields)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(take, check=check_of(take))))


def test_what_was_kept_is_found(cassette: Cassette) -> None:
    directory = record(cassette, success=Success(value={"n": 1}), task="review/api")
    assert directory.startswith("review+api/")
    assert directory.endswith(".1")
    found = cassette.find("review/api", KEY, 1)
    assert found is not None
    assert found.take.success == Success(value={"n": 1})
    assert found.request == REQUEST
    assert cassette.find("review/api", KEY, 2) is None
    assert cassette.find("review/api", "0" * 64, 1) is None
    assert cassette.tasks() == ["review+api"]
    assert [take.place for take in cassette.takes("review/api")] == [found.place]


def test_a_lane_is_recorded_anew_from_its_first_take(cassette: Cassette) -> None:
    for number in (1, 2, 3):
        record(cassette, number, success=Success(value=number))
    assert len(cassette.lane("T-01", KEY)) == 3
    record(cassette, 1, success=Success(value="new"))
    assert len(cassette.lane("T-01", KEY)) == 1
    found = cassette.find("T-01", KEY, 1)
    assert found is not None
    assert found.take.success == Success(value="new")


def test_what_was_begun_and_not_kept_is_no_take(cassette: Cassette) -> None:
    record(cassette, success=Success(value=1))
    draft = cassette.begin("T-01", Redactor(), "s2")
    draft.put("prompt.md", b"half")
    assert len(list(cassette.takes("T-01"))) == 1
    assert cassette.lane("T-01", KEY) == [f"{KEY[:16]}.1"]
    left = cassette.root.path / draft.directory
    assert left.is_dir()
    cassette.begin("T-01", Redactor(), "s2")
    assert not list(left.iterdir()), "the same session gives up what it had begun"


def test_secrets_are_taken_out_of_texts_and_blobs(cassette: Cassette) -> None:
    draft = cassette.begin("T-01", Redactor(["a-secret-value"]), "s1")
    text, blob = draft.put("outputs/x.py", b"key = 'a-secret-value'"), draft.put("outputs/x.bin", b"\0a-secret-value")
    assert not text.blob
    assert blob.blob
    assert cassette.content(draft.directory, text) == b"key = '[redacted]'"
    assert cassette.content(draft.directory, blob) == b"\0[redacted]"
    assert draft.plain({"a": ["a-secret-value"]}) == {"a": ["[redacted]"]}
    assert (cassette.root.path / draft.directory / "outputs/x.py.txt").is_file(), "nothing that programs obey"


@pytest.mark.parametrize("name", ["changed/../../x", "changed/a:b", "changed/.git/config", f"changed/{'x' * 300}"])
def test_a_text_with_a_name_that_no_file_should_have_is_a_blob(cassette: Cassette, name: str) -> None:
    draft = cassette.begin("T-01", Redactor(), "s1")
    content = draft.put(name, b"text")
    assert content.blob
    assert cassette.content(draft.directory, content) == b"text"


def test_what_was_edited_is_refused(cassette: Cassette) -> None:
    directory = record(cassette, success=Success(value=1))
    path = cassette.root.path / directory / "take.json"
    path.write_text(path.read_text().replace('"value": 1', '"value": 2'))
    with pytest.raises(CassetteError, match=r"take\.json was edited or torn"):
        cassette.find("T-01", KEY, 1)
    path.write_text(path.read_text()[:100])
    with pytest.raises(CassetteError, match=r"take\.json cannot be read"):
        cassette.find("T-01", KEY, 1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "other"}, "other work than its name says"),
        ({"success": None}, "does not say how the attempt ended"),
        ({"format": 9}, "is of format 9, this version reads 1"),
        ({"request": {"agent": "model", "prompt": "0" * 64}, "key": "x"}, "edited or torn"),
    ],
)
def test_what_was_tampered_with_is_refused(cassette: Cassette, fields: dict[str, Any], words: str) -> None:
    edit(cassette, record(cassette, success=Success(value=1)), **fields)
    with pytest.raises(CassetteError, match=words):
        cassette.find("T-01", KEY, 1)


def test_no_path_and_no_link_leads_out_of_a_cassette(cassette: Cassette, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("text")
    digest = "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
    directory = record(cassette, success=Success(value=1))
    for content in (Content("../../outside", digest), Content("x", "../../outside", blob=True)):
        with pytest.raises(CassetteError, match="tampered with"):
            cassette.content(directory, content)
    (cassette.root.path / directory / "log").symlink_to(tmp_path / "outside")
    with pytest.raises(CassetteError, match="cannot be read"):
        cassette.content(directory, Content("log", digest))


def test_a_directory_with_something_else_in_it_is_no_cassette(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(CassetteError, match="no cassette, and not empty"):
        Cassette(tmp_path).make()
    with pytest.raises(CassetteError, match="record one with --record"):
        Cassette(tmp_path).check()
    (tmp_path / "cassette.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(CassetteError, match="is of format 2, this version reads 1"):
        Cassette(tmp_path).check()
