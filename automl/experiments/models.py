from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from automl.core.models import Identified
from automl.datasets.models import Dataset
from automl.engine.trial import Origin, TaskType, TrialState

TASK_TYPES = [("auto", "Find out"), *((t.value, t.value.capitalize()) for t in TaskType)]
SEARCHES = [("auto", "Automatic"), ("random", "Random"), ("grid", "Grid"), ("manual", "By hand")]


class ExperimentState(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Phase(models.TextChoices):
    """What a running experiment is doing, in words for people."""

    QUEUED = "queued"
    PREPARING = "preparing"
    SEARCHING = "searching"
    ENSEMBLING = "ensembling"
    PACKAGING = "packaging"
    DONE = "done"


class Experiment(Identified):
    """What a person asks for: a dataset, a target, a metric and how long to wait."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="experiments")
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="experiments")
    test_dataset = models.ForeignKey(Dataset, null=True, on_delete=models.SET_NULL, related_name="+")
    name = models.CharField(max_length=200)

    # As posted; task_type and metric are resolved while preparing.
    target = models.CharField(max_length=500)
    task_type = models.CharField(max_length=16, choices=TASK_TYPES, default="auto")
    metric = models.CharField(max_length=32, default="auto")
    search = models.CharField(max_length=16, choices=SEARCHES, default="auto")
    time_budget = models.FloatField()
    max_trials = models.PositiveIntegerField(null=True)
    families = models.JSONField(null=True)
    ignore_columns = models.JSONField(default=list)
    seed = models.PositiveIntegerField(default=0)
    seats = models.PositiveSmallIntegerField(null=True)  # the most trials at once; null: as many as there are

    state = models.CharField(max_length=16, choices=ExperimentState, default=ExperimentState.PENDING)
    phase = models.CharField(max_length=16, choices=Phase, default=Phase.QUEUED)
    version = models.PositiveIntegerField(default=0)  # raised by every change that a reader can see
    error = models.TextField(blank=True)
    warnings = models.JSONField(default=list)
    prepared = models.JSONField(null=True)  # what preparation found: data profile, classes, folds
    started_at = models.DateTimeField(null=True)  # the first trial's start
    finished_at = models.DateTimeField(null=True)
    # How much of the budget is gone: see `automl.experiments.clock`.
    spent = models.FloatField(default=0)
    clock_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    # It had ended, and goes on for trials added by hand alone: the search itself proposes nothing.
    by_hand_only = models.BooleanField(default=False)
    # Raised by every change of its limits: an end that was decided before is void then.
    limits_version = models.PositiveIntegerField(default=0)

    # The one worker that prepares or finishes holds this lease; every write of it filters on the attempt,
    # which is raised by every claim and never lowered. Losses count anew for the end of a search.
    attempt = models.PositiveSmallIntegerField(default=0)
    losses = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # A user's list, newest first.
            models.Index(fields=["owner", "-created_at"], name="experiment_list"),
            # The sweep looks for experiments that are not final.
            models.Index(fields=["state"], name="experiment_state"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> str:
        """Key of the folder of the experiment's files in the private storage."""
        return f"experiments/{self.id}"

    @property
    def rows_learned(self) -> int | None:
        """Rows that trials learn from: those with a target that there is time for; None until it is known."""
        return self.prepared["profile"]["rows"] if self.prepared else None


class Sweep(Identified):
    """Trials of one family that were asked for together: every combination of some values of its dials."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="sweeps")
    family = models.CharField(max_length=32)
    grid = models.JSONField(default=dict)  # dial to its values
    base = models.JSONField(default=dict)  # the other dials, where they are not at their defaults
    size = models.PositiveIntegerField(default=0)  # different configurations, those tried before included
    skipped = models.PositiveIntegerField(default=0)  # tried before

    def __str__(self) -> str:
        return f"{self.family} by {', '.join(self.grid)}"


class Trial(Identified):
    """One configuration tried. The waiting row is the outbox: a message only wakes a worker up."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="trials")
    number = models.PositiveIntegerField()
    family = models.CharField(max_length=32)
    origin = models.CharField(max_length=16, choices=[(o.value, o.value) for o in Origin])
    hyperparameters = models.JSONField(default=dict)
    sweep = models.ForeignKey(Sweep, null=True, on_delete=models.SET_NULL, related_name="trials")
    prediction = models.JSONField(null=True)  # of one by hand: what was expected of it when it was added
    reason = models.CharField(max_length=200, blank=True)  # why it was tried, by what was known then
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in TrialState], default=TrialState.WAITING.value
    )
    attempt = models.PositiveSmallIntegerField(
        default=0
    )  # raised by every claim; what a dead one writes is void
    losses = models.PositiveSmallIntegerField(default=0)  # attempts that ended with their process
    worker = models.CharField(max_length=255, blank=True)
    lease_expires_at = models.DateTimeField(null=True)
    nudged_at = models.DateTimeField(db_default=Now())  # when a message was last sent for the waiting row
    waiting_since = models.DateTimeField(null=True)  # null: since it was made

    score = models.FloatField(null=True)  # higher is better
    value = models.FloatField(null=True)  # in the metric's own unit
    value_low = models.FloatField(null=True)
    value_high = models.FloatField(null=True)
    fold_scores = models.JSONField(default=list)
    tied_with_best = models.BooleanField(default=False)
    fit_time = models.FloatField(null=True)
    predict_time = models.FloatField(null=True)
    size = models.BigIntegerField(null=True)
    seconds = models.FloatField(default=0)  # on the seat, whatever came of it
    peak_memory = models.BigIntegerField(null=True)
    learned = models.JSONField(default=dict)
    learning_curve = models.JSONField(null=True)
    diagnosis = models.TextField(blank=True)
    error = models.TextField(blank=True)
    own_fault = models.BooleanField(default=False)  # it failed by its settings: once more, it would again
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    ended_after = models.FloatField(null=True)  # seconds on the clock of its search
    # Cancelled because the search ended, not for its own sake: an extension takes it up again.
    cut_short = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["experiment", "number"], name="one_trial_per_number")]
        indexes = [
            # The leaderboard: complete trials of an experiment, best first.
            models.Index(fields=["experiment", "state", "-score"], name="trial_board"),
            # Claims take the oldest waiting trial; the sweep takes expired leases.
            models.Index(fields=["state", "lease_expires_at"], name="trial_claim"),
        ]

    def __str__(self) -> str:
        return f"{self.family} #{self.number}"

    @property
    def attempts(self) -> int:
        """How often it was begun, not counting what was given back."""
        return min(self.losses + 1, settings.MAX_ATTEMPTS) if self.attempt else 0

    @property
    def folder(self) -> str:
        """Key of the folder that this attempt writes; a dead attempt's folder is never read."""
        return f"experiments/{self.experiment_id}/trials/{self.number:05d}-{self.attempt}"


