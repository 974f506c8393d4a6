"""Short scripts to copy from; the tests run them on tiny input."""
