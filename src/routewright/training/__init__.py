"""How the shipped artefact is made; needs the extra `train`, and nothing else imports it."""
