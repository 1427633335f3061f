"""Training an encoder on any folder of identities."""
