"""What each coding-agent CLI can do: one table, from the CLIs' own declarations.

`check` enforces it when a plan is checked and when a CLI is called; `table` is what `doctor` and the README show.
"""

from __future__ import annotations

from orchestrator_nb.agents.coding.cli import LEVELS, Capabilities, Clis, CodingCli, Level, Request
from orchestrator_nb.errors import CapabilityError

#: Options of a task, as a plan calls them -> what a CLI must be capable of. The order is the table's.
_OPTIONS = ("resume", "turn_limit", "budget", "schema")
_TOLD = ("usage", "cost")
_PATHS = ("cwd", "home", "tmp", "directories")


def check(cli: CodingCli, request: Request, task: str = "", clis: Clis | None = None) -> None:
    """Raise `CapabilityError` if `cli` can't honour an option of `request`: it names task, option, CLI and who can."""
    clis = Clis() if clis is None else clis
    where = f"task {task}: " if task else ""
    for option, value in _arguments(request):
        if value.startswith("-") or not value.isprintable():
            raise CapabilityError(f"{where}`{option}` cannot be {value!r}: {cli.name} would read it as something else")
        if option in _PATHS and not value.startswith("/"):
            raise CapabilityError(f"{where}`{option}` must be an absolute path, not {value!r}")
    for option in _OPTIONS:
        if getattr(request, option) is not None and not getattr(cli.capabilities, option):
            raise CapabilityError(f"{where}{cli.name} cannot honour `{option}` ({_who_can(clis, option)})")
    if request.level in _levels(cli.capabilities, request.contained):
        return
    if request.level in cli.capabilities.contained:
        raise CapabilityError(
            f"{where}level `{request.level}` of {cli.name} is for a sandbox only: install bubblewrap,"
            " or ask for a lower level (`edit`)"
        )
    raise CapabilityError(f"{where}{cli.name} has no level `{request.level}`")


def _arguments(request: Request) -> list[tuple[str, str]]:
    """The texts of a request that become arguments of a program, by option."""
    named = ((option, getattr(request, option)) for option in ("cwd", "home", "tmp", "model", "resume", "base_url"))
    return [
        *((option, value) for option, value in named if value is not None),
        *(("directories", path) for path in request.directories),
    ]


def _levels(capabilities: Capabilities, contained: bool) -> list[Level]:
    how = capabilities.contained if contained else capabilities.uncontained
    return [level for level in LEVELS if level in how]


def _who_can(clis: Clis, option: str) -> str:
    names = [name for name in clis.names() if getattr(clis.get(name).capabilities, option)]
    return f"these can: {', '.join(names)}" if names else "no coding agent can"


def table(clis: Clis | None = None) -> list[dict[str, str]]:
    """One row a CLI, column -> words: what it can do (`yes`, `no`), and how each level is asked for."""
    clis = Clis() if clis is None else clis
    return [_row(clis.get(name)) for name in clis.names()]


def _row(cli: CodingCli) -> dict[str, str]:
    can = cli.capabilities
    row = {"agent": cli.name}
    for option in (*_OPTIONS, *_TOLD):
        row[option] = "yes" if getattr(can, option) else "no"
    for level in LEVELS:
        inside, outside = can.contained.get(level, "no"), can.uncontained.get(level, "no")
        row[level] = inside if inside == outside else f"sandboxed: {inside}; else: {outside}"
    return row


def markdown(clis: Clis | None = None) -> str:
    """`table` as Markdown, one line a row."""
    rows = table(clis)
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
