"""`job=review`: people look at trajectories on a local web page; what they accept becomes training data."""

from __future__ import annotations

import logging
import secrets
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import cast

from agentx.config import Config
from agentx.errors import ConfigError
from agentx.jobs.tuning_data import CONSTRUCTED
from agentx.review.decisions import Decisions
from agentx.review.items import pairs, read_items
from agentx.review.session import Review, write_records
from agentx.review.settings import ReviewSettings

log = logging.getLogger(__name__)


def run(config: Config) -> Path:
    """Serve the page until Ctrl-C, then print how far the review is. Returns the reviewed file, or in compare mode the
    file of decisions."""
    options = cast(ReviewSettings, config.job)
    if not options.files:
        options = replace(options, files=_constructed(options, config.paths.output))
    state = Path(options.state) if options.state else default_state(options, config.paths.output)
    read = [read_items(Path(file)) for file in options.files]
    decisions = Decisions(state)
    if options.mode == "compare":
        review = Review(pairs(read[0], read[1]), decisions)
    else:
        review = Review([item for items in read for item in items], decisions)
    if options.serve:
        serve_page(review, options)
        decisions.refresh()
    print_outcome(review, options)
    print(f"decisions     {state}")
    if options.mode == "compare" or any(item.record is None for items in read for item in items):
        return state
    records, counts = review.reviewed(options.accepted_by)
    path = state.with_name(state.name.removesuffix(".decisions.jsonl") + ".reviewed.jsonl")
    write_records(records, path)
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    print(f"reviewed      {path}")
    return path


def _constructed(options: ReviewSettings, output: Path) -> list[str]:
    """What job=construct has kept. Raises ConfigError where there is nothing, and where two sides are to be named."""
    folder = output / CONSTRUCTED
    found = [str(path) for path in sorted(folder.glob("*.jsonl")) if path.stat().st_size]
    if options.mode == "compare" or not found:
        example = "[one.jsonl,other.jsonl]" if options.mode == "compare" else f"[{folder}/a.jsonl]"
        none = "" if options.mode == "compare" else f"; {folder} holds none (job=construct makes some)"
        raise ConfigError(f"job.files=[]: name the trajectories to review, e.g. job.files={example}{none}")
    return found


def default_state(options: ReviewSettings, output: Path) -> Path:
    """Where decisions go when no file is named: by the files' names, so that the same command goes on."""
    names = [Path(file).resolve().stem or "trajectories" for file in options.files]
    return output / "review" / f"{'-against-'.join(names) if options.mode == 'compare' else names[0]}.decisions.jsonl"


def serve_page(review: Review, options: ReviewSettings) -> None:
    from agentx.review.server import LOOPBACK, listen, make_app, serve

    bound = listen(options.host, options.port)
    here = options.host in LOOPBACK
    token = None if here else secrets.token_urlsafe(16)
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{bound.getsockname()[1]}/" + (f"?token={token}" if token else "")
    print(f"{len(review.items)} {'pairs' if review.comparing else 'trajectories'} to review at {address}", flush=True)
    print("Ctrl-C ends the review; every decision is kept at once.", flush=True)
    if options.open_browser and here:
        webbrowser.open(address)
    serve(make_app(review, token), bound)


def print_outcome(review: Review, options: ReviewSettings) -> None:
    from agentx.reports.tables import Table, print_table

    total = len(review.items)
    rows = [
        [name, f"{len(chosen)} of {total}", *(str(sum(c == kind for c in chosen.values())) for kind in review.choices)]
        for name, chosen in review.by_reviewer().items()
    ]
    choices = review.choices
    if review.comparing:
        first, second = (Path(file).resolve().stem for file in options.files)
        choices = (f"{first} better", f"{second} better", "tie", "neither")
    print()
    print_table(Table("Review", ["reviewer", "decided", *choices], rows))
    agreed = [
        [
            f"{a.first}, {a.second}", str(a.n), f"{100 * a.observed:.0f}",
            f"{a.kappa:.2f} [{a.low:.2f}, {a.high:.2f}]" if a.kappa == a.kappa else "undefined: all decided alike",
        ]
        for a in review.agreements()
    ]  # fmt: skip
    if agreed:
        print_table(Table("Agreement", ["reviewers", "both decided", "alike %", "Cohen's κ"], agreed))
    if review.comparing and rows:
        found = review.preference()
        rate = found.win_rate
        print(
            f"{second} is preferred in {100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}] of "
            f"{found.n} comparisons (ties count half)"
        )
