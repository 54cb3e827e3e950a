"""finegrade: grades fine-tuning coursework by running it on questions the student has not seen."""

__version__ = "0.1.0"