class Ensemble(Identified):
    """A blend of trials, with a score that was not fitted on the rows it is judged by."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="ensembles")
    name = models.CharField(max_length=200)
    # By trial id; of numbers some may be negative. Powers are of probabilities, see `inference.combine`.
    weights = models.JSONField(default=dict)
    powers = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    score = models.FloatField()
    value = models.FloatField()
    value_low = models.FloatField()
    value_high = models.FloatField()
    # Over the best trial, both chosen without the rows they are judged by; higher is better.
    gain = models.FloatField(null=True)
    tied_with_best = models.BooleanField(default=False)
    fit_time = models.FloatField()
    predict_time = models.FloatField()
    size = models.BigIntegerField()
    made_after = models.FloatField(null=True)  # seconds on the clock of its search

    class Meta:
        indexes = [models.Index(fields=["experiment", "-score"], name="ensemble_board")]

    def __str__(self) -> str:
        return self.name

    def shares(self, trial: Trial) -> dict[str, float]:
        """What a member is to the whole, as the engine takes it."""
        key = str(trial.id)
        return {"weight": self.weights[key], "power": self.powers.get(key, 0.0)}

    @property
    def folder(self) -> str:
        """Key of the folder of the predictions that `value` is of; earlier ensembles have none."""
        return f"experiments/{self.experiment_id}/ensembles/{self.id}"


class ModelState(models.TextChoices):
    PACKAGING = "packaging"
    READY = "ready"
    FAILED = "failed"


class TrainedModel(Identified):
    """What is downloaded: a trial or an ensemble, packaged as a bundle."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="models")
    trial = models.OneToOneField(Trial, null=True, on_delete=models.CASCADE, related_name="model")
    ensemble = models.OneToOneField(Ensemble, null=True, on_delete=models.CASCADE, related_name="model")
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=16, choices=ModelState, default=ModelState.PACKAGING)
    version = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    is_best = models.BooleanField(default=False)  # the experiment's answer
    asked_for = models.BooleanField(default=True)  # by somebody; else the search made it, as its answer
    score = models.FloatField(null=True)
    metrics = models.JSONField(default=dict)
    schema = models.JSONField(default=dict)
    files = models.JSONField(default=list)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.BigIntegerField(null=True)
    graph_due = models.BooleanField(default=False)  # ready, and to be written anew with its graph
    bundle_attempt = models.PositiveSmallIntegerField(default=0)  # which wrote the bundle
    replaced_at = models.DateTimeField(null=True)  # since when files of earlier bundles may be there
    attempt = models.PositiveSmallIntegerField(default=0)
    losses = models.PositiveSmallIntegerField(default=0)  # attempts that ended with their process
    lease_expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(trial__isnull=True) ^ models.Q(ensemble__isnull=True),
                name="a_model_packages_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def bundle(self) -> str:
        """Key of the ZIP in the private storage."""
        return self.bundle_of(self.bundle_attempt)

    def bundle_of(self, attempt: int) -> str:
        """Key of what an attempt writes: none writes over a file that somebody may be reading."""
        return f"models/{self.id}/bundle-{attempt}.zip" if attempt else f"models/{self.id}/bundle.zip"


