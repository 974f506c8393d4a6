"""Several workers on this machine, for tests."""

import json
import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def free_ports(count):
    """Ports that nobody listens at now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def start(commands):
    """One process for each worker's arguments: they find each other by TF_CONFIG."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(commands))]
    return [
        start_alone(
            command,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index, command in enumerate(commands)
    ]


def start_alone(command, **environment):
    """`python -m` the command, in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes, timeout=300):
    """[(exit status, stdout, stderr)] of all; whoever is too slow is killed."""
    try:
        results = []
        for process in processes:
            out, err = process.communicate(timeout=timeout)
            results.append((process.returncode, out, err))
        return results
    finally:
        kill(processes)


def kill(processes):
    """Ends those that have not ended, and what they hold."""
    for process in processes:
        process.kill()
        process.communicate()
