class Sgd:
    """Plain gradient descent, on PyTorch."""

    def build(self, framework, named_parameters):
        from wholeword.core.errors import PluginError

        if framework != "pytorch":
            raise PluginError(f"optimizer 'sgd' has no kernel for {framework!r}, only for pytorch")
        import torch

        return torch.optim.SGD([parameter for _, parameter in named_parameters], lr=1.0)

    def reference(self):
        return self

    def step(self, parameters, gradients, learning_rate):
        for name, gradient in gradients.items():
            parameters[name] -= learning_rate * gradient
