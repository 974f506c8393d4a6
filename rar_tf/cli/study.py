"""The studies of FAR: trains and measures a model for each line of a table, then draws it.

    python -m eval.study --study=lambda --num_examples=200 --accuracy_examples=1000
    python -m eval.study --study=init --dataset=mnist --manual_dir=FOLDER
    python -m eval.study --study=beta --budget_minutes=10

lambda: AAT and AdvAAT for weights from 0 to 1.5 (Figure 3). init: seven initializers, each natural,
adversarially and AAT trained (Figure 4, Table 4). beta: top-k intersection by the sharpness of the
second derivatives of the attack on maps (Figure 5).

Results lie in --output: models/ (workdirs of the trainings), rows/ (an evaluation a line),
table.md and figure.png. Stop with Ctrl-C, or by --budget_minutes, and repeat the command to
continue; lines without a result stay blank. --budget_minutes=0 only draws the finished ones.
"""

import dataclasses
import json
import pathlib
import signal
import types
from typing import Any

from absl import flags, logging

from rar_tf import datasets, evaluation
from rar_tf.attack import Ifia, MapAttack
from rar_tf.attribution import Explainer
from rar_tf.cli.command import FLAGS, CommandStopped, flag_topic, print_unless_quiet, start
from rar_tf.cli.settings import define_size, parse_settings, size
from rar_tf.files import write_atomically
from rar_tf.naming import as_file_name, check_name, json_default
from rar_tf.presets import Preset, studies
from rar_tf.reporting import study as study_page
from rar_tf.runs import Divergence, Interrupted, WorkdirError, train_in

flag_topic("Which study, of which lines")
flags.DEFINE_enum("study", None, list(studies.STUDIES), "Study of [FAR] to run.")
flags.DEFINE_list("only", None, "Lines to run, such as aat-0.5, GU-natural or 10. Default: all.")

flag_topic("The trainings")
flags.DEFINE_string("dataset", "fashion_mnist", "Data set of the study, a name as for train.main.")
flags.DEFINE_string("data_dir", None, "Folder where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_string("schedule", "fast", "Schedule of the trainings: fast or paper.")
flags.DEFINE_integer("max_steps", None, "Optimizer steps of each training but the natural ones.")
flags.DEFINE_integer("natural_steps", None, "Number of optimizer steps of each natural training.")
flags.DEFINE_multi_string("set", [], "Setting of the presets, NAME=VALUE; may be repeated.")
flags.DEFINE_integer("seed", 0, "Seed for trainings and attacks.")

flag_topic("The measurement")
flags.DEFINE_enum("protocol", "far", evaluation.PROTOCOLS, "Paper whose measurement is made.")
flags.DEFINE_enum("attack", None, evaluation.ATTACKS, "Attack on maps. Default: the study's.")
flags.DEFINE_integer("num_examples", 500, "Number of test images whose maps are attacked.")
flags.DEFINE_integer(
    "accuracy_examples",
    None,
    "Number of images of natural and PGD accuracy. Default: all; 0: none.",
)
define_size("batch_size", "Number of images in a batch of the attack on maps, or auto.")

flag_topic("How long, and where to")
flags.DEFINE_float("budget_minutes", None, "Minutes after which to stop. Default: no limit.")
flags.DEFINE_string("output", None, "Folder of the study. Default: runs/studies/STUDY/DATASET.")


class Budget:
    """Time limit: after some seconds, the code inside is interrupted as by Ctrl-C.

    Attributes:
      spent: whether the limit was reached.
    """

    def __init__(self, seconds: float | None):
        self._seconds, self.spent = seconds, False

    def __enter__(self) -> "Budget":
        if self._seconds is not None:
            self._previous = signal.signal(signal.SIGALRM, self._stop)
            signal.setitimer(signal.ITIMER_REAL, max(self._seconds, 1e-3))
        return self

    def __exit__(self, *exception: object) -> None:
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)

    def _stop(self, signum: int, frame: types.FrameType | None) -> None:
        self.spent = True
        signal.raise_signal(signal.SIGINT)


