"""The parameters cell: names, types, defaults, help, choices, without executing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import NotebookError
from orchestrator_nb.ipynb.parameters import Parameter, Parameters, parameters_of, read_parameters
from orchestrator_nb.ipynb.wording import type_of_parameter
from tests.ipynb.notebooks import code, notebook, save, words


def read(source: str, *before: str, language: str | None = None) -> Parameters:
    cells = [*(code(each) for each in before), code(source, "parameters")]
    return read_parameters(notebook(*cells, language=language), "x.ipynb")


def one(source: str, *before: str) -> Parameter:
    (parameter,) = read(source, *before)
    return parameter


@pytest.mark.parametrize(
    ("source", "default", "shown"),
    [
        ("x = 1", 1, "number"),
        ("x = -1.5", -1.5, "number"),
        ("x = 'a'", "a", "str"),
        ("x = True", True, "bool"),
        ("x = None", None, "any"),
        ("x = [1, {'a': (2,)}]", [1, {"a": [2]}], "list"),
        ("x = (1, 2)", [1, 2], "tuple"),
        ("x = {'a': 1}", {"a": 1}, "dict"),
        ("x = {2, 1}", [1, 2], "set"),
        ("x = len('abc')", None, "any"),
        ("x = 1e999", None, "number"),
        ("x = b'abc'", None, "any"),
        ("x = 2 ** 70", None, "any"),
        ("x = Path('data') / 'y.csv'", None, "Path"),
        ("x = Path('data')", "data", "Path"),
        ("x = date(2025, 1, 2)", "2025-01-02", "date"),
        ("x = datetime.date.today()", None, "date"),
        ("x: int = 3", 3, "int"),
        ("x: float = 3", 3, "float"),
        ("x: 'int | None' = 3", 3, "int | None"),
        ("x: Optional[float] = None", None, "float | None"),
        ("x: t.Union[int, str, None] = None", None, "int | str | None"),
        ("x: List[int] = []", [], "list[int]"),
        ("x: dict[str, list[float]] = {}", {}, "dict[str, list[float]]"),
        ("x: tuple[int, str] = (1, 'a')", [1, "a"], "tuple[int, str]"),
        ("x: tuple[int, ...] = ()", [], "tuple[int, ...]"),
        ("x: pd.DataFrame = None", None, "pd.DataFrame"),
        ("x: dt.datetime = None", None, "datetime | None"),
        ("x: Final[int] = 1", 1, "int"),
        ("x: PositiveInt = 1", 1, "int > 0"),
        ("x: conint(ge=1, le=9) = 1", 1, "int >= 1 and <= 9"),
        (
            "x: Annotated[str, StringConstraints(pattern='^a', max_length=3)] = 'a'",
            "a",
            "str of length <= 3 and that matches ^a",
        ),
        ("x: Annotated[float, Ge(0), Lt(1)] = 0.5", 0.5, "float >= 0 and < 1"),
        ("x: Annotated[list[int], Len(1, 3)] = [1]", [1], "list[int] of length 1 to 3"),
        ("x: Annotated[date, Field(ge=date(2025, 1, 1))] = None", None, "date >= 2025-01-01 | None"),
        ("x: FilePath = 'a'", "a", "Path"),
        ("x: " + "list[" * 40 + "int" + "]" * 40 + " = []", [], "list[" * 12 + "list[any" + "]" * 13),
    ],
)
def test_types_and_defaults(source: str, default: Any, shown: str) -> None:
    parameter = one(source)
    assert (parameter.default, type_of_parameter(parameter), parameter.required) == (default, shown, False)


@pytest.mark.parametrize(
    "source", ["x: int", "x: int = ...", "x = ...", "x: int = Field(..., gt=0)", "x: int = Field(gt=0)",
               "x: list = Field(default_factory=make)"],
)  # fmt: skip
def test_a_parameter_without_value_is_required(source: str) -> None:
    assert one(source).required


def test_a_field_holds_default_help_and_limits() -> None:
    parameter = one("size: int = Field(10, gt=0, description='How  large')  # not this")
    assert (parameter.default, parameter.help, parameter.injected) == (10, "How large", True)
    assert parameter.type.limits.given() == {"gt": 0}
    assert one("size: Annotated[int, Field(description='How large'), Doc('It')] = 1").help == "It"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1  # help", "help"),
        ("x = 1 # type: int  help", "help"),
        ("x = [1,\n  2]  # help", "help"),
        ("x = [  # help\n  2]", "help"),
        ("# the\n# help\nx = 1", "the help"),
        ("# heading\n\nx = 1", ""),
        ("x = 1  # noqa: E501", ""),
        ("# help\nx = 1  # type: ignore", "help"),
        ("x = '# no help'", ""),
        ("x = 1\n'''The\nhelp.'''", "The help."),
    ],
)
def test_help(source: str, told: str) -> None:
    assert one(source).help == told


def test_papermills_type_comment_is_a_type() -> None:
    parameter = one("x = 1  # type: Optional[int] how many")
    assert (parameter.annotation, type_of_parameter(parameter), parameter.help) == (
        "Optional[int]",
        "int | None",
        "how many",
    )


ENUMS = """
class Color(Enum):
    RED = "r"
    BLUE = 2