class PredictionState(models.TextChoices):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (PredictionState.WAITING, PredictionState.RUNNING)


class Prediction(Identified):
    """A file of rows that a model predicts on a worker; what comes of it is a file too."""

    model = models.ForeignKey(TrainedModel, on_delete=models.CASCADE, related_name="predictions")
    filename = models.CharField(max_length=255)
    form = models.CharField(max_length=16)  # how it came, as its file's name ends: csv, csv.gz, parquet
    bytes = models.BigIntegerField()
    level = models.FloatField(null=True)  # of the intervals or sets that are told too
    state = models.CharField(max_length=16, choices=PredictionState, default=PredictionState.WAITING)
    version = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    rows = models.BigIntegerField(default=0)  # predicted so far
    share = models.FloatField(default=0)  # of the file, from 0 to 1
    seconds = models.FloatField(default=0)  # what that took
    files = models.JSONField(default=dict)  # by format: size and sha256 of the results
    attempt = models.PositiveSmallIntegerField(default=0)
    losses = models.PositiveSmallIntegerField(default=0)  # attempts that ended with their process
    lease_expires_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # The sweep looks for those that are not there yet.
            models.Index(fields=["state"], name="prediction_state"),
            # A model's list, newest first.
            models.Index(fields=["model", "-created_at"], name="prediction_list"),
        ]

    def __str__(self) -> str:
        return self.filename

    @property
    def is_final(self) -> bool:
        return PredictionState(self.state).is_final

    @property
    def rows_per_second(self) -> float | None:
        """How fast it is, or was; None before the first rows."""
        return self.rows / self.seconds if self.rows and self.seconds > 0 else None

    @property
    def folder(self) -> str:
        """Key of the folder of its files in the private storage: they go with those of the model."""
        return f"models/{self.model_id}/predictions/{self.id}"

    @property
    def source(self) -> str:
        """Key of the file that was sent."""
        return f"{self.folder}/input.{self.form}"

    @property
    def results(self) -> str:
        """Key of the folder that this attempt writes; a dead attempt's folder is never read."""
        return f"{self.folder}/{self.attempt}"


class DiagnosisState(models.TextChoices):
    COMPUTING = "computing"
    READY = "ready"
    FAILED = "failed"


class DiagnosisKind(models.TextChoices):
    """Each is the name of the engine's job that answers."""

    DIAGNOSE = "diagnose"
    COMPARE = "compare"


class Diagnosis(Identified):
    """What was found out about a model, or about several side by side; asked for once, then kept."""

    # Of several experiments side by side, the first.
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="diagnoses")
    kind = models.CharField(max_length=16, choices=DiagnosisKind)
    entries = models.JSONField(default=list)  # ids of trials and ensembles, in the order asked for
    subject = models.CharField(max_length=64)  # a digest of them, the metric, and the form of the answer
    state = models.CharField(max_length=16, choices=DiagnosisState, default=DiagnosisState.COMPUTING)
    version = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    result = models.JSONField(null=True)
    seconds = models.FloatField(null=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    losses = models.PositiveSmallIntegerField(default=0)  # attempts that ended with their process
    lease_expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "diagnoses"
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "kind", "subject"], name="one_diagnosis_per_subject"
            )
        ]
        indexes = [
            # The sweep looks for those that are not there yet.
            models.Index(fields=["state"], name="diagnosis_state"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject[:8]}"
