"""What a model gets right and wrong, on the rows that it did not see while it was trained.

`automl.engine.diagnostics.overall.diagnose` puts everything together; `docs/api.md` describes its answer.
"""
