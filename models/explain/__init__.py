"""Why an encoder says what it says."""
