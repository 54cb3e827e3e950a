"""Pure judgements: each check states one fact about one submission."""
