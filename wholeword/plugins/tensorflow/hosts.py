"""Several hosts on TensorFlow: MultiWorkerMirroredStrategy over those of the recipe, or of TF_CONFIG."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wholeword.core.errors import UserError
from wholeword.core.training.hosts import Hosts

if TYPE_CHECKING:
    import tensorflow as tf


def find_hosts(addresses: Sequence[str] | None, rank: int | None) -> Hosts:
    """The hosts of a run: those given, or those of TF_CONFIG, or this machine alone.

    Args:
        rank: of this machine among them.
    Raises: UserError if the rank is not known, or TF_CONFIG is not understood.
    """
    if addresses is None:
        cluster, own = _from_environment()
        addresses, rank = (cluster or [""]), (own if rank is None else rank)
    if rank is None and len(addresses) > 1:
        raise UserError(f"backend.hosts: which of the {len(addresses)} is this machine? --set backend.host=0 on {addresses[0]}, and so on")
    return Hosts(tuple(addresses), rank or 0)


def _from_environment() -> tuple[list[str], int]:
    """https://www.tensorflow.org/guide/distributed_training#TF_CONFIG; the chief, or else worker 0, comes first."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return [], 0
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        addresses = [address for kind in ("chief", "worker") for address in cluster.get(kind, [])]
        if not addresses:
            return [], 0
        return addresses, addresses.index(cluster[task["type"]][task["index"]])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        expected = '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
        raise UserError(
            f"TF_CONFIG: {text[:200]!r}; expected something like {expected}, its task a chief or worker of the cluster"
        ) from None


def multi_worker(hosts: Hosts) -> "tf.distribute.MultiWorkerMirroredStrategy":
    """A strategy over the devices of all hosts; nothing of TensorFlow may have run before."""
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(hosts.addresses)}), task_type="worker", task_id=hosts.rank, rpc_layer="grpc"
    )
    return tf.distribute.MultiWorkerMirroredStrategy(resolver)


@contextmanager
def lost_hosts_reported(hosts: Hosts) -> Iterator[None]:
    """Around steps of several hosts. Raises: UserError if the connection to another one is lost."""
    import tensorflow as tf

    lost: tuple[Any, ...] = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)
    try:
        yield
    except lost as error:
        if hosts.world_size == 1:
            raise
        first = str(error.message).splitlines()[0][:200]
        raise UserError(
            f"host {hosts.rank} ({hosts.addresses[hosts.rank]}): the connection to another host is lost ({first}); see its output there. "
            "The same command on every host resumes from the last checkpoint"
        ) from None
