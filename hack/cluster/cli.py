"""The commands. Progress goes to standard error; what a caller may want to read to standard output.

Every command takes `--id` (default: dev); clusters of different ids stand side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from toolchain.doctor import healthy, report

from . import doctor
from .cluster import Cluster, down
from .errors import ClusterError, PreconditionError
from .faults import Node
from .pools import DEFAULT_NODES, KINDS
from .progress import since_now, to_stderr
from .status import status
from .stopping import stop_once
from .uml_node import UmlNode

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status: 0, 1 for what a person can mend, 130 on Ctrl-C."""
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    parsed = _parser().parse_args(arguments)
    run: Command = parsed.run
    try:
        return run(parsed)
    except ClusterError as error:
        to_stderr(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        to_stderr("stopped")
        return 130


def program(arguments: Sequence[str]) -> int:
    """`main` as a process of its own: SIGTERM ends it as Ctrl-C does."""
    stop_once()
    return main(arguments)


def seconds(text: str) -> float:
    """`120`, `120s` or `2m` in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([sm]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: write seconds or minutes, as in 120s or 2m")
    return float(match[1]) * (60 if match[2] == "m" else 1)


def ahead(text: str) -> float:
    """How far a clock is ahead, in seconds; `-10m` is ten minutes behind."""
    return -seconds(text[1:]) if text.startswith("-") else seconds(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python hack/cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--id", default="dev", help="which cluster (default: dev)")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, run: Command, explained: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=explained, description=explained, parents=[common])
        command.set_defaults(run=run)
        return command

    _add_up(add("up", _up, "start a cluster; ends when it takes pods"))
    add("down", _down, "end the cluster, or what is left of it, and remove all it made")
    add("status", _status, "show its machines, nodes and services")
    add("doctor", _doctor, "say what this machine lacks; exit status 1 if anything")
    add("kubeconfig", _kubeconfig, "print the path of its kubeconfig")
    add("s3", _s3, "print the object store's endpoint, keys and bucket as JSON")
    image = add("image", _image, "import docker-archives into its nodes")
    image.add_argument("action", choices=["load"])
    image.add_argument("archives", nargs="+", metavar="TAR")
    _add_node(add("node", _node, "add a node, or let something happen to one"))
    return parser


def _add_up(up: argparse.ArgumentParser) -> None:
    up.add_argument("--nodes", default=DEFAULT_NODES, help=f"default: {DEFAULT_NODES}")
    up.add_argument("--image", action="append", default=[], metavar="TAR", help="for every node")
    up.add_argument("--lease", type=int, default=10, help="seconds of a node's lease (default: 10)")
    up.add_argument(
        "--grace",
        type=int,
        default=50,
        help="seconds after which the controllers call a silent node unreachable (default: 50)",
    )
    up.add_argument("--api-only", action="store_true", help="no nodes; needs no root")
    up.add_argument("--replace", action="store_true", help="end one of this id that is up first")
    up.add_argument("--keep-failed", action="store_true", help="leave a failed start to look at")


def _add_node(node: argparse.ArgumentParser) -> None:
    node.add_argument("action", choices=sorted(_NODE_ACTIONS))
    node.add_argument("name")
    node.add_argument("--in", dest="within", type=seconds, default=120.0, metavar="120s",
                      help="notice: time until the node's end")  # fmt: skip
    node.add_argument("--kind", choices=sorted(KINDS), default="spot", help="add: which kind")
    node.add_argument("--fresh-disk", action="store_true", help="return: as a new machine")
    node.add_argument("--ahead", type=ahead, default=0.0, metavar="10m",
                      help="clock, return: so far ahead; --ahead=-10m: behind")  # fmt: skip


def _up(parsed: argparse.Namespace) -> int:
    tell = since_now(to_stderr)
    if parsed.api_only:
        cluster = Cluster.api_only(
            parsed.id,
            tell=tell,
            replace=parsed.replace,
            held=False,
            keep_failed=parsed.keep_failed,
        )
    else:
        cluster = Cluster.up(
            parsed.id,
            nodes=parsed.nodes,
            images=parsed.image,
            lease_seconds=parsed.lease,
            grace_seconds=parsed.grace,
            tell=tell,
            replace=parsed.replace,
            held=False,
            keep_failed=parsed.keep_failed,
        )
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return 0


def _down(parsed: argparse.Namespace) -> int:
    to_stderr(f"cluster {parsed.id}: {'ended' if down(parsed.id) else 'there was nothing'}")
    return 0


def _status(parsed: argparse.Namespace) -> int:
    print(status(parsed.id))
    return 0


def _doctor(_parsed: argparse.Namespace) -> int:
    findings = doctor.examine()
    print(report(findings))
    return 0 if healthy(findings) else 1


def _kubeconfig(parsed: argparse.Namespace) -> int:
    print(Cluster.attach(parsed.id).kubeconfig)
    return 0


def _s3(parsed: argparse.Namespace) -> int:
    json.dump(asdict(Cluster.attach(parsed.id).s3), sys.stdout, indent=1)
    print()
    return 0


def _image(parsed: argparse.Namespace) -> int:
    Cluster.attach(parsed.id).load_image(*parsed.archives)
    return 0


def _node(parsed: argparse.Namespace) -> int:
    cluster = Cluster.attach(parsed.id)
    if parsed.action == "add":
        cluster.add_node(parsed.name, parsed.kind)
    elif said := _NODE_ACTIONS[parsed.action](cluster.node(parsed.name), parsed):
        print(said)
    return 0


def _add(_node: Node, _parsed: argparse.Namespace) -> str:
    raise PreconditionError("add is an action of the cluster, not of a node")


def _notice(node: Node, parsed: argparse.Namespace) -> str:
    return node.notice(parsed.within).isoformat()


def _kill(node: Node, _parsed: argparse.Namespace) -> None:
    node.kill()


def _return(node: Node, parsed: argparse.Namespace) -> None:
    if parsed.ahead:
        _own_kernel(node).return_(fresh_disk=parsed.fresh_disk, ahead=parsed.ahead)
    else:
        node.return_(fresh_disk=parsed.fresh_disk)


def _own_kernel(node: Node) -> UmlNode:
    if not isinstance(node, UmlNode):
        raise PreconditionError(
            f"{node.name} has neither a kernel nor a clock of its own; try a node of --nodes uml=1"
        )
    return node


_NODE_ACTIONS: dict[str, Callable[[Node, argparse.Namespace], str | None]] = {
    "add": _add,
    "clock": lambda node, parsed: _own_kernel(node).set_clock(parsed.ahead),
    "freeze": lambda node, _: _own_kernel(node).freeze(),
    "heal": lambda node, _: node.heal(),
    "kill": _kill,
    "notice": _notice,
    "panic": lambda node, _: _own_kernel(node).panic(),
    "partition": lambda node, _: node.partition(),
    "rebalance": lambda node, _: node.rebalance(),
    "reboot": lambda node, _: _own_kernel(node).reboot(),
    "return": _return,
    "shutdown": lambda node, _: _own_kernel(node).shut_down(),
    "thaw": lambda node, _: _own_kernel(node).thaw(),
    "withdraw": lambda node, _: node.withdraw(),
}
