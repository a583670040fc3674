"""From a training run to a codec that edge and center load: ONNX graphs, weights, model card."""
