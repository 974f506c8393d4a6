"""Several workers of one training on this machine."""

import json
import socket
from collections.abc import Sequence

from tests.support.cli import TIMEOUT, Command, CommandLine, Completed


def free_ports(count: int) -> list[int]:
    """Ports on which no process listens now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def start(
    cli: CommandLine, commands: Sequence[Sequence[str]], faults: Sequence[str] | None = None
) -> list[Command]:
    """Start one worker for each command (module and flags); TF_CONFIG names them all.

    Args:
      cli: the fixture.
      commands: module and flags of each worker.
      faults: a fault of `tests.support.faults` for each worker; none by default.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(commands))]
    workers = []
    for index, (command, fault) in enumerate(
        zip(commands, faults or ["none"] * len(commands), strict=True)
    ):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        workers.append(cli.start(*command, env={"TF_CONFIG": config}, fault=fault))
    return workers


def finish(commands: Sequence[Command], timeout: float = TIMEOUT) -> list[Completed]:
    """Wait for all; none runs on, even if waiting for one fails."""
    try:
        return [command.wait(timeout) for command in commands]
    finally:
        for command in commands:
            command.kill()
