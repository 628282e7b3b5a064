"""How a command that has made a job ends: it shows the job, or waits for its end."""

from __future__ import annotations

from typing import Any

import typer

from commandline.errors import INTERRUPTED


def conclude(job: dict[str, Any], *, wait: bool, as_json: bool, end: bool = True, remarks: bool = False) -> int:
    """Show a job that was made, or wait for it; the exit code. `end`: leave the program with it, if it is not 0.
    `remarks`: tell the outcome on stderr, as stdout is for the job's file.
    """
    from client.requests.reports import preview
    from commandline.connection import Api
    from commandline.following import exit_code, follow
    from commandline.view.output import live, out, print_json, say, show_preview
    from commandline.view.wording import outcome, suspicion_lines
    from runtime.text.formatting import way

    if not wait:
        if as_json:
            print_json(job)
        else:
            out(f"{outcome(job)} `sluice watch {job['id']}` shows how far it is.")
        return 0
    if not as_json:
        what = f"{job['operation']} {way(job['operation'])} {job['dataset']}"
        say(f"Job {job['id']}: {what}, organisation {job['organisation']}")
    try:
        with live(quiet=as_json) as (show, remark):
            for now in follow(Api(), job["id"], remark):
                job = now
                show(job)
    except KeyboardInterrupt:
        say(f"The job goes on. See it again with `sluice watch {job['id']}`.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(job)
    else:
        for told in (outcome(job), *suspicion_lines(job)):
            (say if remarks else out)(told)
        if job["options"].get("dry_run") and job["state"].startswith("COMPLETED"):
            show_preview(Api().json(preview(job["id"])))
    code = exit_code(job)
    if end and code:
        raise typer.Exit(code)
    return code
