"""The command line. What a command needs is imported when it runs, so that help comes at once."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from configs.errors import KubeV6Error

EXIT_STATUSES = "Exit status: 0 all went well, 1 something failed, 2 the command line is wrong, 130 stopped by Ctrl-C."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Its words without the program's name; those of this process when absent.

    Returns:
        The exit status.
    """
    parser = build_parser()
    words, rest = _split(list(sys.argv[1:] if argv is None else argv))
    args = parser.parse_args(words)
    if rest is not None and args.takes != "rest":
        parser.error("nothing may follow -- here")
    args.rest = rest or []
    if args.run == "deploy" and args.json and not args.plan:
        parser.error("--json goes with --plan; kubev6 verify --json gives the proof for machines")
    if args.run == "lab" and args.images and args.action != "down":
        parser.error("--images goes with lab down")
    if args.run == "kubectl" and not args.rest:
        parser.error("what shall kubectl do? such as: kubev6 kubectl -- get nodes")
    command: Callable[[argparse.Namespace], int] = getattr(importlib.import_module("flows.commands"), args.run)
    try:
        return command(args)
    except KubeV6Error as error:
        print(f"kubev6: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("kubev6: stopped; running it again goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands, with the help that teaches them."""
    parser = argparse.ArgumentParser(
        prog="kubev6",
        description="Bring up IPv6-only Kubernetes clusters, from patched source or a release, and prove it.",
        epilog="Start with `kubev6 deploy`: it brings up the lab, four machines as containers of this one.\n"
        f"Each command has its own help: kubev6 deploy --help\n\n{EXIT_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    deploy = _command(
        commands,
        "deploy",
        "bring a cluster up and prove it; again: change only what is not as it should be",
        "Reads and checks the cluster file, brings up the machines of a lab, provides the release, brings every\n"
        "machine to its state over SSH, runs kubeadm, and proves that the cluster works. A run that was cut off is\n"
        "continued by running it again.",
        ["kubev6 deploy", "kubev6 deploy --prebuilt", "kubev6 deploy --cluster rack.yaml --plan"],
    )
    _add_cluster(deploy)
    deploy.add_argument(
        "--prebuilt",
        nargs="?",
        const="",
        metavar="RELEASE",
        help="do not build: take RELEASE; without a name what the store holds for this cluster's release, else the "
        "how-to's release by download",
    )
    deploy.add_argument("--plan", action="store_true", help="show what would change on every machine and touch nothing")
    deploy.add_argument("--json", action="store_true", help="with --plan: for machines")
    deploy.add_argument("-v", "--verbose", action="store_true", help="show every word of progress")

    build = _command(
        commands,
        "build",
        "build a release from source into the store",
        "Makes a git repository of the source, picks the series of patches onto it, compiles it inside a container\n"
        "and makes the images. What has been built already is taken as it is.",
        ["kubev6 build", "kubev6 build debian-1.20"],
    )
    build.add_argument("release", nargs="?", default="debian-1.20", help="a release file or its name (%(default)s)")
    build.add_argument("-v", "--verbose", action="store_true", help="show every word of progress")

    _command(
        commands,
        "releases",
        "list the releases known here and how each can be had",
        "Lists what the store holds, and what could be built or fetched into it.",
        ["kubev6 releases"],
    )

    render = _command(
        commands,
        "render",
        "print what every machine must look like",
        "Prints the desired state: every file with its content, every route, setting, package and service. No machine\n"
        "is contacted.",
        ["kubev6 render lab", "kubev6 render rack.yaml --node rack-1-worker-1", "kubev6 render lab --json"],
    )
    render.add_argument("cluster", metavar="CLUSTER", help="a cluster file or the name of a shipped one")
    render.add_argument("--node", help="only this machine")
    render.add_argument("--json", action="store_true", help="for machines")

    verify = _command(
        commands,
        "verify",
        "prove that a cluster works over IPv6 only",
        "Asks the API server, every node and a pod on every node, and prints one line for each check. Exits with 1\n"
        "when a check fails.",
        ["kubev6 verify", "kubev6 verify --json"],
    )
    _add_cluster(verify)
    verify.add_argument("--json", action="store_true", help="for machines")

    kubectl = _command(
        commands,
        "kubectl",
        "run kubectl against a cluster",
        "Runs the release's own kubectl through the SSH connection to the control plane. Exits as kubectl does.",
        ["kubev6 kubectl -- get nodes -o wide"],
        takes="rest",
        usage="kubev6 kubectl [-h] [--cluster FILE] -- ARGUMENT...",
    )
    _add_cluster(kubectl)

    ssh = _command(
        commands,
        "ssh",
        "open a shell on a machine, or run a command there",
        "Exits as the command does.",
        ["kubev6 ssh kube-worker-1", "kubev6 ssh kube-worker-1 -- ip -6 route"],
        takes="rest",
        usage="kubev6 ssh [-h] [--cluster FILE] NODE [-- COMMAND...]",
    )
    _add_cluster(ssh)
    ssh.add_argument("node", metavar="NODE", help="the machine's name")

    lab = _command(
        commands,
        "lab",
        "the machines of a lab: up, down, status",
        "A lab's machines are containers of this machine, real in everything else. `deploy` brings them up too.",
        ["kubev6 lab up", "kubev6 lab status", "kubev6 lab down --images"],
    )
    lab.add_argument("action", choices=("up", "down", "status"), help="what to do")
    _add_cluster(lab)
    lab.add_argument("--images", action="store_true", help="with down: also remove the images of labs")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    short: str,
    text: str,
    examples: Sequence[str],
    *,
    takes: str = "",
    usage: str | None = None,
) -> argparse.ArgumentParser:
    shown = "\n".join(f"  {example}" for example in examples)
    parser = commands.add_parser(
        name,
        help=short,
        usage=usage,
        description=f"{short[0].upper()}{short[1:]}.\n\n{text}",
        epilog=f"Examples:\n{shown}\n\n{EXIT_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=name, takes=takes)
    return parser


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cluster", default="lab", metavar="FILE", help="a cluster file or the name of a shipped one (%(default)s)"
    )


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """Our own words, and those behind ``--``, which belong to somebody else; None when there is no ``--``."""
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