class Size(StrEnum):
    SMALL = auto()
class Level(IntEnum):
    LOW = auto()
    HIGH = auto()
"""


@pytest.mark.parametrize(
    ("source", "choices", "default"),
    [
        ("x: Literal['a', 1, True, None] = 1", ("a", 1, True), 1),
        ("x: L['a'] | L['b'] = 'a'", (), "a"),
        ("x: Color = Color.RED", ("r", 2), "r"),
        ("x = Color.BLUE", ("r", 2), 2),
        ("x: Size = Size.SMALL", ("small",), "small"),
        ("x: Level | None = Level.HIGH", (1, 2), 2),
        ("x: Literal[Color.BLUE] = Color.BLUE", (2,), 2),
        ("x: Kind = 'p'", ("p", "q"), "p"),
        ("x: Unknown = Unknown.A", (), None),
    ],
)
def test_choices(source: str, choices: tuple[Any, ...], default: Any) -> None:
    parameter = one(source, "from typing import Literal as L", ENUMS, "Kind = L['p', 'q']")
    assert (parameter.choices, parameter.default) == (choices, default)


def test_all_names_that_the_cell_sets_are_parameters() -> None:
    found = read(
        "import os\na, (b, c) = 1, ('x', f())\nd = e = 2\nif os.name == 'posix':\n    g = 1\nfor h in range(3):\n"
        "    i = [v for v in 'abc']\n*j, k = l\ndef m(n=1):\n    o = 2\nclass P:\n    q = 1\nobj.r = s[0] = 1\n"
        "Kind = Literal['a']\nt: Kind = 'a'\nu: int\nu = 5"
    )
    assert list(found.by_name) == list("abcdeghijktu")
    assert found.by_name["b"].default == "x"
    assert found.by_name["g"].source == "…"
    assert (type_of_parameter(found.by_name["u"]), found.by_name["u"].required) == ("int", False)
    assert found.complete


def test_what_cannot_be_read_as_a_whole_takes_any_name() -> None:
    assert not read("%matplotlib inline\nn: int = 1").complete
    assert list(read("%matplotlib inline\nn: int = 1").by_name) == ["n"]
    assert not read("from settings import *\nn = 1").complete
    assert not read("n <- 1", language="R").complete
    broken = read("n = (")
    assert (list(broken.by_name), broken.complete, broken.tagged) == ([], False, True)


def test_only_the_first_tagged_cell_counts(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ipynb", code("a = 1", "parameters"), code("b = 1", "parameters"))
    found = parameters_of(path)
    assert (list(found.by_name), found.path, len(found)) == (["a"], str(path), 1)
    untagged = read_parameters(notebook(code("a = 1")))
    assert (untagged.tagged, untagged.complete, len(untagged)) == (False, False, 0)
    assert not read_parameters(notebook(words("a = 1", "parameters"))).complete


def test_a_notebook_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ipynb", code("a = 1", "parameters"))
    assert parameters_of(path) is parameters_of(path)
    save(path, code("bb = 1", "parameters"))
    assert list(parameters_of(path).by_name) == ["bb"]
    path.unlink()
    with pytest.raises(NotebookError, match="does not exist"):
        parameters_of(path)


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    source = f"x = open({str(mark)!r}, 'w').write('x')\ny: print('y') = 1\nz: Literal[exit()] = 1"
    assert list(read(source).by_name) == ["x", "y", "z"]
    assert not mark.exists()


def test_a_type_that_names_itself_ends() -> None:
    assert one("x: A = 1", "A = list[A]").type.kind == "list"
    assert one("x: A = 1", "A = A").type.kind == "any"
