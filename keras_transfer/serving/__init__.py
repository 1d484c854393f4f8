"""A server of exports that speaks TensorFlow Serving's REST and gRPC, for laptops and for tests."""
