"""The kernels for TensorFlow, equal to `wholeword.plugins.optimizers.reference`. See
`wholeword.core.contracts.OptimizerKernel`; their slots are variables made within the strategy of the parameters.

subtle: each replica updates variables without `aggregation` independently, without synchronisation. All apply the same update.
"""

from collections.abc import Callable, Iterable, Mapping

import tensorflow as tf

from wholeword.plugins.optimizers.reference import decays

Gradients = Mapping[str, tf.Tensor]


class AdamW:
    """TensorFlow's kernel for Adam, one pass over a parameter, its gradient and its moments, and the decay before it."""

    def __init__(
        self, named_parameters: Iterable[tuple[str, tf.Variable]], *, weight_decay: float, beta_1: float, beta_2: float, epsilon: float
    ):
        self.parameters = dict(named_parameters)
        self.weight_decay, self.betas, self.epsilon = weight_decay, (beta_1, beta_2), epsilon
        self.slots = _zeros(self.parameters, ("adam_m", "adam_v"))

    def step(self, gradients: Gradients, learning_rate: tf.Tensor, *, divisor: tf.Tensor, skip: tf.Tensor) -> None:
        """See `wholeword.core.contracts.OptimizerKernel`."""

        def update() -> None:
            for name, gradient in gradients.items():
                parameter, rate = self.parameters[name], tf.cast(learning_rate, gradient.dtype)
                if decays(name):
                    parameter.assign_sub(parameter.read_value() * (rate * self.weight_decay))
                m, v = self.slots[f"{name}/adam_m"], self.slots[f"{name}/adam_v"]
                _apply_adam(parameter, m, v, gradient / tf.cast(divisor, gradient.dtype), rate, self.betas, self.epsilon)

        _unless(skip, update)


class Lamb:
    """LAMB in plain operations, but for the moments."""

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, tf.Variable]],
        *,
        variant: str,
        weight_decay: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
    ):
        self.parameters = dict(named_parameters)
        self.variant, self.weight_decay, self.beta_1, self.beta_2, self.epsilon = variant, weight_decay, beta_1, beta_2, epsilon
        self.slots = _zeros(self.parameters, ("lamb_m", "lamb_v"))
        if variant in ("tfa", "nvlamb"):
            self.slots["lamb_step"] = tf.Variable(0, dtype=tf.int64, trainable=False)

    def step(self, gradients: Gradients, learning_rate: tf.Tensor, *, divisor: tf.Tensor, skip: tf.Tensor) -> None:
        """See `wholeword.core.contracts.OptimizerKernel`."""

        def update() -> None:
            shrink = tf.cast(divisor, next(iter(gradients.values())).dtype)
            if self.variant == "nvlamb":
                shrink *= tf.maximum(norm([gradient / shrink for gradient in gradients.values()]), 1)
            corrections = self._corrections(shrink.dtype)
            for name, gradient in gradients.items():
                self._update(name, gradient / shrink, tf.cast(learning_rate, gradient.dtype), corrections)

        if gradients:
            _unless(skip, update)

    def _corrections(self, dtype: tf.DType) -> tuple[tf.Tensor | float, tf.Tensor | float]:
        """1 - beta ** steps, for the moments of this step."""
        if "lamb_step" not in self.slots:
            return 1.0, 1.0
        self.slots["lamb_step"].assign_add(1)
        num_steps = tf.cast(self.slots["lamb_step"].read_value(), dtype)
        # subtle: beta as it is in float32 would be another one by a hundred-thousandth of 1 - beta
        return tuple(-tf.math.expm1(num_steps * tf.math.log1p(tf.constant(beta - 1, dtype))) for beta in (self.beta_1, self.beta_2))

    def _update(self, name: str, gradient: tf.Tensor, rate: tf.Tensor, corrections: tuple[tf.Tensor | float, tf.Tensor | float]) -> None:
        parameter, m, v = self.parameters[name], self.slots[f"{name}/lamb_m"], self.slots[f"{name}/lamb_v"]
        # subtle: at a learning rate of 0 the kernel renews the moments in one pass, and the parameter stays
        _apply_adam(parameter, m, v, gradient, tf.zeros_like(rate), (self.beta_1, self.beta_2), self.epsilon)
        value = parameter.read_value()
        _, gain = _gain(gradient.dtype, (self.beta_1, self.beta_2))
        update = (m.read_value() / (gain * corrections[0])) / (tf.sqrt(v.read_value() / corrections[1]) + self.epsilon)
        if decays(name):
            update += self.weight_decay * value
        if decays(name) or self.variant in ("hfl", "nvlamb"):
            parameter_norm, update_norm = norm([value]), norm([update])
            rate *= tf.where((parameter_norm > 0) & (update_norm > 0), parameter_norm / update_norm, tf.ones_like(rate))
        parameter.assign_sub(rate * update)


def norm(tensors: Iterable[tf.Tensor]) -> tf.Tensor:
    """The Euclidean norm of all the tensors together."""
    # subtle: over rows first, since one float32 sum of 16 million squares may be off by a thousandth
    return tf.sqrt(tf.add_n([tf.reduce_sum(tf.reduce_sum(tf.square(tensor), -1)) for tensor in tensors]))


def _apply_adam(
    parameter: tf.Variable, m: tf.Variable, v: tf.Variable, gradient: tf.Tensor, rate: tf.Tensor, betas: tuple[float, float], epsilon: float
) -> None:
    """Renew the moments and take rate * m / (sqrt(v) + epsilon) off the parameter; `m` is kept `_gain` times as large as it should be."""
    zero = tf.zeros_like(rate)  # the powers of the betas of a late step: no bias correction
    scale, gain = _gain(gradient.dtype, betas)
    tf.raw_ops.ResourceApplyAdam(
        var=parameter.handle,
        m=m.handle,
        v=v.handle,
        beta1_power=zero,
        beta2_power=zero,
        lr=rate / gain,
        beta1=betas[0],
        beta2=betas[1],
        epsilon=epsilon,
        grad=gradient * scale,
    )


def _gain(dtype: tf.DType, betas: tuple[float, float]) -> tuple[float, float]:
    """What to multiply gradients by, and what `m` is then too large by.

    subtle: the kernel takes 1 - beta in its own precision, where 1 - 0.999 is short by a hundred-thousandth, and v with it. A gradient
    larger by half of that puts v right, and the learning rate what it does to m.
    """
    short = [float(1 - dtype.as_numpy_dtype(beta)) / (1 - beta) for beta in betas]
    scale = short[1] ** -0.5
    return scale, scale * short[0]


def _unless(skip: tf.Tensor, update: Callable[[], None]) -> None:
    def updated() -> tf.Tensor:
        update()
        return tf.zeros([])

    tf.cond(skip > 0, lambda: tf.zeros([]), updated)


def _zeros(parameters: Mapping[str, tf.Variable], slots: tuple[str, ...]) -> dict[str, tf.Variable]:
    return {
        f"{name}/{slot}": tf.Variable(tf.zeros(parameter.shape, parameter.dtype), trainable=False)
        for name, parameter in parameters.items()
        for slot in slots
    }