class Runner:
    """Runs the cases of a study and reads the reports of the finished ones."""

    def __init__(self, name: str, root: pathlib.Path):
        self.name, self.root = name, root
        self.study = studies.study(name, FLAGS.dataset)
        names = [case.name for case in self.study.cases]
        for only in FLAGS.only or ():
            check_name("only", only, names)
        self.wanted = [case for case in self.study.cases if case.name in (FLAGS.only or names)]
        self.attack = FLAGS.attack or self.study.attack
        overrides = {"max_steps": FLAGS.max_steps, "natural_steps": FLAGS.natural_steps}
        overrides |= parse_settings("--set", FLAGS.set)
        overrides = {name: value for name, value in overrides.items() if value is not None}
        self.presets = {
            case.name: studies.preset_of(case, FLAGS.dataset, FLAGS.schedule, FLAGS.seed, overrides)
            for case in self.study.cases
        }
        first = next(iter(self.presets.values()))
        self.data = datasets.load(
            FLAGS.dataset,
            data_dir=FLAGS.data_dir,
            manual_dir=FLAGS.manual_dir,
            image_size=first.data.image_size,
            **first.data.for_custom_data,
            seed=FLAGS.seed,
        )

    def run(self, case: studies.Case) -> None:
        """Train and measure one case, or continue it."""
        logging.info("%s study: %s", self.name, case.name)
        preset = self.presets[case.name]
        workdir, classifier = train_in(self.root / "models", preset, self.data)
        evaluation.evaluate(
            classifier,
            self.data,
            protocol=self._protocol(),
            attack=self._attack(case),
            num_examples=FLAGS.num_examples,
            accuracy_examples=FLAGS.accuracy_examples if self.study.accuracies else 0,
            strong_pgd=False,
            output=self.root / "rows" / case.name,
            batch_size=size("batch_size"),
            seed=FLAGS.seed,
            num_pictures=4,
            # With the precision that a trial has chosen.
            model_info={
                "file": str(workdir.model),
                "preset": json.loads(workdir.preset.read_text(encoding="utf-8")),
            },
        )

    def reports(self) -> dict[studies.Case, evaluation.Report]:
        """Reports of the finished cases.

        Raises:
          ValueError: the folder holds a case with other settings.
        """
        paths = {case: self.root / "rows" / case.name / "report.json" for case in self.study.cases}
        reports = {c: evaluation.load_report(p) for c, p in paths.items() if p.exists()}
        for case, report in reports.items():
            self._check(case, report)
        return reports

    def _protocol(self) -> evaluation.Protocol:
        explainer = Explainer(self.study.attribution) if self.study.attribution else None
        return evaluation.protocol(
            FLAGS.protocol, FLAGS.dataset, self.data.image_shape, explainer=explainer
        )

    def _attack(self, case: studies.Case) -> MapAttack:
        """The study's attack, with the sharpness of the case where it has one."""
        attack = self._protocol().attack(self.attack)
        if case.softplus_beta is None:
            return attack
        searches = tuple(
            dataclasses.replace(search, softplus_beta=case.softplus_beta)
            if isinstance(search, Ifia)
            else search
            for search in attack.searches
        )
        return dataclasses.replace(attack, name=evaluation.CUSTOM_ATTACK, searches=searches)

    def _check(self, case: studies.Case, report: evaluation.Report) -> None:
        """Raises ValueError unless the report is one of this case with these flags."""
        searches = [evaluation.described_search(search) for search in self._attack(case).searches]
        wanted = {
            "preset": self.presets[case.name].to_flat(),
            "attack": json.loads(json.dumps(searches, default=json_default)),
            "num_examples": min(FLAGS.num_examples, len(self.data.require("test"))),
            "seed": FLAGS.seed,
        }
        measured = {
            "preset": Preset.from_flat(report.model["preset"]).to_flat(),
            "attack": report.searches,
            "num_examples": report.dataset["num_examples"],
            "seed": report.seed,
        }
        # Precisions follow from trials on the machine.
        wanted, measured = (_without_precision(values) for values in (wanted, measured))
        changed = [name for name in wanted if wanted[name] != measured[name]]
        if changed:
            raise ValueError(
                f"--output must be a new folder or hold this study. Received: {self.root}, where "
                f"{case.name} has another {', '.join(changed)}"
            )


def _without_precision(value: Any) -> Any:
    """Plain data without the entries of name "precision", at any depth."""
    if isinstance(value, dict):
        return {n: _without_precision(part) for n, part in value.items() if n != "precision"}
    if isinstance(value, (list, tuple)):
        return [_without_precision(part) for part in value]
    return value


def draw(runner: Runner) -> None:
    """Write and print the table; write the figure if a case is finished."""
    reports = runner.reports()
    text = study_page.table(runner.study, reports)
    write_atomically(runner.root / "table.md", text.encode())
    print_unless_quiet(text)
    if reports:
        path = runner.root / "figure.png"
        study_page.figure(runner.name, reports).savefig(path, dpi=150)
        print_unless_quiet(f"figure: {path}")


def run() -> str:
    """Run the missing cases as far as the budget goes, and draw the figure."""
    if FLAGS.study is None:
        raise ValueError(f"--study must be one of {', '.join(studies.STUDIES)}. Received: None")
    root = pathlib.Path(FLAGS.output or f"runs/studies/{FLAGS.study}/{as_file_name(FLAGS.dataset)}")
    runner = Runner(FLAGS.study, root)
    root.mkdir(parents=True, exist_ok=True)
    failed = []
    minutes = FLAGS.budget_minutes
    with Budget(None if minutes is None else 60 * minutes) as budget:
        try:
            done = runner.reports()
            for case in runner.wanted if minutes != 0 else ():
                if case in done:
                    continue
                try:
                    runner.run(case)
                except Divergence as error:
                    failed.append(f"{case.name}: {error}")
        except (Interrupted, KeyboardInterrupt) as stopped:
            if not budget.spent and isinstance(stopped, Interrupted):
                raise CommandStopped(str(stopped), 128 + stopped.signum) from stopped
            if not budget.spent:
                raise
            logging.info("the budget is spent; the same command resumes from here")
    draw(runner)
    if failed:
        raise CommandStopped("\n".join(f"error: {line}" for line in failed), 1)
    return f"table: {root / 'table.md'}; next: the same command, for lines that are still blank"


def main() -> None:
    """Run the command line."""
    start(run, __doc__, failures=(WorkdirError,))
