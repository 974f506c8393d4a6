"""What needs a package more: warm-up requests and ONNX."""

import importlib.util
import sys

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attribution import Explainer
from rar_tf.serving import export, export_onnx, write_warmup
from tests.support import tiny_classifier as tiny


def test_warmup_requests_are_what_the_endpoints_take(tmp_path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    folder = export(tiny.classifier(), tmp_path / "1", explainer=Explainer(steps=1))
    path = write_warmup(folder, batch_sizes=(1, 3), name="garments")
    assert path == folder / "assets.extra" / "tf_serving_warmup_requests"
    signatures, seen = tf.saved_model.load(folder).signatures, []
    for record in tf.data.TFRecordDataset(str(path)):
        request = logs.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "garments" and list(request.inputs) == ["image"]
        image = tf.make_ndarray(request.inputs["image"])
        endpoint = request.model_spec.signature_name
        answer = signatures[endpoint](image=tf.constant(image))
        assert (answer["class"].numpy() >= 0).all()
        seen.append((endpoint, image.shape))
    assert seen == [(e, (n, 6, 5, 3)) for n in (1, 3) for e in ("serve", "attribute")]


def test_warmup_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.prediction_log_pb2", None)
    with pytest.raises(ImportError, match=r"needs tensorflow-serving-api: pip install 'rar-tf\[s"):
        write_warmup(tmp_path)
    with pytest.raises(ValueError, match=r"batch_sizes must be >= 1. Received: batch_sizes=\(0,\)"):
        write_warmup(tmp_path, batch_sizes=(0,))
    with pytest.raises(ValueError, match=r"Received: batch_sizes=\(\)"):
        write_warmup(tmp_path, batch_sizes=())


@pytest.mark.parametrize("softmax", [False, True])
def test_onnx_runtime_gives_the_logits(tmp_path, softmax):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, logits = tiny.classifier(softmax=softmax), tiny.classifier()
    logits.set_weights(model.get_weights())
    path = export_onnx(model, tmp_path / "tiny.onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    for count in (1, 7):
        x = tiny.images(count)
        (found,) = session.run(None, {given.name: x})
        np.testing.assert_allclose(found, logits(x), atol=1e-5)


def test_onnx_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs tf2onnx: pip install 'rar-tf\[onnx\]'"):
        export_onnx(tiny.classifier(), tmp_path / "tiny.onnx")
