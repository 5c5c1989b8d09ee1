"""The command that runs a notebook many times: batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import say

if TYPE_CHECKING:
    from orchestrator_nb.cli.following import Reporter
    from orchestrator_nb.headless.batch import Batch, Options
    from orchestrator_nb.runtime.run import Run

Notebook = Annotated[
    Path, typer.Argument(metavar="NOTEBOOK", help="A notebook, with its parameters in a cell tagged 'parameters'.")
]
Grid = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        "-g",
        metavar="NAME=VALUES",
        help="Values of a parameter: 1..50, 0.1..1..0.1, a,b,c or a YAML list; may be repeated, for all combinations.",
    ),
]
Table = Annotated[
    Path | None, typer.Option("--from", metavar="FILE", help="Table with a row a run: CSV, TSV, JSON, YAML, Parquet.")
]
Param = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Value of a parameter in all runs.")
]
Raw = Annotated[
    list[str] | None, typer.Option("--raw", "-r", metavar="NAME=VALUE", help="The same, always taken as text.")
]
Yaml = Annotated[list[str] | None, typer.Option("--yaml", "-y", metavar="YAML", help="Parameters as YAML text.")]
File = Annotated[
    list[Path] | None, typer.Option("--file", "-f", metavar="FILE", help="Parameters in a YAML or JSON file.")
]
Base64 = Annotated[
    list[str] | None, typer.Option("--base64", "-b", metavar="TEXT", help="Parameters as YAML in base64.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for notebooks and tables; NOTEBOOK-runs if left out."),
]
Name = Annotated[
    str | None,
    typer.Option("--name", metavar="TEMPLATE", help="Names of the executed notebooks, as '{x}-{model}.ipynb'."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the batch in the folder: what has completed is not run again.")
]
Force = Annotated[bool, typer.Option("--force", help="Start anew in a folder that holds something already.")]
MaxFailures = Annotated[
    int | None, typer.Option("--max-failures", metavar="N", min=1, help="After N failed runs start no other one.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="The same as --max-failures 1.")]
Retries = Annotated[
    int | None, typer.Option("--retries", metavar="N", min=0, max=99, help="Try a failed run again N times.")
]
Timeout = Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="Time limit of a run.")]
CellTimeout = Annotated[float | None, typer.Option("--cell-timeout", metavar="SECONDS", help="Time limit of a cell.")]
KeepKernel = Annotated[
    str | None,
    typer.Option(
        "--keep-kernel-on-error", metavar="TIME", help="Keep a failed notebook's kernel, as 30m or 1h; the batch waits."
    ),
]
FromFailedCell = Annotated[
    bool,
    typer.Option(
        "--from-failed-cell", help="Let the live batch of the folder go on in its kept kernels, with mended cells."
    ),
]
Memory = Annotated[
    str | None, typer.Option("--memory", metavar="SIZE", help="Memory that a kernel may use, as 500MB or 2GB.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Seed of the random numbers of each run, where they take one.")
]


def batch(  # noqa: PLR0913 - options of a command
    notebook: Notebook,
    grid: Grid = None,
    table: Table = None,
    param: Param = None,
    raw: Raw = None,
    yaml: Yaml = None,
    file: File = None,
    base64: Base64 = None,
    output: Output = None,
    name: Name = None,
    resume: Resume = False,
    force: Force = False,
    jobs: options.Jobs = None,
    max_failures: MaxFailures = None,
    fail_fast: FailFast = False,
    retries: Retries = None,
    timeout: Timeout = None,
    cell_timeout: CellTimeout = None,
    keep_kernel_on_error: KeepKernel = None,
    from_failed_cell: FromFailedCell = False,
    memory: Memory = None,
    seed: Seed = None,
    transcript: options.Transcript = False,
    progress: options.Progress = True,
    quiet: options.Quiet = False,
    as_json: options.JsonLines = False,
) -> int:
    """Run a notebook for each row of parameters.

    The rows come from --grid, from a table (--from), or both: each row of the table with each combination. All are
    checked before the first kernel starts. Each executed notebook is put into the folder as it ends; index.html,
    results.csv and final_output.md follow at the end. Ctrl-C once ends the batch when its running notebooks have
    ended, twice ends them too; --resume goes on. With --keep-kernel-on-error it waits for failed notebooks to be
    mended: --from-failed-cell, from another terminal, goes on in their kernels.
    """
    from orchestrator_nb.cli.reporters import reporter_for
    from orchestrator_nb.headless.batch import start
    from orchestrator_nb.headless.grid import parse_grid
    from orchestrator_nb.ipynb.given import gather

    chosen = {
        "output": output,
        "name": name,
        "resume": resume,
        "force": force,
        "jobs": jobs,
        "max_failures": max_failures,
        "fail_fast": fail_fast,
        "retries": retries,
        "timeout": timeout,
        "cell_timeout": cell_timeout,
        "keep_kernel_on_error": keep_kernel_on_error,
        "memory": memory,
        "seed": seed,
    }
    given: Options = {key: value for key, value in chosen.items() if value is not None}  # type: ignore[assignment]
    rows: dict[str, Any] = {
        "grid": parse_grid(grid) if grid else None,
        "rows": table,
        "params": gather(param or (), raw or (), yaml or (), file or (), base64 or ()),
    }
    if from_failed_cell:
        from orchestrator_nb.cli.verbs import tell_each
        from orchestrator_nb.headless.mended import failed_runs

        session, failed = failed_runs(notebook, settings=options.settings(), **rows, **given)
        return tell_each(str(session.path), "retry", failed, as_json, from_failed_cell=True)
    reporter = reporter_for(as_json=as_json, transcript=transcript, progress=progress, quiet=quiet)
    started = start(notebook, settings=options.settings(), **rows, **given)
    return _follow(started, reporter, started.output)


def follow_batch(run: Run, reporter: Reporter, output: Path | None, since: int) -> int:
    """Show a batch that was resumed by its session until its folder is complete; return the exit code."""
    from orchestrator_nb.headless.batch import Batch

    return _follow(Batch.of_run(run), reporter, output, since)


def _follow(started: Batch, reporter: Reporter, output: Path | None, since: int = 0) -> int:
    """Raises `StorageError` if the folder cannot be filled."""
    from orchestrator_nb.cli.following import Subject, follow_run
    from orchestrator_nb.cli.reporters import JsonReporter
    from orchestrator_nb.cli.summary import short

    code = follow_run(started.run, Subject.of_run(started.run, output or started.output), reporter, since)
    started.wait()
    if not isinstance(reporter, JsonReporter):
        say("  Gallery: ", (short(str(started.output / "index.html")), "bold"))
    return code
