"""Export trained models to ONNX, and predict with them without torch."""
