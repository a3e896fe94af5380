"""Select the devices of a run: from a recipe's settings to a `tf.distribute.Strategy`, and the capabilities of its replicas."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tensorflow as tf

from wholeword.core.devices import GIB, tpu_slice
from wholeword.core.errors import UserError
from wholeword.core.training.hosts import Hosts
from wholeword.plugins.tensorflow.hosts import multi_worker

Name = Literal["auto", "tpu", "mirrored", "one-device", "multi-worker"]

TPU_FILES = ("/dev/accel0", "/dev/vfio/0")  # device files of a TPU VM
GPU_GIB = 16  # assumed, since TensorFlow does not report the memory of a GPU


def find_strategy(
    name: Name,
    *,
    tpu: str = "local",
    zone: str | None = None,
    project: str | None = None,
    devices: Sequence[str] | None = None,
    hosts: Hosts,
) -> tf.distribute.Strategy:
    """Create a strategy; call this before any other use of TensorFlow. `auto` prefers several hosts, then a TPU, all GPUs, the CPU.

    Raises: UserError if the strategy is unavailable, saying in one line what was tried and what to set.
    """
    if hosts.world_size > 1 and name in ("auto", "multi-worker"):
        return multi_worker(hosts)
    if hosts.world_size > 1:
        raise UserError(f"backend.strategy: {name} runs on one host, but there are {hosts.world_size}; set multi-worker (or auto)")
    if name == "multi-worker":
        raise UserError('backend.strategy: multi-worker needs several hosts; set backend.hosts to ["10.0.0.1:2222", ...] or TF_CONFIG')
    if name == "tpu" or (name == "auto" and devices is None and any(Path(file).exists() for file in TPU_FILES)):
        return _tpu(tpu, zone, project)
    names = _devices(devices)
    if name == "mirrored" or (name == "auto" and len(names) > 1):
        return tf.distribute.MirroredStrategy(names)
    if len(names) > 1 and devices is not None:
        raise UserError(f"backend.devices: {len(names)} devices for strategy one-device; set strategy: mirrored")
    return tf.distribute.OneDeviceStrategy(names[0])


def _devices(devices: Sequence[str] | None) -> list[str]:
    """Devices by name, as TensorFlow spells them; by default all GPUs, or else the CPU."""
    available = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    if devices is None:
        return [f"/device:{name}" for name in available if name.startswith("GPU:")] or ["/device:CPU:0"]
    names = [name.upper().removeprefix("/DEVICE:").removeprefix("/") for name in devices]
    if missing := [name for name, spelt in zip(devices, names, strict=True) if spelt not in available] or (
        ["nothing"] if not devices else []
    ):
        raise UserError(f"backend.devices: no {missing[0]!r}; TensorFlow {tf.__version__} sees {', '.join(available)}")
    return [f"/device:{name}" for name in names]


def _tpu(name: str, zone: str | None, project: str | None) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name, zone=zone, project=project)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # any error of the resolver, gRPC or the driver
        reason = " ".join(str(getattr(error, "message", error)).split())[:200]
        where = f"{name!r} in zone {zone or 'of this machine'}, project {project or 'of this machine'}"
        tried = "the TPU of this machine" if name == "local" else where
        raise UserError(
            f"backend.strategy: no TPU found: tried {tried} ({type(error).__name__}: {reason}); on a TPU VM, install tensorflow-tpu and "
            "keep backend.tpu at local; elsewhere, set backend.tpu to its name, backend.zone and backend.project, or set strategy: auto"
        ) from None


def kind(strategy: tf.distribute.Strategy) -> Literal["TPU", "GPU", "CPU"]:
    """The kind of device that the replicas run on."""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return "TPU"
    return "GPU" if any("GPU" in device.upper() for device in strategy.extended.worker_devices) else "CPU"


def has_bf16(strategy: tf.distribute.Strategy) -> bool:
    """Whether the devices multiply bfloat16 matrices in hardware."""
    if (device := kind(strategy)) != "GPU":
        return device == "TPU"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)


def replica_bytes(strategy: tf.distribute.Strategy, accelerator_type: str) -> int | None:
    """The memory of a replica; None if it is not a constraint."""
    return {"TPU": tpu_slice(accelerator_type).replica_bytes, "GPU": GPU_GIB * GIB, "CPU": None}[kind(strategy)]
