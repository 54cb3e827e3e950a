"""An OpenAI fine-tuning service on this machine, whose jobs really train."""
