"""The command line on a user's own model and images, and the page made of it, in Chromium."""

import html
import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from rar_tf import datasets
from rar_tf.attribution import Explainer
from rar_tf.evaluation import evaluate, protocol
from rar_tf.serving import zoo
from tests.support.tiny_evaluation import SHAPE, own_data, own_model

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = [
    "--num_examples=4",
    "--ig_steps=4",
    "--k=50",
    "--epsilon=0.1",
    "--batch_size=4",
    "--attack=quick",
]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
HEADLESS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# In a frame as wide as a phone: the window itself cannot be that narrow.
PROBE = """<!DOCTYPE html><body><iframe id="frame" style="width:390px;height:844px;border:0"
 srcdoc="%s"></iframe><script>
document.getElementById("frame").addEventListener("load", (event) => {
  const page = event.target.contentDocument, window_ = event.target.contentWindow;
  const images = Array.from(page.images);
  const order = page.getElementById("order");
  const model = page.getElementById("model");
  const cards = () => Array.from(page.getElementById("gallery").children);
  const values = (key) => cards().map((card) => Number(card.dataset[key]));
  const choose = (select, value) => {
    select.value = value;
    select.dispatchEvent(new window_.Event("change"));
  };
  const found = { images: images.length, first: values("kendall"), options: [] };
  found.loaded = images.filter((image) => image.complete && image.naturalWidth > 0).length;
  for (const option of order.options) {
    choose(order, option.value);
    found.options.push([option.value, values(option.value.split(" ")[0])]);
  }
  choose(model, model.options[1].value);
  found.shown = cards().filter((card) => card.getClientRects().length).map((c) => c.dataset.model);
  choose(model, "");
  found.width = page.documentElement.scrollWidth;
  const inner = Array.from(page.querySelectorAll("body *"));
  found.inner = inner.filter((part) => part.scrollWidth > part.clientWidth + 1
    && ["auto", "scroll"].includes(window_.getComputedStyle(part).overflowX)).length;
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
</script></body>"""


@pytest.fixture(scope="module")
def site(cli, tmp_path_factory):
    """Two models evaluated on the user's images, and the report made of them."""
    folder = tmp_path_factory.mktemp("site")
    mine, yours = own_model(), own_model()
    yours.set_weights([1.01 * weight for weight in mine.get_weights()])
    images, labels = own_data(mine, 12)
    mine.save(folder / "mine.keras")
    np.savez(
        folder / "mine.npz",
        train_images=images,
        train_labels=np.tile(np.arange(3), 4),
        test_images=images,
        test_labels=labels,
    )
    dataset = f"npz:{folder}/mine.npz"
    flags = [f"--model={folder}/mine.keras", f"--dataset={dataset}", *FLAGS]
    done = cli("eval.main", *flags, f"--output={folder}/results/mine")
    evaluate(
        yours,
        datasets.load(dataset),
        protocol=protocol("rar", dataset, SHAPE, epsilon=0.1, k=50, explainer=Explainer(steps=4)),
        num_examples=8,
        batch_size=4,
        strong_pgd=False,
        output=folder / "results" / "yours",
        model_info={"file": "yours.keras"},
    )
    page = cli("eval.report", f"--results={folder}/results/*", f"--output={folder}/page")
    return folder, done, page


def test_evaluation_from_the_command_line(site):
    folder, done, _ = site
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((folder / "results" / "mine" / "report.json").read_text())
    assert report["model"]["outputs"] == "stripped_softmax"
    assert report["protocol"]["k"] == 50 and report["protocol"]["threat"]["epsilon"] == 0.1
    counts = report["counts"]
    assert counts["attacked"] + counts["misclassified"] == 4 and counts["attacked"] >= 1
    assert f"attacked {counts['attacked']}, misclassified" in done.stdout
    rows = (folder / "results" / "mine" / "examples.csv").read_text().splitlines()
    assert len(rows) == 1 + counts["attacked"]


def test_errors_are_one_sentence_and_status_1(cli, site):
    folder, _, _ = site
    (folder / "cut.keras").write_bytes((folder / "mine.keras").read_bytes()[:500])
    result = cli("eval.main", f"--model={folder}/cut.keras", f"--dataset=npz:{folder}/mine.npz")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert re.search(r"^error: model must be a complete .keras file", result.stderr, re.MULTILINE)


def test_an_entry_of_the_zoo_is_measured_by_its_name(cli, tmp_path):
    images = np.random.default_rng(0).random((8, 28, 28, 1), dtype=np.float32)
    labels = np.argmax(zoo.load("fashion_mnist/madry")(images), -1)
    labels[:2] = (labels[:2] + 1) % 10
    classes = np.tile(np.arange(10), 2)
    np.savez(
        tmp_path / "mine.npz",
        train_images=np.resize(images, (20, 28, 28, 1)),
        train_labels=classes,
        test_images=images,
        test_labels=labels,
    )
    flags = [f"--dataset=npz:{tmp_path}/mine.npz", *FLAGS, "--nostrong_pgd"]
    done = cli("eval.main", "--zoo=fashion_mnist/madry", *flags, f"--output={tmp_path}/out")
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["natural_accuracy"]["value"] == 6 / 8
    assert report["counts"]["misclassified"] == 2
    assert report["model"]["preset"]["objective"] == "madry"
    for more, told in (
        ("--zoo=fashion_mnist/madri", "name must be one of fashion_mnist/aat, "),
        ("--model=a.keras", "one of --workdir, --model and --zoo must be given. Received: --model"),
    ):
        again = cli("eval.main", "--zoo=fashion_mnist/madry", more, *flags)
        assert again.returncode == 1 and f"error: {told}" in again.stderr


def test_table_and_figures(site):
    folder, _, page = site
    assert page.returncode == 0, page.stderr[-2000:]
    names = {path.name.split("_rar_")[0] for path in (folder / "page").iterdir()}
    assert {"table.md", "figure_1", "figure_2", "report.html"} <= names
    table = (folder / "page" / "table.md").read_text()
    assert "| mine" in table and "| yours" in table


def test_page_is_self_contained(site):
    text = (site[0] / "page" / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|@import|url\(", text)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
def test_page_in_chromium(site, tmp_path):
    text = (site[0] / "page" / "report.html").read_text()
    (tmp_path / "probe.html").write_text(PROBE % html.escape(text))
    dump = subprocess.run(
        [CHROMIUM, *HEADLESS, f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=10000",
         "--window-size=800,900", "--dump-dom", f"file://{tmp_path}/probe.html"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    match = re.search(r'<pre id="found">(.*?)</pre>', dump.stdout, re.DOTALL)
    assert match, dump.stderr[-2000:]
    found = json.loads(html.unescape(match[1]))
    assert found["images"] >= 10 and found["loaded"] == found["images"]
    assert found["first"] == sorted(found["first"], reverse=True)
    for option, values in found["options"]:
        assert values == sorted(values, reverse=option.endswith("-1")), option
    assert len({tuple(values) for _, values in found["options"]}) > 2
    assert set(found["shown"]) == {"mine"}
    assert found["width"] <= 390 and found["inner"] == 0
