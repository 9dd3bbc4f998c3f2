"""What is kept on this machine: ls, prune.

`ls` lists releases, what was compiled, sources, downloads, images, logs and records, with sizes, when each
was used last, and whether prune would remove it and why. `prune` removes what nothing needs: older builds
that no cluster runs, what no release refers to, what was not used for some time, what was left behind
half-way. It asks first, waits until no run uses any of it, and exits with 1 when something could not be
removed. Clusters, labs, keys, logs, records, Prefect's database and current releases always stay.

Examples:
  kubev6 cache ls
  kubev6 cache prune --dry-run
  kubev6 cache prune --older-than 7
  kubev6 cache prune --all
"""

from __future__ import annotations

import argparse

from kubev6.cli.command import add_json, add_showing
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(misfit=_misfit)
    parser.add_argument("action", choices=("ls", "prune"), help="what to do")
    parser.add_argument(
        "--older-than",
        type=_days,
        default=30,
        metavar="DAYS",
        help="how long something that can be made again stays without being used (%(default)s)",
    )
    parser.add_argument(
        "--all", action="store_true", help="with prune: also all that can be made again, such as Go's build cache"
    )
    parser.add_argument("--dry-run", action="store_true", help="with prune: only say what would go")
    parser.add_argument("--yes", action="store_true", help="with prune: do not ask")
    add_json(parser, "with ls: print it as JSON")
    add_showing(parser)


def _misfit(args: argparse.Namespace) -> str:
    if args.action == "prune":
        return "--json goes with cache ls" if args.json else ""
    for option in ("all", "dry_run", "yes"):
        if getattr(args, option):
            return f"--{option.replace('_', '-')} goes with cache prune"
    return ""


def _days(given: str) -> int:
    """A number of days."""
    if not given.isascii() or not given.isdigit():
        raise argparse.ArgumentTypeError(f"{given!r} is no number of days")
    return int(given)


def run(args: argparse.Namespace) -> int:
    """What is kept on this machine: ls, prune."""
    from kubev6.cli.running import agreed, running
    from kubev6.console import cache, standard_error
    from kubev6.console.display import plain_console
    from tasks.cache import kept
    from tasks.cache.plan import amount, line

    fates = kept.fates(args.older_than, everything=args.all)
    if args.action == "ls":
        if args.json:
            print(cache.as_json(fates))
        else:
            cache.show(plain_console(), fates)
        return 0
    chosen = [fate for fate in fates if fate.goes]
    for fate in chosen:
        tell(line(fate))
    if not chosen:
        print("Nothing is to go.")
        return 0
    print(f"{amount(chosen)} {'would be' if args.dry_run else 'will be'} freed.")
    if args.dry_run:
        return 0
    if not args.yes and not agreed("cache prune"):
        print("Nothing was done.")
        return 1
    with running("cache-prune", args):
        pruned = kept.prune(chosen, args.older_than, everything=args.all)
    for refused in pruned.failed:
        standard_error.say(refused)
    print(f"{amount(pruned.gone)} freed.")
    return 1 if pruned.failed else 0
