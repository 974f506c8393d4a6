"""One macro for each kind of folder: room (library), programs (entry points), tests."""

load("@rules_python//python:defs.bzl", "py_binary", "py_library", "py_test")

# Distributions that rar_tf imports: the dependencies in pyproject.toml.
RUNTIME = ["@pypi//" + name for name in [
    "absl_py",
    "importlib_resources",
    "keras",
    "matplotlib",
    "numpy",
    "pillow",
    "scipy",
    "tensorboard",
    "tensorflow",
    "tensorflow_datasets",
    "tqdm",
]]

# Distributions that only the tests import, and those of the extras `onnx` and `serving`.
TESTING = ["@pypi//" + name for name in [
    "h5py",
    "hypothesis",
    "onnx",
    "onnxruntime",
    "packaging",
    "pytest",
    "tensorflow_serving_api",
    "tf2onnx",
]]

def room(name, deps = [], **kwargs):
    """Define the library of all Python sources in a folder.

    Args:
      name: the folder's name, so that //rar_tf/attack is its label.
      deps: labels of the other folders that its sources import.
      **kwargs: further attributes of py_library.
    """

    # Importing any part of rar_tf imports rar_tf/__init__.py.
    base = [] if native.package_name() == "rar_tf" else ["//rar_tf:base"]
    py_library(
        name = name,
        srcs = native.glob(["*.py"]),
        visibility = ["//visibility:public"],
        deps = base + deps + RUNTIME,
        **kwargs
    )

def programs(name, deps = [], modules = [], **kwargs):
    """Define a room and one py_binary for each of its sources.

    Args:
      name: the folder's name.
      deps: labels of the other folders that its sources import.
      modules: sources that are only imported.
      **kwargs: further attributes of py_library.
    """
    room(name = name, deps = deps, **kwargs)
    for source in native.glob(["*.py"], exclude = ["__init__.py"] + modules):
        py_binary(
            name = source[:-len(".py")],
            srcs = [source],
            visibility = ["//visibility:public"],
            deps = [":" + name],
        )

def tests(name, deps = [], slow = [], checkout = []):
    """Define a room and one py_test for each of its test_*.py.

    Args:
      name: the folder's name.
      deps: labels of the folders, other than rar_tf, that the tests import or start programs of.
      slow: tests of which every case has the pytest marker `slow`.
      checkout: tests that read files of the checkout that are no target's data.
    """
    common = ["//rar_tf", "//tests:conftest", "//tests/support"] + TESTING
    room(name = name, testonly = True, deps = common + deps)
    sources = native.glob(["test_*.py"])
    for test in slow + checkout:
        if test + ".py" not in sources:
            fail("slow and checkout must name tests of the folder. Received: " + test)
    for source in sources:
        test = source[:-len(".py")]
        py_test(
            name = test,
            size = "large" if test in slow else "medium",
            srcs = [source, "//build_defs:run_pytest.py"],
            args = [native.package_name() + "/" + source] +
                   (["-m", "slow"] if test in slow else []),
            main = "//build_defs:run_pytest.py",
            tags = ["local", "manual"] if test in checkout else ["manual"] if test in slow else [],
            deps = [":" + name],
        )
