from __future__ import annotations

from orchestrator_nb.agents.coding.redaction import MARK, Redactor, secrets_in

SECRET = "sk-very-secret-value"


def test_row_H5_texts_hold_no_secret() -> None:
    redactor = Redactor([SECRET, "no", f"{SECRET}-longer"])
    assert redactor.text(f"key={SECRET}-longer, {SECRET}; no") == f"key={MARK}, {MARK}; no"


def test_row_H5_secrets_are_known_as_json_spells_them() -> None:
    redactor = Redactor(['line one\nline "two" ü'])
    for text in ('line one\nline "two" ü', r"line one\nline \"two\" ü", r"line one\nline \"two\" \u00fc"):
        assert redactor.text(f"<{text}>") == f"<{MARK}>"


def test_long_texts_in_a_login_file_are_secrets() -> None:
    login = '{"tokens": {"access": "a-token-of-some-length", "kind": "Bearer"}, "more": ["another-long-token-x", 3]}'
    assert sorted(secrets_in(login)) == ["a-token-of-some-length", "another-long-token-x"]
    assert list(secrets_in("no json")) == []
