"""Short example programs to copy from; the tests run them on small inputs."""
