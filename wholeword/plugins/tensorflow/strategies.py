"""Which devices a run uses: the words of a recipe -> a `tf.distribute.Strategy`, and what each of its replicas has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tensorflow as tf

from wholeword.core.devices import GIB, tpu_slice
from wholeword.core.errors import UserError
from wholeword.core.training.hosts import Hosts
from wholeword.plugins.tensorflow.hosts import multi_worker

Name = Literal["auto", "tpu", "mirrored", "one-device", "multi-worker"]

TPU_FILES = ("/dev/accel0", "/dev/vfio/0")  # what a TPU VM has
GPU_GIB = 16  # assumed of a GPU, which TensorFlow cannot be asked for


def find_strategy(
    name: Name,
    *,
    tpu: str = "local",
    zone: str | None = None,
    project: str | None = None,
    devices: Sequence[str] | None = None,
    hosts: Hosts,
) -> tf.distribute.Strategy:
    """The strategy of this name, before anything else runs; `auto`: several hosts if there are, a TPU VM's TPU, all GPUs, the GPU, the CPU.

    Raises: UserError in one line if it cannot be had: what was tried, what to set.
    """
    if hosts.world_size > 1 and name in ("auto", "multi-worker"):
        return multi_worker(hosts)
    if hosts.world_size > 1:
        raise UserError(f"backend.strategy: {name} is of one host, but there are {hosts.world_size}; set multi-worker (or auto)")
    if name == "multi-worker":
        raise UserError('backend.strategy: multi-worker without other hosts; set backend.hosts to ["10.0.0.1:2222", ...] or TF_CONFIG')
    if name == "tpu" or (name == "auto" and devices is None and any(Path(file).exists() for file in TPU_FILES)):
        return _tpu(tpu, zone, project)
    found = _devices(devices)
    if name == "mirrored" or (name == "auto" and len(found) > 1):
        return tf.distribute.MirroredStrategy(found)
    if len(found) > 1 and devices is not None:
        raise UserError(f"backend.devices: {len(found)} devices for strategy one-device; set strategy: mirrored")
    return tf.distribute.OneDeviceStrategy(found[0])


def _devices(wanted: Sequence[str] | None) -> list[str]:
    """The devices of these names, by default all GPUs or the CPU, as TensorFlow spells them."""
    there = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    if wanted is None:
        return [f"/device:{name}" for name in there if name.startswith("GPU:")] or ["/device:CPU:0"]
    found = [name.upper().removeprefix("/DEVICE:").removeprefix("/") for name in wanted]
    if missing := [name for name, spelt in zip(wanted, found, strict=True) if spelt not in there] or (["nothing"] if not wanted else []):
        raise UserError(f"backend.devices: no {missing[0]!r}; TensorFlow {tf.__version__} sees {', '.join(there)}")
    return [f"/device:{name}" for name in found]


def _tpu(name: str, zone: str | None, project: str | None) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name, zone=zone, project=project)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # whatever the resolver, gRPC or the driver say
        said = " ".join(str(getattr(error, "message", error)).split())[:200]
        where = f"{name!r} in zone {zone or 'of this machine'}, project {project or 'of this machine'}"
        tried = "the TPU of this machine" if name == "local" else where
        raise UserError(
            f"backend.strategy: no TPU found: tried {tried} ({type(error).__name__}: {said}); on a TPU VM install tensorflow-tpu and leave "
            "backend.tpu at local; elsewhere set backend.tpu to the TPU's name, backend.zone and backend.project; or set strategy: auto"
        ) from None


def kind(strategy: tf.distribute.Strategy) -> Literal["TPU", "GPU", "CPU"]:
    """What the replicas are."""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return "TPU"
    return "GPU" if any("GPU" in device.upper() for device in strategy.extended.worker_devices) else "CPU"


def has_bf16(strategy: tf.distribute.Strategy) -> bool:
    """Whether it is worth it: the device multiplies bfloat16 matrices in hardware."""
    if (device := kind(strategy)) != "GPU":
        return device == "TPU"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)


def replica_bytes(strategy: tf.distribute.Strategy, accelerator_type: str) -> int | None:
    """The memory of a replica; None where there is enough of it."""
    return {"TPU": tpu_slice(accelerator_type).replica_bytes, "GPU": GPU_GIB * GIB, "CPU": None}[kind(strategy)]
