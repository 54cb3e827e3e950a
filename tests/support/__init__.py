"""What tests share: submissions, evidence, services and where things lie."""
